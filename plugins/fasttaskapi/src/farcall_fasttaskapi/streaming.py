"""Pieces of APIPod's output stream, read one by one."""

from __future__ import annotations

import ast
import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, Final

from farcall.jobs import Chunk
from farcall.wire import StreamEvent

# Source: apipod 1.0.33, run 2026-11-23. A text comes bare; bytes as `data: <base64>`; others as `data: `
# and their Python repr; an OpenAI chunk as `data: ` and JSON; then, for those only, `data: [DONE]`.
_DATA: Final = "data: "
_END: Final = "\n\n"
_KEEPALIVE: Final = ":"
_DONE: Final = "[DONE]"
# The host's own mark of a failure; the job's envelope tells it whole. A dict's repr has single quotes here.
_ERROR: Final = '{"error": '
_MAX_LITERAL: Final = 64 * 1024


def chunks(event: StreamEvent, job_id: str | None) -> list[Chunk]:
    """The chunks in one piece of a stream.

    A piece that does not begin and end as an event is text: the stream does not say where one ends.
    """
    text = event.data
    if not text:
        return []
    if not text.endswith(_END) or not text.startswith((_DATA, _KEEPALIVE)):
        return [Chunk(value=text, job_id=job_id, id=event.id)]
    return [Chunk(value=value, job_id=job_id, id=event.id) for value in _values(text)]


def _values(text: str) -> Iterator[Any]:
    for part in text.split(_END):
        data = part.removeprefix(_DATA)
        if not part or part.startswith(_KEEPALIVE) or data == _DONE or data.startswith(_ERROR):
            continue
        yield _value(data) if part.startswith(_DATA) else part


def _value(data: str) -> Any:
    for parse, faults in _PARSERS:
        try:
            return parse(data)
        except faults:
            continue
    return data


def _literal(data: str) -> Any:
    if len(data) > _MAX_LITERAL:
        raise ValueError("too long to be parsed as Python")
    return ast.literal_eval(data)


def _base64(data: str) -> bytes:
    return base64.b64decode(data, validate=True)


_PARSERS: Final[Any] = (
    (json.loads, (ValueError, RecursionError)),
    (_literal, (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)),
    (_base64, (binascii.Error, ValueError)),
)
