"""What a reply says: JSON is a value, text is text, a stream is its events, anything else is a file."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import Message
from typing import Any, Final

from farcall.jobs import Chunk, Snapshot, State, Update
from farcall.streams import KINDS
from farcall.wire import Response, StreamEvent
from pydantic_core import from_json

from farcall_openapi import media, paging

_NO_CONTENT: Final = frozenset({204, 205})
_END: Final = "[DONE]"
"""How OpenAI's API and those made like it end a stream."""


def read(answer: Response) -> Sequence[Update]:
    """The result of a success, or the stream of it; nothing for an HTTP error, which the core reads by its status."""
    if not answer.ok:
        return ()
    if answer.body is not None and answer.media_type in KINDS:
        return (Snapshot(state=State.RUNNING, result=answer),)
    data = paging.remembered(answer)
    return (Snapshot(state=State.SUCCEEDED, progress=1.0, result=result(answer), data=data),)


def piece(event: StreamEvent) -> Sequence[Update]:
    """A piece of output: JSON where the event holds an object, an array or a quoted text, else the text itself.

    An event with a name of its own is `{"event": …, "data": …}`; one named `error` ends the job in failure.
    """
    if event.event == "error":
        return (Snapshot(state=State.FAILED, error=event.data),)
    if event.data == _END:
        return ()
    value = _value(event)
    named = event.event not in {"message", ""}
    return (Chunk(value={"event": event.event, "data": value} if named else value, id=event.id),)


def _value(event: StreamEvent) -> Any:
    if not event.is_json and event.data[:1] not in {"{", "[", '"'}:
        return event.data
    try:
        return from_json(event.data)
    except ValueError:
        return event.data


def result(answer: Response) -> Any:
    """The value that a reply is."""
    if answer.status in _NO_CONTENT or answer.headers.get("content-length") == "0":
        answer.drop()
        return None
    if answer.body is not None:  # still coming in: too much or not to be held in memory
        return answer
    if not answer.content:
        return None
    if media.is_json(answer.media_type):
        return answer.json()
    return _text(answer) if answer.media_type.startswith("text/") else answer


def _text(answer: Response) -> str:
    head = Message()
    head["content-type"] = answer.headers.get("content-type", "")
    charset = head.get_content_charset("utf-8")
    try:
        return answer.content.decode(charset, "replace")
    except LookupError:  # an encoding Python has no name for
        return answer.text
