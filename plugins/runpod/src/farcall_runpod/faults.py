"""Why a job failed: the exception that its worker wrote into a text, as JSON or plain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

NO_REASON: Final = "Runpod gave no reason."
_TRACE: Final = " \ntraceback: "
_GENERATOR: Final = "handler: "


class Fault(NamedTuple):
    """What is known of a failure.

    Args:
        message: In the worker's words.
        kind: The exception's class name; None if it is not told.
        traceback: As text; None if it is not told.
        said: All that was written as JSON; empty if it was plain text.
    """

    message: str
    kind: str | None = None
    traceback: str | None = None
    said: Mapping[str, Any] = {}


def fault(error: Any) -> Fault:
    """The fault in the field `error` of a job.

    Source: runpod 1.12.0, serverless/modules/rp_job.py: JSON within a text for an exception of a handler, a plain text
    for one of a generator, and whatever a handler returned under the key `error`.
    """
    said = _parsed(error)
    if isinstance(said, Mapping):
        message = _text(said, "error_message", "message", "error", "detail")
        return Fault(
            message=message or _plain(error),
            kind=_class_name(_text(said, "error_type", "type")),
            traceback=_text(said, "error_traceback", "traceback"),
            said=said,
        )
    text = _plain(error)
    message, mark, trace = text.partition(_TRACE)
    if mark and message.startswith(_GENERATOR):
        return Fault(message.removeprefix(_GENERATOR) or NO_REASON, _last_class(trace), trace)
    return Fault(text)


def _parsed(error: Any) -> Any:
    if not isinstance(error, str) or not error.lstrip().startswith("{"):
        return error
    try:
        return json.loads(error)
    except (ValueError, RecursionError):
        return error


def _plain(error: Any) -> str:
    if error is None or error == "":
        return NO_REASON
    return error if isinstance(error, str) else json.dumps(error, default=str)[:2000]


def _text(said: Mapping[str, Any], *keys: str) -> str | None:
    return next((said[key] for key in keys if isinstance(said.get(key), str) and said[key]), None)


def _class_name(kind: str | None) -> str | None:
    """`ValueError` of `<class 'ValueError'>`; a class of a module is named without it."""
    if kind is None:
        return None
    return kind.removeprefix("<class '").removesuffix("'>").rpartition(".")[2] or None


def _last_class(trace: str) -> str | None:
    """The class in a traceback's last line, `ValueError: no`."""
    lines = [line for line in trace.strip().splitlines() if line and not line[0].isspace()]
    name = lines[-1].partition(":")[0] if lines else ""
    plain = name.rpartition(".")[2]
    return plain if plain.isidentifier() else None
