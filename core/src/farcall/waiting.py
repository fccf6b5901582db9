"""The jobs that wait for their next look: which is due, and which is likely to have ended with another one."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from farcall.tracking import Tracked

BROUGHT_FORWARD: Final = 2
"""How many jobs are looked at at once when one has ended: hosts take jobs in turn, so the oldest are next."""
SEARCHED: Final = 64
"""How many of the oldest jobs are considered for that."""


class Waiting:
    """Jobs in the order in which their looks fall due, and in the order in which they were begun."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Tracked]] = []
        self._due: dict[Tracked, float] = {}
        self._begun: dict[str, dict[Tracked, None]] = {}
        self._taken_at: dict[Tracked, float] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._due)

    def put(self, tracked: Tracked) -> None:
        """Have a job wait until it is due."""
        self._begun.setdefault(tracked.endpoint.name, {}).setdefault(tracked)
        self._push(tracked, tracked.due)

    def _push(self, tracked: Tracked, due: float) -> None:
        self._count += 1
        self._due[tracked] = due
        heapq.heappush(self._heap, (due, self._count, tracked))

    def first_due(self) -> float:
        """When the next one is due; only where there is one."""
        while self._is_stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0]

    def _is_stale(self, entry: tuple[float, int, Tracked]) -> bool:
        """Whether the job no longer waits, or waits for another time."""
        return self._due.get(entry[2]) != entry[0]

    def take(self, most: int, now: float) -> list[Tracked]:
        """The jobs that one look is for: those due, and with them those that rest for no reason of the host's."""
        group: list[Tracked] = []
        resting = []
        while self._heap and len(group) < most:
            entry = heapq.heappop(self._heap)
            due, _, tracked = entry
            if self._is_stale(entry):
                continue
            if tracked.resting and due > now and not tracked.ended:
                resting.append(entry)
                continue
            del self._due[tracked]
            if tracked.ended:
                self.end(tracked)
            else:
                self._taken_at[tracked] = now
                group.append(tracked)
        for entry in resting:
            heapq.heappush(self._heap, entry)
        return group

    def oldest(self, endpoint: str) -> Tracked | None:
        """The job of an endpoint that was begun first and has not ended; None if there is none."""
        return next(iter(self._begun.get(endpoint, ())), None)

    def not_later(self, tracked: Tracked, due: float) -> None:
        """Have a job that waits be due by then, unless it rests."""
        if self._due.get(tracked, due) > due and not tracked.resting:
            self._push(tracked, due)

    def end(self, tracked: Tracked) -> None:
        """Forget a job: it is followed no longer."""
        self._begun.get(tracked.endpoint.name, {}).pop(tracked, None)
        self._due.pop(tracked, None)
        self._taken_at.pop(tracked, None)

    def bring_forward(self, endpoint: str, now: float, pause_of: Callable[[Tracked], float]) -> None:
        """Have the oldest jobs of an endpoint looked at now, except those that were just looked at.

        Args:
            endpoint: Its name.
            now: The time, in seconds.
            pause_of: How long a job is left alone between two looks, in seconds.
        """
        left = BROUGHT_FORWARD
        for tracked, _ in zip(self._begun.get(endpoint, ()), range(SEARCHED), strict=False):
            waits = self._due.get(tracked, now) > now and not tracked.resting
            if waits and now - self._taken_at.get(tracked, -math.inf) >= pause_of(tracked):
                self._push(tracked, now)
                left -= 1
            if left == 0:
                return

    def hasten(self, now: float, pause_of: Callable[[Tracked], float]) -> None:
        """Have each job be due a pause after its last look at the latest; for when pauses have become shorter."""
        for tracked in list(self._due):
            self.not_later(tracked, max(now, self._taken_at.get(tracked, now) + pause_of(tracked)))

    def clear(self) -> list[Tracked]:
        """Forget all; those that waited."""
        left = list(self._due)
        for kept in (self._heap, self._due, self._begun, self._taken_at):
            kept.clear()
        return left
