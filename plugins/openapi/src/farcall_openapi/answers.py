"""What a reply says: JSON is a value, text is text, anything else is a file."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import Message
from typing import Any

from farcall.jobs import Snapshot, State, Update
from farcall.wire import Response, StreamEvent, Webhook

_NO_CONTENT = frozenset({204, 205})


def read(answer: Response | StreamEvent | Webhook) -> Sequence[Update]:
    """The result of a success; nothing for an HTTP error, which the core reads by its status."""
    if not isinstance(answer, Response) or not answer.ok:
        return ()
    return (Snapshot(state=State.SUCCEEDED, progress=1.0, result=_result(answer)),)


def _result(answer: Response) -> Any:
    if answer.status in _NO_CONTENT or answer.headers.get("content-length") == "0":
        answer.drop()
        return None
    if answer.body is not None:  # still coming in: too much or not to be held in memory
        return answer
    if not answer.content:
        return None
    if is_json(answer.media_type):
        return answer.json()
    return _text(answer) if answer.media_type.startswith("text/") else answer


def is_json(media_type: str) -> bool:
    """Whether a media type is JSON, also under a name of its own.

    >>> is_json("application/vnd.api+json; charset=utf-8"), is_json("text/csv")
    (True, False)
    """
    bare = media_type.partition(";")[0].strip().lower()
    return bare in {"application/json", "text/json"} or bare.endswith("+json")


def _text(answer: Response) -> str:
    head = Message()
    head["content-type"] = answer.headers.get("content-type", "")
    charset = head.get_content_charset("utf-8")
    try:
        return answer.content.decode(charset, "replace")
    except LookupError:  # an encoding Python has no name for
        return answer.text
