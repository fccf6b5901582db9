import asyncio
import copy
import json
from dataclasses import replace

import pytest
from farcall.bodies import Base64Body, BytesBody
from farcall.errors import ProtocolError
from farcall.jobs import Snapshot, State
from farcall.wire import FileValue, base_name
from farcall_fasttaskapi import envelope
from hypothesis import given
from hypothesis import strategies as st

from plugins.fasttaskapi import recorded

texts = st.text(max_size=20)
names = texts.map(base_name)
sizes = st.none() | st.integers(0, 1 << 40)
media_types = st.sampled_from(["image/png", "application/octet-stream", "text/plain; charset=utf-8"])
linked = st.builds(FileValue, name=names, media_type=media_types, size=sizes, url=st.text(min_size=1, max_size=20))
bodies = st.binary(max_size=40).map(BytesBody) | st.sampled_from(["", "aGk=", "aGVs"]).map(Base64Body)
held = st.builds(FileValue, name=names, media_type=media_types, size=sizes, body=bodies)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts | linked | held
)
results = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
seconds = st.none() | st.floats(0, 1e6)
snapshots = st.builds(
    Snapshot,
    state=st.sampled_from(State),
    job_id=st.none() | texts,
    progress=st.none() | st.floats(0, 1),
    message=st.none() | texts,
    result=results,
    error=st.none() | texts,
    error_type=st.none() | texts,
    traceback=st.none() | texts,
    logs=st.none() | st.lists(texts, max_size=3).map(tuple),
    data=st.dictionaries(texts, texts, max_size=3),
    retry_after_s=seconds,
)


def content(body):
    async def whole():
        return b"".join([chunk async for chunk in body.chunks()])

    return asyncio.run(whole())


def opened(value):
    """The value with each file's bytes in place of its body, so that two spellings of one file compare equal."""
    if isinstance(value, FileValue):
        return replace(value, body=None if value.body is None else BytesBody(decoded(value.body)))
    if isinstance(value, dict):
        return {key: opened(item) for key, item in value.items()}
    return [opened(item) for item in value] if isinstance(value, list) else value


def decoded(body):
    return body.content if isinstance(body, BytesBody) else content(body)


@given(snapshots)
def test_what_is_rendered_reads_back_as_it_was(snapshot):
    over_the_wire = json.loads(json.dumps(envelope.render(snapshot)))
    came_back = envelope.read(over_the_wire)
    assert replace(came_back, result=opened(came_back.result)) == replace(snapshot, result=opened(snapshot.result))


@given(snapshots)
def test_reading_changes_nothing_it_was_given(snapshot):
    raw = envelope.render(snapshot)
    before = copy.deepcopy(raw)
    envelope.read(raw, base="http://h:1", data={"dialect": "farcall"})
    assert raw == before


@given(snapshots)
def test_the_compatible_form_keeps_state_progress_and_message(snapshot):
    raw = json.loads(json.dumps(envelope.render_compatible(snapshot, times={"created_at": "2026-01-01T00:00:00Z"})))
    came_back = envelope.read(raw)
    assert (came_back.state, came_back.progress, came_back.message) == (
        snapshot.state,
        snapshot.progress,
        snapshot.message,
    )


def test_nothing_is_written_that_says_nothing():
    assert envelope.render(Snapshot(state=State.QUEUED)) == {"farcall": 1, "state": "queued"}


def test_a_users_dict_that_looks_like_a_file_stays_a_dict_in_our_own_form():
    like_a_file = {"file_name": "a", "content_type": "b", "content": "c", "at": [], "url": "/x"}
    snapshot = Snapshot(state=State.SUCCEEDED, result={"farcall": 1, "files": [like_a_file]})
    assert envelope.read(envelope.render(snapshot)) == snapshot


def test_a_file_that_is_only_on_disk_is_refused():
    with pytest.raises(TypeError, match="goes into an envelope only by its url"):
        envelope.render(Snapshot(state=State.SUCCEEDED, result=FileValue(name="a")))


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("/jobs/1/files/0", "http://h:1/api/jobs/1/files/0"),
        ("//evil.example/x", "http://h:1/api/evil.example/x"),
        ("https://bucket.example/x?sig=1", "https://bucket.example/x?sig=1"),
    ],
)
def test_a_files_relative_address_is_put_under_the_service(url, absolute):
    raw = envelope.render(Snapshot(state=State.SUCCEEDED, result=[FileValue(name="a", url=url)]))
    assert envelope.read(raw, base="http://h:1/api").result[0].url == absolute


def test_a_remote_file_name_loses_its_folders():
    entry = {"at": [], "name": "../../etc/passwd", "base64": "aGk="}
    assert envelope.read({"farcall": 1, "state": "succeeded", "files": [entry]}).result.name == "passwd"


@pytest.mark.parametrize(
    "broken",
    [
        {"at": ["b"], "url": "/x"},
        {"at": [5], "url": "/x"},
        {"at": [-1], "url": "/x"},
        {"at": [["a"]], "url": "/x"},
        {"at": ["a", "b"], "url": "/x"},
        {"at": ["a"]},
        {"url": "/x"},
        "a",
    ],
)
def test_a_file_that_stands_nowhere_is_an_error(broken):
    with pytest.raises(ProtocolError):
        envelope.read({"farcall": 1, "state": "succeeded", "result": {"a": None}, "files": [broken]})


