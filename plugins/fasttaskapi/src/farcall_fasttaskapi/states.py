"""The status words of the three dialects, and the state each one means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from farcall.errors import ProtocolError
from farcall.jobs import State

# Source: farcall's own job protocol, version 1 (this distribution's README).
OWN: Final[Mapping[str, State]] = {
    "queued": State.QUEUED,
    "running": State.RUNNING,
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "timed_out": State.TIMED_OUT,
}

# Source: answers of fast_task_api 1.3.3, recorded 2026-11-23; `Timeout` from its source. It writes capitals.
FASTTASKAPI: Final[Mapping[str, State]] = {
    "queued": State.QUEUED,
    "processing": State.RUNNING,
    "finished": State.SUCCEEDED,
    "failed": State.FAILED,
    "timeout": State.TIMED_OUT,
}

# Source: answers of apipod 1.0.33, recorded 2026-11-23; `cancelled` and `timeout` from its source.
# `not_found` is no state of a job: see `NOT_FOUND`.
APIPOD: Final[Mapping[str, State]] = {
    "queued": State.QUEUED,
    "processing": State.RUNNING,
    "streaming": State.RUNNING,
    "finished": State.SUCCEEDED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "timeout": State.TIMED_OUT,
}
NOT_FOUND: Final = "not_found"


def state(word: Any, table: Mapping[str, State]) -> State:
    """The state a word means; letters compare without case.

    Raises:
        ProtocolError: The word is in no table; the sentence quotes it.
    """
    if isinstance(word, str):
        found = table.get(word) or table.get(word.lower())
        if found is not None:
            return found
    raise ProtocolError(
        f"The service calls a job {word!r}, which its protocol does not have; it has {', '.join(table)}."
    )
