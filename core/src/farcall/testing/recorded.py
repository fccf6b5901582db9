"""Answers as a host gave them, and what a person reads in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_json

from farcall.jobs import Chunk, Log, Missing, Rejected, State, Step
from farcall.wire import Headers, Response, StreamEvent

Reading = State | type[Chunk] | type[Log] | type[Missing] | type[Rejected]
"""What one update of an answer is: a state of the job, or another kind of update."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One recorded answer.

    >>> Answer(Step.POLL, reply({"ticket": "t1", "phase": "done"}), State.SUCCEEDED).readings
    (<State.SUCCEEDED: 'succeeded'>,)

    Args:
        step: What was asked: `SUBMIT POLL CANCEL` for replies, `STREAM` for a stream's event.
        answer: The reply or the event, as recorded; keys taken out.
        means: What a person reads in it; a tuple if it tells several things; None: nothing beyond its HTTP status.
    """

    step: Step
    answer: Response | StreamEvent
    means: Reading | tuple[Reading, ...] | None

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What is read in it, in order; empty if nothing is."""
        if self.means is None:
            return ()
        return self.means if isinstance(self.means, tuple) else (self.means,)


def reply(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply as recorded.

    Args:
        content: Bytes as they came, or a JSON value.
        status: The HTTP status.
        headers: The headers that matter; `content-type` is JSON unless it is among them.
    """
    written = content if isinstance(content, bytes) else to_json(content)
    return Response(
        status=status, headers=Headers({"content-type": "application/json", **(headers or {})}), content=written
    )


def changed(answer: Response, content: Any) -> Response:
    """The reply with other content."""
    return replace(answer, content=content if isinstance(content, bytes) else to_json(content))
