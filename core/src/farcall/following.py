"""Decides when each job is looked at next, so that many jobs cost few requests and an end is seen soon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from farcall.jobs import Snapshot
from farcall.pace import pace
from farcall.tracking import closed, same
from farcall.waiting import Waiting

if TYPE_CHECKING:
    from farcall.engine import Engine
    from farcall.tracking import Tracked

HELD_OPEN: Final = 32
"""Looks a service holds open for us at once; more jobs than that are a crowd."""
LOOKS_AT_ONCE: Final = 64
GATHERING_S: Final = 0.01
"""How long jobs are gathered before one request asks for all of them."""
CHATTY_S: Final = 0.05
"""The shortest time between two looks that are held open, for a job that changes all the time."""
SHARE: Final = 0.15
"""The pause between two looks, as a share of the job's age."""
ORDINARY: Final = 1 / 3
"""The share of the budget for ordinary looks at many jobs; the rest is for those likely to have ended."""
NEXT: Final = 1 / 2
"""The pause of a job that is likely to end next, as a share of its ordinary one."""


class Follower:
    """Follows a service's jobs until each ends.

    Up to 32 jobs of a host that can hold a look open have one each. Beyond that, one look asks for many jobs where
    the host can do that; else they are asked for one by one, the pauses growing with a job's age, and with their
    number within the host's budget of requests. Whenever one has ended, the oldest are looked at: hosts take jobs in
    turn, so an end is rarely alone.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting = Waiting()
        self._looks: dict[asyncio.Task[None], Sequence[Tracked]] = {}
        self._held: set[asyncio.Task[None]] = set()
        self._given_up: set[asyncio.Task[None]] = set()
        self._dispatcher: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._crowd = 0
        """How many jobs waited when pauses were last made shorter, or since."""
        self._pace = pace(engine.facts.url)

    def add(self, tracked: Tracked) -> None:
        """Follow a job from now on; one that is followed already, or has ended, is left as it is."""
        if tracked.following or tracked.ended:
            return
        if self._engine.closed:
            tracked.lose(closed())
            self._engine.tell_end(tracked)
            return
        tracked.following = True
        if not tracked.resting:
            held = self._engine.facts.long_poll_s is not None
            tracked.due = 0.0 if held else max(tracked.due, self._engine.loop.time() + self._crowd_s())
        self._enqueue(tracked)

    def _enqueue(self, tracked: Tracked) -> None:
        self._waiting.put(tracked)
        self._news.set()
        if self._dispatcher is None or self._dispatcher.done():
            self._dispatcher = self._engine.spawn(self._dispatch(), "follow")
            self._dispatcher.add_done_callback(self._dispatched)

    def close(self) -> None:
        """Follow nothing any more; who still waits is told."""
        left = self._waiting.clear() + [t for group in self._looks.values() for t in group]
        for tracked in left:
            tracked.lose(closed())
            self._engine.tell_end(tracked)

    def _dispatched(self, task: asyncio.Task[None]) -> None:
        """Lose the jobs that nobody would look at any more, should deciding when ever break."""
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            for tracked in self._waiting.clear():
                tracked.lose(problem)
                self._engine.tell_end(tracked)

    async def _dispatch(self) -> None:
        """Start looks as they fall due, while any job waits for one."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            self._news.clear()
            now = loop.time()
            first = max(self._waiting.first_due(), self._pace.next_s)
            if first > now:
                await self._pause(first - now)
                continue
            if len(self._looks) >= LOOKS_AT_ONCE:
                await self._pause(None)
                continue
            await self._start_one(now)

    async def _pause(self, seconds: float | None) -> None:
        """Wait for the time to pass, or for a new job or a finished look."""
        loop = asyncio.get_running_loop()
        timer = None if seconds is None else loop.call_later(seconds, self._news.set)
        try:
            await self._news.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _start_one(self, now: float) -> None:
        facts = self._engine.facts
        many = facts.poll_batch > 1 and len(self._waiting) + len(self._held) > HELD_OPEN
        if many:
            await asyncio.sleep(GATHERING_S)  # so that a burst of jobs shares a request
            self._make_room()
        wait_s = facts.long_poll_s if len(self._held) < HELD_OPEN else None
        after_s = max(now, self._pace.next_s) + 1 / facts.poll_per_s
        group = self._waiting.take(facts.poll_batch if many else 1, now)
        if not group:
            return
        self._pace.next_s = after_s
        task = self._engine.spawn(self._look(group, wait_s), "look")
        self._looks[task] = group
        if wait_s is not None:
            self._held.add(task)
        task.add_done_callback(self._over)

    def _make_room(self) -> None:
        """Give up a look held open, so that its jobs join the next one; only where that loses nothing."""
        if len(self._held) < HELD_OPEN or self._engine.facts.read_once:
            return
        for task in list(self._held)[: HELD_OPEN // 2]:
            self._given_up.add(task)
            task.cancel()

    def _over(self, task: asyncio.Task[None]) -> None:
        group = self._looks.pop(task)
        self._held.discard(task)
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            for tracked in group:
                tracked.lose(problem)
                self._engine.tell_end(tracked)
        ended_with_loop = task.cancelled() and task not in self._given_up
        self._given_up.discard(task)
        for tracked in group:
            if self._engine.closed or ended_with_loop:
                tracked.lose(closed())
                self._engine.tell_end(tracked)
            elif not tracked.ended:
                self._enqueue(tracked)
        self._news.set()

    async def _look(self, group: Sequence[Tracked], wait_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        before: list[Snapshot] = [tracked.snapshot for tracked in group]
        for tracked in group:
            tracked.due, tracked.resting = 0.0, False
        await self._engine.look(group, wait_s)
        now = loop.time()
        held = wait_s is not None and now - began >= wait_s / 2
        news = any(not same(tracked.snapshot, snapshot) for tracked, snapshot in zip(group, before, strict=True))
        for tracked in group:
            self._engine.tell_end(tracked)
            if tracked.ended:
                self._ended(tracked, now)
            if tracked.ended or tracked.due or held:
                continue
            pause = self._pause_of(tracked, now)
            # what was held open came back for its news, so the next one may be held open at once
            tracked.due = began + min(CHATTY_S, pause) if wait_s is not None and news else now + pause

    def _ended(self, tracked: Tracked, now: float) -> None:
        self._waiting.end(tracked)
        if self._engine.facts.long_poll_s is not None:
            return
        endpoint = tracked.endpoint.name
        self._waiting.bring_forward(endpoint, now, lambda other: self._step(other, now) * NEXT)
        oldest = self._waiting.oldest(endpoint)
        if oldest is not None:
            self._waiting.not_later(oldest, now + self._step(oldest, now) * NEXT)
        if len(self._waiting) < self._crowd / 2:
            self._crowd = len(self._waiting)
            self._waiting.hasten(now, lambda other: self._pause_of(other, now))
        self._news.set()

    def _crowd_s(self) -> float:
        """Seconds in which each of a crowd can have an ordinary look, within their share of the budget."""
        count = len(self._waiting)
        self._crowd = max(self._crowd, count)
        return 0.0 if count <= HELD_OPEN else count / (self._engine.facts.poll_per_s * ORDINARY)

    def _pause_of(self, tracked: Tracked, now: float) -> float:
        """Seconds until the next ordinary look at a job."""
        facts, pause = self._engine.facts, self._step(tracked, now)
        if facts.long_poll_s is None and self._waiting.oldest(tracked.endpoint.name) is not tracked:
            pause = max(pause, self._crowd_s())
        return pause * (0.9 + 0.2 * self._engine.clock.chance())

    def _step(self, tracked: Tracked, now: float) -> float:
        """Seconds between two looks at a job of this age, were it alone."""
        facts = self._engine.facts
        return min(facts.poll_max_s, max(facts.poll_min_s, (now - tracked.accepted_at) * SHARE))
