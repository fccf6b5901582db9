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
    if kind == "raw":
        async for text in _text(response):
            yield StreamEvent(data=text)
        return
    if kind == "ndjson":
        async for line in _lines(response):
            if line.strip():
                yield StreamEvent(data=line, is_json=True)
        return
    async for event in _sse(_lines(response)):
        yield event


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


async def _lines(response: Response) -> AsyncIterator[str]:
    rest = ""
    async for text in _text(response):
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
