"""Runpod's status words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from farcall.errors import ProtocolError
from farcall.jobs import State

# Source: runpod/docs, serverless/endpoints/job-states.mdx, 2026-08-20.
STATES: Final[Mapping[str, State]] = {
    "IN_QUEUE": State.QUEUED,
    "IN_PROGRESS": State.RUNNING,
    "RUNNING": State.RUNNING,
    "COMPLETED": State.SUCCEEDED,
    "FAILED": State.FAILED,
    "CANCELLED": State.CANCELLED,
    "TIMED_OUT": State.TIMED_OUT,
}


def state(word: Any) -> State:
    """What a status word means; words compare without case.

    Raises:
        ProtocolError: It is in no table.
    """
    known = STATES.get(word.upper()) if isinstance(word, str) else None
    if known is None:
        raise ProtocolError(f"Runpod says that the job's status is {word!r}, which farcall does not know.")
    return known
