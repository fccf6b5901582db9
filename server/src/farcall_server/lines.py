"""The endpoints' lines: what may wait, what may run, and what runs next."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from farcall_server.job import Given, Job
from farcall_server.uploads import Folder

LONGEST_BACKOFF_S: Final = 60.0
"""Seconds; a retry waits no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How an endpoint's jobs are kept.

    Args:
        queue_size: How many may wait.
        concurrency: How many may run.
        priority: Of two endpoints whose jobs could run next, the one with the higher number is first.
        retries: How many more times a call is run that failed, or whose server was killed.
        backoff_s: Seconds until the first retry of a failed call; doubled for each further one.
        idempotent: Whether a call may be run again as often as its server is killed.
        isolated: Whether its function gets the arguments as they came, in a process of its own.
        revive: Checks arguments as they came, after a restart; raises what a wrong one raises.
    """

    queue_size: int
    concurrency: int
    priority: int = 0
    retries: int = 0
    backoff_s: float = 0.0
    idempotent: bool = False
    isolated: bool = False
    revive: Callable[[Given, Folder], Mapping[str, Any]] = lambda *_: {}

    def pause_s(self, begun: int) -> float:
        """Seconds until the next run of a call that has been begun so many times."""
        return min(self.backoff_s * 2.0 ** min(begun - 1, 32), LONGEST_BACKOFF_S)


@dataclass(slots=True, eq=False)
class Line:
    """One endpoint's jobs in the order in which they came.

    Args:
        rules: How they are kept.
        wake: Has its next job run; from any thread.
        waiting: Those that could run now, and cancelled ones until their turn.
        queued: How many wait, also for their time to be run again.
        running: How many run.
        owed: How many times a job could not run for want of a place among all.
        granted: Places among all that are kept for it.
    """

    rules: Rules
    wake: Callable[[], None]
    waiting: deque[Job] = field(default_factory=deque)
    queued: int = 0
    running: int = 0
    owed: int = 0
    granted: int = 0

    @property
    def full(self) -> bool:
        """Whether no more may be taken on."""
        return self.queued + self.running >= self.rules.queue_size + self.rules.concurrency

    @property
    def could_run(self) -> bool:
        """Whether it has a job that only wants a place among all."""
        return self.owed > 0 and bool(self.waiting) and self.running + self.granted < self.rules.concurrency

    @property
    def rank(self) -> tuple[int, int]:
        """The greatest is served first: the highest priority, then the oldest job."""
        return self.rules.priority, -self.waiting[0].number

    def next(self) -> Job | None:
        """The next job that waits; None if none does."""
        while self.waiting:
            job = self.waiting.popleft()
            if not (job.state.ended or job.ending):  # a cancelled one is left in the line until its turn
                return job
        return None

    def clear(self) -> None:
        """Forget all jobs."""
        self.waiting.clear()
        self.queued = self.running = self.owed = self.granted = 0


class Places:
    """A limit on what runs over all lines. A place that gets free goes to the line that ranks highest.

    Args:
        most: How many jobs may run at once.
    """

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    def take(self, line: Line) -> bool:
        """A place for the line's next job. False: there is none, and the line is woken when one is kept for it."""
        if line.granted:
            line.granted -= 1
        elif self.taken < self.most:
            self.taken += 1
        else:
            line.owed += 1
            return False
        return True

    def give_back(self, lines: Collection[Line]) -> None:
        """A place is free: keep it for the line that ranks highest of those that could use it, and wake that."""
        self.taken -= 1
        while self.taken < self.most and (able := [line for line in lines if line.could_run]):
            best = max(able, key=lambda line: line.rank)
            best.owed -= 1
            best.granted += 1
            self.taken += 1
            best.wake()


def later(loop: asyncio.AbstractEventLoop | None, pause_s: float, function: Callable[[], None]) -> None:
    """Call this after a pause, in which no place is taken up; from any thread. Without a loop or a pause: at once."""
    if not pause_s or loop is None:
        function()
        return
    with contextlib.suppress(RuntimeError):  # the loop has ended, and the server with it
        loop.call_soon_threadsafe(loop.call_later, pause_s, function)
