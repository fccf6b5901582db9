"""What hosts send when something is wrong: replies that are no answer, and answers with a part that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from farcall.testing.recorded import changed, reply
from farcall.wire import Response

_PAGE: Final = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

BROKEN: Final[Mapping[str, Response]] = {
    "HTML said to be JSON": reply(_PAGE),
    "half an object": reply(b'{"id": "j1", "status'),
    "bytes that are no text": reply(b"\xff\xfe\x00\x81"),
    "lists nested 100,000 deep": reply(b"[" * 100_000 + b"]" * 100_000),
    "objects nested 20,000 deep": reply(b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
}
"""Said to be JSON, and not: never a result, whatever was asked."""

ODD: Final[Mapping[str, Response]] = {
    "nothing": reply(b""),
    "null": reply(None),
    "a number": reply(7),
    "a text": reply("done"),
    "true": reply(True),
    "an empty list": reply([]),
    "a list of numbers": reply([1, 2]),
    "a list of null": reply([None]),
    "an empty object": reply({}),
    "an object of something else": reply({"hello": "world"}),
    "a web page": reply(_PAGE, headers={"content-type": "text/html; charset=utf-8"}),
    "a reply without a content type": reply(b"ok", headers={"content-type": ""}),
}
"""Whole, but no answer about a job."""

ERRORS: Final = (400, 401, 403, 404, 405, 408, 409, 410, 413, 422, 429, 500, 501, 502, 503, 504)
"""HTTP statuses with which any of these may come."""

EVENTS: Final = ("", "null", "7", "[]", "{}", '{"a": 1}', '{"a": ', "[1, [2", "<html>", "\ufffd" * 10, "[" * 100_000)
"""Texts a stream's event may hold."""

_WRONG: Final = (None, True, -1, 1e9, "", "x" * 10_000, [], [1], {}, {"a": 1})


def cut(answer: Response) -> Iterator[tuple[str, Response]]:
    """The reply as it comes when the line breaks."""
    content = answer.content
    if content[:1] in {b"{", b"["}:
        for end in (1, len(content) // 2, len(content) - 1):
            yield f"its first {end} bytes", changed(answer, content[:end])


def altered(answer: Response) -> Iterator[tuple[str, Response]]:
    """The reply with one part missing or wrong, part by part, two levels deep."""
    value = answer.json()
    for path in _paths(value, 2):
        yield f"without {_spelt(path)}", changed(answer, _without(value, path))
        for wrong in _WRONG:
            yield f"with {str(wrong)[:20]!r} for {_spelt(path)}", changed(answer, _with(value, path, wrong))


def _paths(value: Any, depth: int) -> Iterator[tuple[Any, ...]]:
    if depth == 0 or not isinstance(value, dict | list):
        return
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield (key,)
        yield from ((key, *rest) for rest in _paths(value[key], depth - 1))


def _with(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    if not path:
        return wrong
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], wrong)
    return copy


def _without(value: Any, path: tuple[Any, ...]) -> Any:
    copy = value.copy()
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = _without(value[path[0]], path[1:])
    return copy


def _spelt(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
