import copy

import pytest
from farcall.bodies import Base64Body
from farcall.errors import ProtocolError
from farcall.jobs import Missing, Rejected, Snapshot, State, Step
from farcall.spec import EndpointSpec
from farcall.wire import FileValue, Response, Webhook
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from plugins.fasttaskapi.asking import APIPOD, DEDICATED, FARCALL, FASTTASKAPI, UNKNOWN, URL, job, read, reply

from plugins.fasttaskapi import recorded

FILE_JSON = recorded.FT_FILE["result"]
PICTURE = FileValue(name="out.bin", media_type="image/png", body=Base64Body("iVBORw0KGgoAAAANSUhEUgAAAAE="), size=20)
JOB = EndpointSpec(path="/do-it", job=True)
PLAIN = EndpointSpec(path="/do-it", job=False)


def submitted(value, traits=UNKNOWN, endpoints=(), **more):
    return read(reply(value, **more), Step.SUBMIT, traits, endpoints=endpoints)


# --- what a submission made -------------------------------------------------------------------------------------


@pytest.mark.parametrize("traits", [UNKNOWN, FASTTASKAPI, APIPOD])
@pytest.mark.parametrize(("raw", "dialect"), [(recorded.FT_QUEUED, "fasttaskapi"), (recorded.AP_QUEUED, "apipod")])
def test_an_accepted_job_is_queued_and_remembers_the_dialect(traits, raw, dialect):
    [update] = submitted(raw, traits)
    assert (update.state, update.job_id) == (State.QUEUED, raw.get("id") or raw["job_id"])
    assert update.data["dialect"] == dialect


def test_our_own_envelope_is_read_with_its_revision_and_absolute_addresses():
    raw = {
        "farcall": 1,
        "id": "j1",
        "state": "succeeded",
        "result": {"pic": None},
        "files": [{"at": ["pic"], "name": "a.png", "media_type": "image/png", "url": "/jobs/j1/files/0"}],
        "data": {"rev": "4"},
    }
    [update] = submitted(raw, FARCALL, media_type=MEDIA_TYPE)
    assert update.data == {"rev": "4", "dialect": "farcall"}
    assert update.result["pic"].url == f"{URL}/jobs/j1/files/0"


def test_reading_changes_nothing_it_was_given():
    raw = copy.deepcopy(recorded.FT_FILE)
    answer = reply(raw)
    assert read(answer) == read(answer)


# --- a reply that is the result ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "done", 3.5, [1], {"sum": 3.5}, {"id": 7, "status": "shipped"}])
@pytest.mark.parametrize("traits", [UNKNOWN, FASTTASKAPI, DEDICATED, FARCALL])
def test_a_plain_reply_is_the_result(traits, value):
    assert submitted(value, traits, [PLAIN]) == [Snapshot(state=State.SUCCEEDED, result=value)]


@pytest.mark.parametrize("traits", [UNKNOWN, DEDICATED])
def test_a_file_object_in_a_plain_reply_is_a_file(traits):
    assert submitted([FILE_JSON], traits) == [Snapshot(state=State.SUCCEEDED, result=[PICTURE])]


def test_a_plain_reply_of_ours_is_never_taken_for_a_file():
    assert submitted(FILE_JSON, FARCALL, [PLAIN])[0].result == FILE_JSON


@pytest.mark.parametrize("traits", [APIPOD, DEDICATED])
def test_a_plain_reply_that_looks_like_an_envelope_is_still_the_result(traits):
    looks = {"job_id": "invoice", "status": "shipped"}
    assert submitted(looks, traits, [PLAIN]) == [Snapshot(state=State.SUCCEEDED, result=looks)]


def test_a_reply_that_is_not_json_is_handed_on_whole():
    answer = Response(status=200, headers={"content-type": "image/png"}, content=b"\x89PNG", url=f"{URL}/x")
    [update] = read(answer, Step.SUBMIT)
    assert (update.state, update.result) == (State.SUCCEEDED, answer)


def test_a_reply_without_content_is_none():
    assert read(Response(status=204), Step.SUBMIT) == [Snapshot(state=State.SUCCEEDED)]


def test_a_job_endpoint_that_makes_no_job_breaks_its_promise():
    with pytest.raises(ProtocolError, match="makes a job"):
        submitted({"oops": 1}, APIPOD, [JOB])


@pytest.mark.parametrize("step", [Step.SUBMIT, Step.POLL])
def test_a_reply_that_is_cut_short_is_an_error(step):
    with pytest.raises(ProtocolError, match="promised JSON"):
        read(reply(b'{"id": "j1", "sta'), step)


# --- not accepted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [recorded.FT_FULL, recorded.AP_FULL])
def test_a_full_queue_is_a_rejection_though_it_comes_as_a_failure_with_http_200(raw):
    assert submitted(raw) == [Rejected(message="Queue size limit reached for slow")]


@pytest.mark.parametrize("queued", [{"queued_at": "2026-11-23T03:07:44.867257"}, {"error": "Queue fell over"}])
def test_a_failure_that_only_resembles_a_full_queue_is_a_failure(queued):
    [update] = submitted({**recorded.FT_FULL, **queued})
    assert update.state is State.FAILED


