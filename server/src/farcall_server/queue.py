"""The jobs a server has accepted: which wait, which run, how they ended, and who waits for news of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from farcall import threads
from farcall.jobs import State

from farcall_server.durable import STOPPING, UNOPENED, Durable, Unavailable
from farcall_server.expiry import Expiry
from farcall_server.job import Job, Outcome
from farcall_server.lines import Line, Places, Rules, later
from farcall_server.listeners import Listener, tell_all, told
from farcall_server.listing import Asked
from farcall_server.recovery import hand_over, sort_out
from farcall_server.uploads import Folder

MOST_RECENT: Final = 256
"""Jobs that stay in memory after their end, where the rest is on disk, so that one who asks at once is told at once."""

MOST_WEIGHT: Final = 64 * 1024
"""Characters of an end; a job with a longer one does not stay."""

SETTLE_S: Final = 30.0
"""Longest wait in seconds for an end to be written down."""


class Store:
    """The jobs that wait and run, in memory. Without a durable place they end with the process.

    With one, a change is written there before anybody is told of it, and ended jobs leave the memory. Every method may
    be called from any thread, except the coroutines and `begin`.

    Args:
        durable: Where changes are written down; None: nowhere.
        max_concurrency: How many jobs may run over all endpoints; None: as many as the endpoints allow.
    """

    def __init__(self, durable: Durable | None = None, *, max_concurrency: int | None = None) -> None:
        self.durable = durable
        self.expiry = Expiry(self._evict_due)
        self._lock = threading.Lock()
        self._places = None if max_concurrency is None else Places(max_concurrency)
        self._lines: dict[str, Line] = {}
        self._jobs: dict[str, Job] = {}
        self._last = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._released = False
        self._busy: set[Job] = set()  # whose functions run
        self._drainers: dict[Listener, None] = {}
        self._written: set[str] = set()  # ended jobs that are read from the durable place
        self._recent: deque[str] = deque()

    @property
    def ready(self) -> bool:
        """Whether jobs are taken on; not while the server stops."""
        return not self._released

    def __len__(self) -> int:
        return len(self._jobs.keys() | self._written)

    def open(self, endpoint: str, rules: Rules, wake: Callable[[], None] = lambda: None) -> None:
        """Make room for an endpoint's jobs.

        Args:
            endpoint: Its path.
            rules: How they are kept.
            wake: Called, from any thread, when a job that could not run before may run now.
        """
        self._lines[endpoint] = Line(rules, wake)

    def folder(self) -> Folder:
        """Where the files of a call that comes in go."""
        return Folder() if self.durable is None else self.durable.folder()

    # --- what a killed server left

    async def begin(self) -> None:
        """Take up the jobs that the last server left: each waits again, or ends with the reason why not."""
        self._bind()
        if self.durable is None:
            return
        left = self.durable.open()
        ends, again = sort_out(left, self._lines)
        most = sum(line.rules.queue_size + line.rules.concurrency for line in self._lines.values()) + len(again)
        self.durable.begin(ends, again, most=most)
        with self._lock:
            self._last = left.last
            for job in again:
                self._await_turn(job, self._lines[job.endpoint])
                self._lines[job.endpoint].queued += 1
            for name, rest_s in {**left.ended, **{job.id: job.ttl_s for job, _ in ends}}.items():
                self._written.add(name)
                self.expiry.add(name, rest_s)

    def _bind(self) -> None:
        self._loop = self.expiry.loop = asyncio.get_running_loop()

    def _await_turn(self, job: Job, line: Line) -> None:
        line.waiting.append(job)
        self._jobs[job.id] = job

    def full(self, endpoint: str) -> bool:
        """Whether a job for this endpoint would be refused now."""
        return self._lines[endpoint].full

    async def accept(self, job: Job) -> bool:
        """Take a job on. False: the queue is full.

        Raises:
            Unavailable: The server stops, or the job cannot be written down.
        """
        line = self._lines[job.endpoint]
        with self._lock:
            if self._released:
                raise Unavailable(503, STOPPING, {"Retry-After": "1"})
            if self.durable is not None and self._loop is None:
                raise Unavailable(503, UNOPENED)
            if line.full:
                return False
            line.queued += 1
            self._last += 1
            job.number = self._last
            if self.durable is None:
                hand_over(job, line, job.arguments)
                self._await_turn(job, line)
        if self._loop is None:
            self._bind()
        if self.durable is not None:
            await self._write_down(self.durable, job, line)
        return True

    async def _write_down(self, durable: Durable, job: Job, line: Line) -> None:
        def written() -> None:
            hand_over(job, line, job.arguments)
            with self._lock:
                self._await_turn(job, line)

        try:
            await durable.accept(job, written)
        except Unavailable:
            with self._lock:
                line.queued -= 1
            raise
        except asyncio.CancelledError:  # its client will never know of it
            self.cancel(job)
            raise

    def waiting(self) -> list[tuple[str, int]]:
        """The endpoints, the one with the highest priority first, and how many of their jobs wait."""
        ranked = sorted(self._lines.items(), key=lambda item: -item[1].rules.priority)
        return [(endpoint, line.queued) for endpoint, line in ranked]

    def start(self, endpoint: str) -> Job | None:
        """The endpoint's next waiting job, now running; None if none waits, or none may run yet."""
        with self._lock:
            line = self._lines[endpoint]
            if self._released or not (self._places is None or self._places.take(line)):
                return None
            job = line.next()
            if job is None:
                self._give_back()
                return None
            line.queued -= 1
            line.running += 1
            self._busy.add(job)
            job.state = State.RUNNING
            job.begun += 1
            if self.durable is not None:
                self.durable.start(job)
            job.moments["started_at"] = time.time()
            self._moved(job)
            return job

    def _leave(self, line: Line) -> None:
        """One of the line's jobs runs no more."""
        line.running -= 1
        self._give_back()
        if self._drainers and not self._running:
            tell_all(self._drainers)

    def _give_back(self) -> None:
        if self._places is not None:
            self._places.give_back(self._lines.values())

    def update(
        self, job: Job, *, progress: float | None = None, message: str | None = None, line: str | None = None
    ) -> None:
        """Note progress, message or a log line; what is None stays, and an ended job stays as it is."""
        with self._lock:
            if job.state.ended or job.ending:
                return
            job.say(progress, message, line)
            self._moved(job)
            if self.durable is not None:
                self.durable.note(job)

    def finish(self, job: Job, outcome: Outcome) -> None:
        """A job's function has ended, and with it the job, if it has not before; the first end counts."""
        with self._lock:
            lingered = job in self._busy and job.state.ended
            self._busy.discard(job)
            if lingered:
                self._leave(self._lines[job.endpoint])
            elif not (job.state.ended or job.ending):
                self._conclude(job, outcome)

    def retry(self, job: Job) -> bool:
        """Have a running job wait for another run. False: it has had as many as it may, or is to end."""
        with self._lock:
            line = self._lines[job.endpoint]
            if job.state is not State.RUNNING or job.ending or job.cancelling or job.begun > line.rules.retries:
                return False
            job.state, job.stop, job.progress = State.QUEUED, None, None
            self._busy.discard(job)
            line.queued += 1  # its mark stays, so that a killed server's successor knows of this run
            self._moved(job)
            self._leave(line)
        later(self._loop, line.rules.pause_s(job.begun), partial(self._due, job, line))
        return True

    def _due(self, job: Job, line: Line) -> None:
        with self._lock:
            if job.state is not State.QUEUED or job.ending:  # cancelled meanwhile, or the server has stopped
                return
            line.waiting.append(job)
        line.wake()

    def cancel(self, job: Job) -> None:
        """End a waiting job at once, ask a running one to end."""
        with self._lock:
            if job.state.ended or job.ending:
                return
            if job.state is State.QUEUED:
                self._conclude(job, Outcome(state=State.CANCELLED))
            elif not job.cancelling:
                job.cancelling = True
                if job.stop is not None:
                    job.stop()

    def expire(self, job: Job, timeout_s: float) -> None:
        """End a running job that has run for too long, and stop it if it can be stopped."""
        with self._lock:
            if job.state is not State.RUNNING or job.ending:
                return
            job.cancelling = True  # what its function looks at
            if job.stop is not None:
                job.stop()
            error = f"The job ran for longer than its timeout of {timeout_s:g} s."
            self._conclude(job, Outcome(state=State.TIMED_OUT, error=error))

    async def settled(self, job: Job) -> None:
        """Return once the end that was asked for, if there was one, is written down."""
        if job.ending:
            await self.ended(job, SETTLE_S)

    def _conclude(self, job: Job, outcome: Outcome) -> None:
        """End a job: at once, or as soon as that is written down."""
        if self.durable is not None:
            job.ending = True
            self.durable.end(job, outcome, partial(self._written_down, job, outcome))
            return
        job.folder.keep(job.paths(outcome))
        self._end(job, outcome)

    def _written_down(self, job: Job, outcome: Outcome) -> None:
        with self._lock:
            self._end(job, outcome)
            self._written.add(job.id)
            if job.weight > MOST_WEIGHT:
                self._jobs.pop(job.id, None)
                return
            self._recent.append(job.id)
            if len(self._recent) > MOST_RECENT:
                self._jobs.pop(self._recent.popleft(), None)

    def _end(self, job: Job, outcome: Outcome) -> None:
        line = self._lines[job.endpoint]
        ran = job.state is State.RUNNING
        line.queued -= not ran
        job.end(outcome, time.time())
        self._moved(job)
        tell_all(job.mourners)
        if ran and job not in self._busy:  # else its function goes on in spite of a timeout, and takes up a place
            self._leave(line)
        self.expiry.add(job.id, job.ttl_s)

    def _moved(self, job: Job) -> None:
        job.revision += 1
        if job.listeners:
            tell_all(job.listeners)

    # --- looking

    async def get(self, job_id: str) -> Job | None:
        """The job of this id; None if there is none, or no more."""
        with self._lock:
            self._evict()
            job = self._jobs.get(job_id)
            if job is not None or self.durable is None or job_id not in self._written:
                return job
        return await threads.run(self.durable.find, job_id)

    def forget(self, job: Job) -> None:
        """Give up an ended job before its time, with its files; one that is written down stays until then."""
        with self._lock:
            if self.durable is None and job.state.ended and self._jobs.pop(job.id, None) is not None:
                job.folder.discard()

    async def page(self, asked: Asked) -> list[Job]:
        """The jobs that are asked for, newest first; those that have ended perhaps without their results."""
        with self._lock:
            self._evict()
            if self.durable is None or asked.state in {State.QUEUED, State.RUNNING}:
                return asked.among(self._jobs.values())
        rows = await threads.run(self.durable.page, asked)
        found = [self._jobs.get(job.id) or (job if job.state.ended else await self.get(job.id)) for job in rows]
        return [job for job in found if job is not None]

    def _evict_due(self) -> None:
        with self._lock:
            self._evict()
            self.expiry.arm()

    def _evict(self) -> None:
        gone = self.expiry.over()
        for name in gone:
            job = self._jobs.pop(name, None)
            if job is not None and self.durable is None:
                job.folder.discard()
        if gone and self.durable is not None:
            self._written.difference_update(gone)
            self.durable.forget(gone)

    # --- waiting

    async def changed(self, seen: Sequence[tuple[Job, int]], wait_s: float) -> None:
        """Return once a job has another revision than the one seen, at the latest after `wait_s` seconds."""

        def news() -> bool:
            return self._released or any(job.revision != revision for job, revision in seen)

        await told(self._lock, [job.listeners for job, _ in seen], wait_s, unless=news)

    async def ended(self, job: Job, wait_s: float) -> None:
        """Return once the job has ended, at the latest after `wait_s` seconds."""
        await told(self._lock, [job.mourners], wait_s, unless=lambda: self._released or job.state.ended)

    # --- the end

    def release(self) -> None:
        """The server stops: take no job on, start none, and wake everybody who waits."""
        with self._lock:
            self._released = True
            for job in self._jobs.values():
                tell_all(job.listeners)
                tell_all(job.mourners)

    async def drained(self, wait_s: float) -> None:
        """Return once no job runs, at the latest after `wait_s` seconds."""
        await told(self._lock, [self._drainers], wait_s, unless=lambda: not self._running)

    @property
    def _running(self) -> bool:
        return any(line.running for line in self._lines.values())

    async def close(self, reason: str) -> None:
        """Give everything up. Where jobs are durable those left are the next server's; else they end."""
        self.release()
        if self.durable is not None:
            await threads.run(self.durable.close)
        with self._lock:
            self._busy.clear()
            for job in self._jobs.values():
                job.ending = True  # what it comes to is not ours any more
                if self.durable is None:
                    if not job.state.ended:
                        self._end(job, Outcome(state=State.FAILED, error=reason))
                    job.folder.discard()
            for left in (self._jobs, self.expiry, self._written, self._recent, self._drainers):
                left.clear()
            for line in self._lines.values():
                line.clear()
            if self._places is not None:
                self._places.taken = 0
            self._loop = None
            self._released = False  # an app may be started again
