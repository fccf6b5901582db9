"""What Runpod's answers mean."""

import json

import pytest
from farcall import State, errors
from farcall.jobs import Chunk, Missing, Snapshot, Step
from farcall.wire import FileValue, Webhook
from farcall_fasttaskapi import envelope
from plugins.runpod.asking import bound, job, look, read, runpod
from plugins.runpod.test_conformance import APIPOD_FAILED, EXCEPTION, FAST_TASK_API

OURS = {"farcall": 1, "state": "succeeded", "progress": 1.0, "result": 3}


def test_a_plain_output_is_the_result_as_it_is():
    for value in (3, "text", [1], ["text"], [[]], {"a": 1}, '{"a": 1}', ['{"a": 1}'], False, 0, {"status": "ok"}):
        assert look(value).result == value


def test_an_absent_output_is_none():
    assert look() == Snapshot(state=State.SUCCEEDED, job_id="1", progress=1.0)


@pytest.mark.parametrize(
    "output",
    [OURS, json.dumps(OURS), [OURS], ["a", {"b": 1}, OURS], json.dumps(FAST_TASK_API), [json.dumps(FAST_TASK_API)]],
)
def test_an_envelope_in_the_output_is_unwrapped(output):
    seen = look(output)
    assert (seen.state, seen.result, seen.job_id) == (State.SUCCEEDED, 3, "1")


def test_a_value_that_only_looks_like_an_envelope_is_the_result():
    for value in ({"job_id": "7", "status": "shipped"}, {"id": 1, "status": "Finished", "progress": 7}):
        assert look(value).result == value
    assert look(["a", json.dumps(FAST_TASK_API)]).result == ["a", json.dumps(FAST_TASK_API)]


def test_an_inner_failure_wins_over_completed():
    seen = look([json.dumps(APIPOD_FAILED)])
    assert (seen.state, seen.error) == (State.FAILED, "out of oil")


def test_files_of_an_envelope_are_files():
    picture = FileValue(name="a.png", media_type="image/png", url="https://a.test/a.png")
    done = Snapshot(state=State.SUCCEEDED, result={"picture": picture})
    assert look(envelope.render(done)).result == {"picture": picture}


def test_an_envelope_of_a_running_job_in_a_completed_one_is_an_error():
    with pytest.raises(errors.ProtocolError, match="COMPLETED, and its output that it is running"):
        look({"farcall": 1, "state": "running"})


@pytest.mark.parametrize(
    ("output", "share", "message"),
    [
        (None, None, None),
        (0.25, 0.25, "0.25"),
        (3, None, "3"),
        (True, None, "true"),
        ("warming up", None, "warming up"),
        ("4/10", 0.4, "4/10"),
        ("11/10", None, "11/10"),
        ("at 40 %", 0.4, "at 40 %"),
        ({"progress": "4/10"}, 0.4, '{"progress": "4/10"}'),
        ({"progress": 0.5, "message": "half"}, 0.5, "half"),
        ({"percent": "12.5%", "status": "frying"}, 0.125, "frying"),
        ("Progress: 0 Message: frying\nhot", None, "frying\nhot"),
        ({"farcall": 1, "state": "running", "progress": 0.5, "message": "half", "logs": ["a"]}, 0.5, "half"),
    ],
)
def test_the_output_of_a_running_job_is_its_progress_and_no_result(output, share, message):
    seen = look(output, "IN_PROGRESS")
    assert (seen.state, seen.result, seen.progress, seen.message) == (State.RUNNING, None, share, message)


def test_progress_that_comes_late_changes_nothing():
    said = {"farcall": 1, "state": "running", "progress": 0.2, "data": {"rev": "3"}}
    raw = {"id": "1", "status": "IN_PROGRESS", "output": said}
    assert read(raw, jobs=[job(rev="7")]) == []
    (seen,) = read(raw, jobs=[job(rev="2")])
    assert seen.data == {"rev": "3"}
    (ended,) = read({"id": "1", "status": "COMPLETED", "output": 1}, jobs=[job(rev="7")])
    assert ended.state is State.SUCCEEDED


def test_an_exception_in_a_text_is_unpacked():
    seen = look(status="FAILED", error=json.dumps(EXCEPTION))
    assert (seen.error, seen.error_type) == ("kaboom", "ValueError")
    assert seen.traceback.endswith("ValueError: kaboom\n")


def test_a_class_of_a_module_is_named_without_it():
    seen = look(status="FAILED", error=json.dumps({**EXCEPTION, "error_type": "<class 'torch.cuda.OutOfMemoryError'>"}))
    assert seen.error_type == "OutOfMemoryError"


