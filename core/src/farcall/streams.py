"""Cuts a streamed reply into events: SSE, NDJSON, or raw text."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Mapping
from typing import Final

from farcall.errors import ProtocolError
from farcall.wire import Response, StreamEvent

LONGEST_LINE: Final = 16 * 1024 * 1024
KINDS: Final[Mapping[str, str]] = {
    "text/event-stream": "sse",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "application/json-lines": "ndjson",
    "application/stream+json": "ndjson",
}
"""Media types of replies that are streams of events, and how each is cut."""


async def events(response: Response, kind: str) -> AsyncIterator[StreamEvent]:
    """The events of a reply, as they come.

    Args:
        response: A reply whose body is still to come.
        kind: `sse`, `ndjson` or `raw`.

    Raises:
        Unreachable: The link broke.
        ProtocolError: A line is longer than 16 MiB.
    """
    texts = _text(response)
    if kind == "ndjson":
        async for line in _lines(texts, response):
            if line.strip():
                yield StreamEvent(data=line, is_json=True)
        return
    is_sse = False
    if kind == "sse":
        is_sse, texts = await _recognised(texts)
    if is_sse:
        async for event in _sse(_lines(texts, response)):
            yield event
    else:
        async for text in texts:
            yield StreamEvent(data=text)


_FIELDS: Final = ("data", "event", "id", "retry", "")
"""What a line of SSE begins with, before its colon; "" is a comment."""


async def _recognised(texts: AsyncIterator[str]) -> tuple[bool, AsyncIterator[str]]:
    """Whether these are server-sent events, and the texts from their start.

    Some frameworks send a function's bare text under that media type (tests/rivals has one); read as events, all of it
    would be dropped without a word.
    """
    start = ""
    async for text in texts:
        start += text
        if (told := _is_sse(start)) is not None:
            return told, _joined(start, texts)
    return not start.strip(), _joined(start, texts)


def _is_sse(start: str) -> bool | None:
    """None: what has come so far does not tell."""
    line = start.removeprefix("\ufeff").lstrip("\r\n")
    field, colon, _ = line.partition(":")
    if colon and field in _FIELDS:
        return True
    first, newline, _ = line.replace("\r", "\n").partition("\n")
    if newline:
        return first in _FIELDS
    return None if any(name.startswith(line) for name in _FIELDS) else False


async def _joined(start: str, texts: AsyncIterator[str]) -> AsyncIterator[str]:
    if start:
        yield start
    async for text in texts:
        yield text


async def _text(response: Response) -> AsyncIterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    if response.body is None:
        yield response.text
        return
    async for chunk in response.body.chunks():
        if text := decoder.decode(chunk):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest


async def _lines(texts: AsyncIterator[str], response: Response) -> AsyncIterator[str]:
    rest = ""
    async for text in texts:
        rest += text.replace("\r\n", "\n")
        *lines, rest = rest.split("\n")
        for line in lines:
            yield line.removesuffix("\r")
        if len(rest) > LONGEST_LINE:
            response.drop()
            raise ProtocolError(f"A line of the stream is longer than {LONGEST_LINE:,} characters.")
    if rest:
        yield rest


async def _sse(lines: AsyncIterator[str]) -> AsyncIterator[StreamEvent]:
    """Server-sent events as WHATWG's HTML standard reads them; a last event without a blank line counts."""
    name, data, last_id = "message", list[str](), None
    async for line in lines:
        if not line:
            if data:
                yield StreamEvent(event=name, data="\n".join(data), id=last_id)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value
    if data:
        yield StreamEvent(event=name, data="\n".join(data), id=last_id)