@pytest.mark.parametrize(
    ("raw", "headers", "after_s"),
    [
        ({"farcall": 1, "state": "failed", "error": {"message": "full"}}, {"retry-after": "1"}, 1.0),
        ({"farcall": 1, "state": "failed", "error": {"message": "full"}, "retry_after_s": 0.2}, {}, 0.2),
        ({"farcall": 1, "state": "failed", "error": {"message": "full"}}, {"retry-after": "Wed, 1 Jan 2031"}, None),
        ({**recorded.AP_FULL, "error": "full"}, {"retry-after": "3"}, 3.0),
    ],
)
def test_http_429_with_an_envelope_is_a_rejection(raw, headers, after_s):
    assert submitted(raw, FARCALL, status=429, headers=headers) == [Rejected(message="full", retry_after_s=after_s)]


# --- no such job ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [Step.POLL, Step.CANCEL])
@pytest.mark.parametrize("raw", [recorded.FT_MISSING, recorded.AP_MISSING])
def test_job_not_found_is_missing_and_no_failure(raw, step):
    assert read(reply(raw), step) == [Missing(job_id="nope", message="Job not found.")]


@pytest.mark.parametrize("step", [Step.POLL, Step.CANCEL])
@pytest.mark.parametrize("raw", [{"detail": "Job not found."}, {**recorded.AP_MISSING, "job_id": "j1"}])
def test_http_404_of_ours_is_missing(raw, step):
    assert read(reply(raw, status=404), step, FARCALL) == [Missing(job_id="j1", message="Job not found.")]


def test_a_function_that_raised_the_same_words_has_failed():
    raw = {**recorded.FT_FAILED, "error": "Job not found."}
    [update] = read(reply(raw))
    assert (update.state, update.error) == (State.FAILED, "Job not found.")
    [update] = read(reply({**recorded.AP_FAILED, "error": "Job not found."}))
    assert update.state is State.FAILED


# --- many at once ---------------------------------------------------------------------------------------------------


def test_a_batch_names_each_job_that_changed_and_each_that_is_gone():
    jobs = [{"farcall": 1, "id": "a", "state": "running"}, {"farcall": 1, "id": "b", "missing": True}]
    updates = read(reply({"farcall": 1, "jobs": jobs}), traits=FARCALL, jobs=[job("a"), job("b")])
    assert updates == [
        Snapshot(state=State.RUNNING, job_id="a", data={"dialect": "farcall"}),
        Missing(job_id="b", message="Job not found."),
    ]


def test_a_batch_without_change_says_nothing():
    assert read(reply({"farcall": 1, "jobs": []}), traits=FARCALL) == []


@pytest.mark.parametrize("raw", ["queued", None, [], {"sum": 3}, {"farcall": 1, "jobs": [3]}])
def test_a_look_that_shows_no_job_is_an_error(raw):
    with pytest.raises(ProtocolError):
        read(reply(raw))


def test_a_look_that_is_not_json_is_an_error_that_quotes_it():
    with pytest.raises(ProtocolError, match="Bad gateway"):
        read(reply(b"<h1>Bad gateway</h1>", media_type="text/html"))


# --- cancelling -----------------------------------------------------------------------------------------------------


def test_another_queue_of_apipod_answers_a_cancellation_shortly():
    # apipod 1.0.33, from its source: queue backends other than the local one.
    [update] = read(reply({"id": "j1", "status": "cancelled", "message": "bye"}), Step.CANCEL, APIPOD)
    assert (update.state, update.job_id, update.message) == (State.CANCELLED, "j1", "bye")


def test_ours_answers_a_cancellation_with_the_job():
    [update] = read(reply({"farcall": 1, "id": "j1", "state": "cancelled"}), Step.CANCEL, FARCALL)
    assert update.state is State.CANCELLED


def test_an_answer_that_says_nothing_of_the_job_adds_nothing():
    assert read(reply({"ok": True}), Step.CANCEL, APIPOD) == []
    assert read(reply(b"", media_type=""), Step.CANCEL, APIPOD) == []


def test_a_refused_cancellation_is_left_to_its_http_status():
    assert read(reply(recorded.AP_CANCEL_REFUSED, status=501), Step.CANCEL, APIPOD) == []


# --- HTTP errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [Step.SUBMIT, Step.POLL, Step.CANCEL, Step.STREAM])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        # Bodies of fast_task_api 1.3.3 and apipod 1.0.33, recorded 2026-11-23.
        (422, b'"FileUploadException: Could not parse file"'),
        (422, b'{"detail":[{"type":"int_parsing","loc":["body","a"],"msg":"no","input":"abc"}]}'),
        (500, b'{"detail":"Internal server error. Check your input variables and try again later."}'),
        (404, b'{"detail":"Not Found"}'),
        (405, b'{"detail":"Method Not Allowed"}'),
        (502, b"{broken"),
    ],
)
def test_an_http_error_without_an_envelope_is_left_to_its_status(step, status, body):
    assert read(reply(body, status=status), step) == []


def test_an_http_error_with_an_envelope_is_read():
    [update] = read(reply(recorded.AP_FAILED, status=500))
    assert (update.state, update.error) == (State.FAILED, "kaput 3")


def test_a_stream_that_is_gone_loses_no_job():
    gone = {"detail": "Job 'j1' not found."}  # apipod 1.0.33, recorded 2026-11-23: another reader drained it
    assert read(reply(gone, status=404), Step.STREAM, APIPOD) == []


def test_nobody_calls_back():
    assert read(Webhook(headers={}, content=b"{}"), Step.WEBHOOK) == []