def test_an_exception_of_a_generator_is_unpacked():
    trace = 'Traceback (most recent call last):\n  File "h.py", line 5\nrequests.exceptions.Timeout: slow\n'
    seen = look(status="FAILED", error=f"handler: slow \ntraceback: {trace}")
    assert (seen.error, seen.error_type, seen.traceback) == ("slow", "Timeout", trace)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"error": "out of oil"}, "out of oil"),
        ({"error": {"message": "out of oil"}}, "out of oil"),
        ({"error": {"code": 7}}, '{"code": 7}'),
        ({"error": "{not json"}, "{not json"),
        ({"output": {"error": "out of oil"}}, "out of oil"),
        ({}, "Runpod gave no reason."),
    ],
)
def test_a_failure_always_says_why(fields, said):
    assert look(status="FAILED", **fields).error == said


def test_a_worker_of_ours_tells_the_log_of_a_failed_job():
    error = {**EXCEPTION, "farcall": 1, "state": "failed", "logs": ["hot", "burnt"]}
    seen = look(status="FAILED", error=json.dumps(error))
    assert (seen.state, seen.error, seen.error_type, seen.logs) == (
        State.FAILED,
        "kaboom",
        "ValueError",
        ("hot", "burnt"),
    )


def test_a_worker_of_ours_tells_that_a_failed_job_was_cancelled():
    error = {"error_type": "cancelled", "error_message": "cancelled", "farcall": 1, "state": "cancelled"}
    seen = look(status="FAILED", error=json.dumps(error))
    assert (seen.state, seen.error) == (State.CANCELLED, None)


def test_a_job_past_its_time_says_so():
    assert look(status="TIMED_OUT").state is State.TIMED_OUT
    assert look(status="TIMED_OUT", error="executionTimeout exceeded").error == "executionTimeout exceeded"


def test_a_forgotten_job_says_for_how_long_results_are_kept():
    (gone,) = read({"error": "job not found"}, status=404)
    assert isinstance(gone, Missing)
    assert "30 minutes" in gone.message
    (gone,) = read({"error": "job not found"}, status=404, jobs=[job("sync-1")])
    assert "for 1 minute after" in gone.message


def test_a_cancel_that_came_too_late_leaves_the_end_to_the_next_look():
    assert read({"id": "1", "status": "COMPLETED"}, Step.CANCEL) == []
    (seen,) = read({"id": "1", "status": "CANCELLED"}, Step.CANCEL)
    assert seen.state is State.CANCELLED


def test_pieces_of_output_come_as_the_function_made_them():
    items = [{"output": "a"}, {"output": {"farcall": 1, "chunk": {"value": {"error": 1}, "files": []}}}]
    raw = {"status": "IN_PROGRESS", "stream": [*items, {"output": OURS}]}
    assert read(raw, Step.STREAM) == [Chunk(value="a", job_id="1"), Chunk(value={"error": 1}, job_id="1")]
    assert read([{"metrics": {}, "output": 1}], Step.STREAM) == [Chunk(value=1, job_id="1")]


def test_the_local_test_servers_jobs_are_known_by_their_ids():
    (begun,) = read({"id": "test-1", "status": "IN_PROGRESS"}, Step.SUBMIT)
    assert begun.data == {"host": "local"}
    (gone,) = read({"id": "test-1", "status": "FAILED", "error": "Job ID not found"})
    assert isinstance(gone, Missing)


def test_the_local_test_server_shows_the_pieces_of_a_worker_of_ours_with_its_end_and_runpod_by_its_stream_alone():
    listed = {"id": "test-1", "status": "COMPLETED", "output": ["a", "b", OURS]}
    end, *pieces = read(listed)
    assert (end.state, end.result) == (State.SUCCEEDED, OURS["result"])
    assert [piece.value for piece in pieces] == ["a", "b"]
    (end,) = read({**listed, "id": "1"})
    assert end.result == OURS["result"]
    (end,) = read({**listed, "output": ["a", "b"]})
    assert end.result == ["a", "b"]


def test_a_call_back_is_read_like_a_look():
    content = json.dumps({"id": "1", "status": "COMPLETED", "output": 3}).encode()
    (seen,) = runpod().read(bound(), Webhook(headers={}, content=content), Step.WEBHOOK, [], None)
    assert (seen.state, seen.result, seen.job_id) == (State.SUCCEEDED, 3, "1")


@pytest.mark.parametrize(
    "raw", [[], "x", None, {"status": "COMPLETED", "id": 7}, {"id": "1"}, {"id": "1", "status": 1}]
)
def test_what_runpod_does_not_promise_is_a_protocol_error(raw):
    with pytest.raises(errors.ProtocolError):
        read(raw)


def test_a_submission_without_an_id_is_a_protocol_error():
    with pytest.raises(errors.ProtocolError, match="without saying its id"):
        read({"status": "IN_QUEUE"}, Step.SUBMIT)
