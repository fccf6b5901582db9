"""A streamed reply is cut into events, whatever pieces it comes in."""

import asyncio

import pytest
from farcall.streams import events
from farcall.wire import Response


class Pieces:
    """A body that comes in these pieces."""

    def __init__(self, pieces):
        self.pieces = pieces

    async def chunks(self):
        for piece in self.pieces:
            yield piece.encode()


def cut(pieces, kind="sse"):
    async def all_of_it():
        response = Response(status=200, headers={}, content=b"", body=Pieces(pieces))
        return [(event.event, event.data) async for event in events(response, kind)]

    return asyncio.run(all_of_it())


def test_events_are_the_same_in_whole_and_letter_by_letter():
    text = "\ufeff\r\n: hello\r\nid: 7\r\nevent: more\r\ndata: a\r\ndata: b\r\n\r\ndata\n\nodd: x\ndata: c\n\n"
    expected = [("more", "a\nb"), ("message", ""), ("message", "c")]
    assert cut([text]) == cut(list(text)) == expected


@pytest.mark.parametrize(
    "start", ["data: x\n\n", "event: x\ndata: x\n\n", ": ping\n\ndata: x\n\n", "retry: 5\ndata: x\n\n"]
)
def test_every_field_may_stand_first(start):
    assert [data for _, data in cut(list(start))] == ["x"]


@pytest.mark.parametrize("text", ["abc", "database", "dat", "Answer: yes\n", "ideas\n\nmore", "i"])
def test_bare_text_that_is_called_an_event_stream_is_given_as_it_comes(text):
    assert "".join(data for _, data in cut([text])) == text
    assert "".join(data for _, data in cut(list(text))) == text


@pytest.mark.parametrize("text", ["", "\n", "\r\n\r\n"])
def test_an_empty_stream_has_no_events(text):
    assert cut([text]) == []
