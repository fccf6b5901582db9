"""What hosts send when something is wrong: replies that are no answer, and answers with a part that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from farcall.jobs import Step
from farcall.testing.recorded import Answer, changed, reply
from farcall.wire import Response, StreamEvent

Named = Iterator[tuple[str, Answer]]

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

_WRONG: Final[tuple[Any, ...]] = (None, True, -1, 1e9, "", "x" * 10_000, [], [1], {}, {"a": 1})


def replies(step: Step) -> Named:
    """Replies that are no answer to this step; the names of those that are at least JSON begin with "odd"."""
    for kind, table in (("broken", BROKEN), ("odd", ODD)):
        yield from ((f"{step}, {kind}: {name}", Answer(step, bad, None)) for name, bad in table.items())
    for status in ERRORS:
        for name, bad in {**BROKEN, **ODD}.items():
            yield f"{step}, HTTP {status}: {name}", Answer(step, replace(bad, status=status), None)


def events() -> Named:
    """Events of a stream that are no output of the host's."""
    for text in EVENTS:
        yield f"the event {text[:20]!r}", Answer(Step.STREAM, StreamEvent(data=text), None)


def cut(answers: Sequence[Answer]) -> Named:
    """The replies as they come when the line breaks."""
    for name, answer, whole in _structured(answers):
        for end in (1, len(whole.content) // 2, len(whole.content) - 1):
            yield f"{name} cut after {end} bytes", replace(answer, answer=changed(whole, whole.content[:end]))


def altered(answers: Sequence[Answer]) -> Named:
    """The replies with one part missing or wrong, part by part, two levels deep."""
    for name, answer, whole in _structured(answers):
        value = whole.json()
        for path in _paths(value, 2):
            spelt = ".".join(map(str, path))
            yield f"{name} without {spelt}", replace(answer, answer=changed(whole, _without(value, path)))
            for wrong in _WRONG:
                bad = changed(whole, _with(value, path, wrong))
                yield f"{name} with {str(wrong)[:20]!r} for {spelt}", replace(answer, answer=bad)


def _structured(answers: Sequence[Answer]) -> Iterator[tuple[str, Answer, Response]]:
    for number, answer in enumerate(answers):
        if isinstance(answer.answer, Response) and answer.answer.content[:1] in {b"{", b"["}:
            yield f"answers[{number}]", answer, answer.answer


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