def test_two_files_on_one_place_are_an_error():
    entries = [{"at": [], "url": "/x"}, {"at": ["a"], "url": "/y"}]
    with pytest.raises(ProtocolError):
        envelope.read({"farcall": 1, "state": "succeeded", "result": {"a": None}, "files": entries})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("progress", "half"),
        ("message", 3),
        ("error", "text"),
        ("logs", "text"),
        ("data", []),
        ("files", {}.keys),
        ("retry_after_s", "soon"),
    ],
)
def test_a_field_of_the_wrong_kind_is_an_error_naming_it(key, value):
    with pytest.raises(ProtocolError, match=key):
        envelope.read({"farcall": 1, "state": "queued", key: value})


def test_a_newer_version_says_which_side_to_upgrade():
    with pytest.raises(ProtocolError, match="version 2"):
        envelope.read({"farcall": 2, "state": "queued"})


def test_an_unknown_word_is_quoted():
    with pytest.raises(ProtocolError, match="'sleeping'"):
        envelope.read({"farcall": 1, "state": "sleeping"})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (recorded.FT_QUEUED, Snapshot(state=State.QUEUED, job_id=recorded.FT_ID, progress=0.0)),
        (
            recorded.FT_RUNNING,
            Snapshot(state=State.RUNNING, job_id=recorded.FT_ID, progress=0.4, message="step 4"),
        ),
        (
            recorded.FT_FILE,
            Snapshot(
                state=State.SUCCEEDED,
                job_id="03218136-303e-4808-9e35-4d7be6db613d",
                progress=1.0,
                result=FileValue(
                    name="out.bin",
                    media_type="image/png",
                    body=Base64Body("iVBORw0KGgoAAAANSUhEUgAAAAE="),
                    size=20,
                ),
            ),
        ),
        (
            recorded.FT_FAILED,
            Snapshot(state=State.FAILED, job_id=recorded.FT_ID, progress=1.0, message="kaput 3", error="kaput 3"),
        ),
        (recorded.AP_QUEUED, Snapshot(state=State.QUEUED, job_id=recorded.AP_ID, progress=0.0)),
        (
            recorded.AP_RUNNING,
            Snapshot(state=State.RUNNING, job_id=recorded.AP_ID, progress=0.4, message="step 4"),
        ),
        (
            recorded.AP_FINISHED,
            Snapshot(
                state=State.SUCCEEDED,
                job_id="a677ff2b-a5f5-4678-93bb-5d98f62e8c94",
                progress=1.0,
                message="step 9",
                result="done",
            ),
        ),
        (
            recorded.AP_FAILED,
            Snapshot(state=State.FAILED, job_id=recorded.AP_ID, progress=1.0, message="kaput 3", error="kaput 3"),
        ),
        (
            recorded.AP_STREAMING,
            Snapshot(state=State.RUNNING, job_id=recorded.AP_ID, progress=0.0, data={"stream": "now"}),
        ),
    ],
)
def test_recorded_envelopes_read_as_a_person_reads_them(raw, expected):
    before = copy.deepcopy(raw)
    assert envelope.read(raw) == expected
    assert raw == before


def test_a_finished_apipod_job_without_a_result_returned_none():
    assert envelope.read(recorded.AP_NOTHING).result is None


def test_the_flat_envelope_of_the_first_releases_is_read():
    # FastTaskAPI 0.0.7 (2024), from its source: progress a number, message beside it, no field `error`.
    raw = {"id": "1", "status": "Failed", "progress": 0.5, "message": "kaput"}
    assert envelope.read(raw) == Snapshot(state=State.FAILED, job_id="1", progress=0.5, message="kaput", error="kaput")


def test_files_are_found_wherever_they_stand_in_an_older_result():
    raw = {**recorded.FT_FILE, "result": {"all": [recorded.FT_FILE["result"]], "n": [1, None]}}
    result = envelope.read(raw).result
    assert content(result["all"][0].body).startswith(b"\x89PNG")
    assert result["n"] == [1, None]


@pytest.mark.parametrize(
    ("content_text", "url", "size"),
    [
        ("data:text/plain;base64,aGk=", None, 2),
        ("https://cdn.example/a.txt", "https://cdn.example/a.txt", None),
    ],
)
def test_a_file_object_may_hold_a_data_uri_or_a_link(content_text, url, size):
    file = envelope.files_in({"file_name": "a.txt", "content_type": None, "content": content_text})
    assert (file.url, file.size, file.media_type) == (url, size, "application/octet-stream")


def test_the_compatible_form_has_the_keys_of_both_older_ones():
    snapshot = Snapshot(state=State.SUCCEEDED, job_id="a b", result=FileValue(name="x", body=BytesBody(b"hi")))
    times = {"created_at": "2026-11-23T03:08:47Z", "finished_at": "2026-11-23T03:08:48Z"}
    raw = envelope.render_compatible(snapshot, times=times, root="/api")
    assert raw.keys() >= recorded.FT_FILE.keys() | recorded.AP_FINISHED.keys()
    assert raw["refresh_job_url"] == "/api/status?job_id=a%20b"
    assert raw["links"] == {"status": "/api/status/a%20b", "cancel": "/api/cancel/a%20b"}
    assert raw["execution_finished_at"] == raw["metrics"]["finished_at"] == "2026-11-23T03:08:48Z"
    assert raw["result"] == {
        "file_name": "x",
        "content_type": "application/octet-stream",
        "content": "aGk=",
    }


@pytest.mark.parametrize(
    ("raw", "whose"),
    [
        ({"farcall": 1, "state": "queued"}, "farcall"),
        (recorded.AP_QUEUED, "apipod"),
        (recorded.FT_QUEUED, "fasttaskapi"),
        ({"id": 1, "status": "shipped"}, None),
        ({"sum": 3}, None),
        ([1], None),
        (None, None),
    ],
)
def test_an_envelope_is_told_from_a_plain_result(raw, whose):
    assert envelope.dialect(raw) == whose
