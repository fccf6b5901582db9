"""One job of the emulated Runpod, and how it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

IN_QUEUE: Final = "IN_QUEUE"
IN_PROGRESS: Final = "IN_PROGRESS"
COMPLETED: Final = "COMPLETED"
FAILED: Final = "FAILED"
CANCELLED: Final = "CANCELLED"
TIMED_OUT: Final = "TIMED_OUT"
ENDED: Final = frozenset({COMPLETED, FAILED, CANCELLED, TIMED_OUT})


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """A job.

    Args:
        id: As Runpod gives them: `sync-` before one of `/runsync`.
        given: The handler's input.
        webhook: Where its end is posted; None: nowhere.
        execution_s: How long it may run.
        low_priority: Whether it waits behind the others.
        created: When it was submitted, on the loop's clock.
    """

    id: str
    given: Any
    webhook: str | None
    execution_s: float
    low_priority: bool
    created: float
    status: str = IN_QUEUE
    output: Any = None
    has_output: bool = False
    error: Any = None
    pieces: list[Any] = field(default_factory=list)
    handed: int = 0
    """How many of its pieces `/stream` has given."""
    retries: int = 0
    worker: str | None = None
    started: float | None = None
    ended_at: float | None = None
    end: asyncio.Event = field(default_factory=asyncio.Event)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    """What happens to it by itself while it is in this state."""
    ttl: asyncio.TimerHandle | None = None
    past: list[tuple[float, Mapping[str, Any]]] = field(default_factory=list)
    """How it was shown, and since when; kept for status that lags behind."""

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.status in ENDED

    def for_worker(self) -> dict[str, Any]:
        """What a worker is handed."""
        return {"id": self.id, "input": self.given, "webhook": self.webhook}

    def reset(self) -> None:
        """Back to the queue, as if it had not run."""
        self.status, self.output, self.has_output, self.error = IN_QUEUE, None, False, None
        self.pieces, self.handed, self.worker, self.started, self.ended_at = [], 0, None, None, None
        if self.end.is_set():  # else somebody still waits for it
            self.end = asyncio.Event()
        self.stop_timers()

    def stop_timers(self) -> None:
        """Nothing is to happen to it by itself any more."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()


def shown(job: Job) -> dict[str, Any]:
    """The job as `/status` shows it; times are in milliseconds."""
    view: dict[str, Any] = {"id": job.id, "status": job.status}
    if job.started is not None:
        view["delayTime"] = round((job.started - job.created) * 1000)
        if job.ended_at is not None:
            view["executionTime"] = round((job.ended_at - job.started) * 1000)
    if job.has_output:
        view["output"] = job.output
    if job.error is not None:
        view["error"] = job.error
    if job.retries:
        view["retries"] = job.retries
    if job.worker is not None:
        view["workerId"] = job.worker
    return view


def as_it_was(job: Job, at: float) -> Mapping[str, Any]:
    """The job as `/status` showed it at a time."""
    known = [view for since, view in job.past if since <= at]
    return known[-1] if known else {"id": job.id, "status": IN_QUEUE}
