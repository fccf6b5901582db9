"""Our own server's stream: pieces, looks and the end; what it does not promise is an error."""

import json

import pytest
from farcall.bodies import Base64Body
from farcall.errors import ProtocolError
from farcall.jobs import Chunk, Snapshot, State, Step
from farcall.wire import FileValue, StreamEvent
from farcall_fasttaskapi import envelope
from plugins.fasttaskapi.asking import APIPOD, FARCALL, FASTTASKAPI, URL, bound, fta, job, read

OURS = job(dialect="farcall", stream="sse")


def said(event, data, event_id=None):
    text = data if isinstance(data, str) else json.dumps(data)
    return read(StreamEvent(event=event, data=text, id=event_id), Step.STREAM, FARCALL, jobs=[OURS])


@pytest.mark.parametrize("value", [None, "a\nb", 1, [1, {"a": None}], {"file_name": "x", "content": "YQ=="}])
def test_an_unnamed_event_is_a_piece_just_as_it_is(value):
    assert said("message", json.dumps(value), "4.0") == [Chunk(value=value, job_id="j1", id="4.0")]


def test_a_piece_with_files_reads_back_as_it_was_rendered():
    file = FileValue(name="a.bin", media_type="image/png", body=Base64Body("YWJj"), size=3)
    value = {"picture": [file], "n": 1}
    assert said("chunk", envelope.render_chunk(value), "1.0") == [Chunk(value=value, job_id="j1", id="1.0")]


def test_a_job_event_is_a_look():
    look = Snapshot(state=State.RUNNING, job_id="j1", progress=0.5)
    (read_look,) = said("job", envelope.render(look))
    assert (read_look.state, read_look.progress, read_look.data) == (State.RUNNING, 0.5, {"dialect": "farcall"})


def test_lines_of_the_log_and_unknown_events_say_nothing_since_each_look_tells_the_log():
    assert said("log", '"line"') == []
    assert said("later", "{}") == []


@pytest.mark.parametrize(("event", "data"), [("message", "{"), ("job", "[]"), ("chunk", "{}"), ("chunk", "1")])
def test_what_our_servers_do_not_send_is_an_error(event, data):
    with pytest.raises(ProtocolError, match="stream holds"):
        said(event, data)


def test_our_stream_is_opened_from_the_start_or_after_an_event():
    request = fta().stream(bound(FARCALL), OURS, None)
    assert (request.method, request.url) == ("GET", f"{URL}/stream/j1")
    assert "last-event-id" not in request.headers
    assert envelope.MEDIA_TYPE in request.headers["accept"]
    assert fta().stream(bound(FARCALL), OURS, "3.1").headers["last-event-id"] == "3.1"


def test_a_job_that_makes_no_stream_is_not_asked_for_one():
    assert fta().stream(bound(FARCALL), job(dialect="farcall"), None) is None
    assert fta().stream(bound(FASTTASKAPI), job(stream="sse"), None) is None


def test_each_dialect_says_how_it_streams():
    assert fta().facts(bound(FARCALL)).stream == "sse"
    assert fta().facts(bound(APIPOD)).stream == "raw"
    assert fta().facts(bound(FASTTASKAPI)).stream is None
