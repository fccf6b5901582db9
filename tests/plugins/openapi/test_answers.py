"""What a reply becomes."""

import pytest
from farcall.binding import Binding
from farcall.bodies import BytesBody
from farcall.errors import ProtocolError
from farcall.jobs import Chunk, Snapshot, State, Step
from farcall.provider import provider
from farcall.wire import Headers, StreamEvent


def result(read, content=b"", media=None, status=200, **more):
    headers = Headers({"Content-Type": media} if media else {})
    (snapshot,) = read(status=status, headers=headers, content=content, **more)
    assert snapshot.state is State.SUCCEEDED
    return snapshot.result


@pytest.mark.parametrize(
    "media", ["application/json", "application/problem+json", "text/json; charset=utf-8", "Application/JSON"]
)
def test_json_is_its_value(read, media):
    assert result(read, b'{"a": [1, null]}', media) == {"a": [1, None]}


@pytest.mark.parametrize("status", [204, 205])
def test_no_content_is_none(read, status):
    assert result(read, status=status) is None


def test_an_empty_reply_is_none_whatever_its_type(read):
    assert result(read, media="application/json") is None
    (snapshot,) = read(status=200, headers=Headers({"content-length": "0", "content-type": "image/png"}))
    assert snapshot.result is None


@pytest.mark.parametrize(
    ("media", "content"),
    [
        ("text/plain", "grüß".encode()),
        ("text/csv; charset=latin-1", "grüß".encode("latin-1")),
        ('text/html; charset="utf-16"', "grüß".encode("utf-16")),
        ("text/plain; charset=no-such", "grüß".encode()),
    ],
)
def test_text_is_read_in_its_own_encoding(read, media, content):
    assert result(read, content, media) == "grüß"


@pytest.mark.parametrize("media", ["image/png", "application/xml", None])
def test_anything_else_is_the_response_itself(read, media):
    assert result(read, b"bytes", media).content == b"bytes"


def test_a_body_still_coming_in_is_the_response_itself(read):
    body = BytesBody(b"x")
    assert result(read, media="application/zip", body=body).body is body


def test_broken_json_is_a_protocol_error_that_quotes_it(read):
    with pytest.raises(ProtocolError, match="<html>"):
        result(read, b"<html>", "application/json")


@pytest.mark.parametrize("status", [302, 400, 401, 404, 422, 429, 500])
def test_what_is_no_success_is_left_to_the_core(read, status):
    assert read(status=status, content=b'{"detail": "no"}') == ()


@pytest.mark.parametrize(
    ("event", "update"),
    [
        (StreamEvent(data='{"a": 1}', id="7"), Chunk(value={"a": 1}, id="7")),
        (StreamEvent(data="[1]"), Chunk(value=[1])),
        (StreamEvent(data='"42"'), Chunk(value="42")),
        (StreamEvent(data="42"), Chunk(value="42")),
        (StreamEvent(data="42", is_json=True), Chunk(value=42)),
        (StreamEvent(data="{curly"), Chunk(value="{curly")),
        (StreamEvent(data="1", event="tick"), Chunk(value={"event": "tick", "data": "1"})),
        (StreamEvent(data="no luck", event="error"), Snapshot(state=State.FAILED, error="no luck")),
        (StreamEvent(data="[DONE]"), None),
    ],
)
def test_an_event_is_a_piece_of_output(event, update):
    binding = Binding(provider="openapi")
    assert list(provider("openapi").read(binding, event, Step.STREAM, [])) == ([] if update is None else [update])
