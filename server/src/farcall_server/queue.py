"""The jobs a server has accepted: which wait, which run, how they ended, and who waits for news of them."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from farcall.jobs import Snapshot, State
from farcall.wire import FileValue

from farcall_server.chunks import Chunks
from farcall_server.uploads import Folder

MOST_LOG_LINES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended.

    Args:
        state: One of the ended states.
        result: JSON values, with a `FileValue` where a file stands.
        files: The result's files, in the order in which they stand in it.
        error: Why it failed.
        error_type: The exception's class name.
        traceback: The traceback as text.
    """

    state: State
    result: Any = None
    files: tuple[FileValue, ...] = ()
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = None


PENDING: Final = Outcome(state=State.QUEUED)


_drawn: deque[str] = deque()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drawn.clear)  # a child must not give out the parent's ids


def _new_id() -> str:
    """An id that cannot be guessed. Randomness is drawn for many at once: each draw gives up the interpreter lock."""
    while True:
        try:
            return _drawn.popleft()
        except IndexError:
            fresh = os.urandom(16 * 256).hex()
            _drawn.extend(fresh[start : start + 32] for start in range(0, len(fresh), 32))


class Job:
    """One accepted call. A store changes it; everybody else looks.

    Args:
        endpoint: The path of the endpoint it was sent to.
        arguments: Checked, ready to be handed to the function; dropped when the job has ended.
        ttl_s: Seconds its result is kept after its end.
        folder: The files that came with it; emptied when it is evicted.

    Attributes:
        revision: Grows with every change that a client can see.
        moments: When it was created, started and finished, in seconds since 1970.
        lines: How many lines the log has had, kept or not.
        chunks: Its output so far, if its function is a generator.
        cancelling: Whether somebody asked for its end.
        stop: What ends it while it runs, beside the flag; None if nothing can.
        told_at: When a waiting client was last told a change, on the monotonic clock.
    """

    __slots__ = (
        "arguments", "cancelling", "chunks", "endpoint", "folder", "id", "lines", "listeners", "logs", "message",
        "moments", "mourners",
        "outcome", "progress", "revision", "state", "stop", "told_at", "ttl_s",
    )  # fmt: skip

    def __init__(
        self, endpoint: str, arguments: Mapping[str, Any], *, ttl_s: float, folder: Folder | None = None
    ) -> None:
        self.id = _new_id()
        self.endpoint = endpoint
        self.arguments = arguments
        self.ttl_s = ttl_s
        self.folder = Folder() if folder is None else folder
        self.state = State.QUEUED
        self.progress: float | None = None
        self.message: str | None = None
        self.logs: deque[str] | None = None
        self.lines = 0
        self.chunks: Chunks | None = None
        self.outcome = PENDING
        self.revision = 0
        self.moments = {"created_at": time.time()}
        self.cancelling = False
        self.stop: Callable[[], None] | None = None
        self.told_at = 0.0
        self.listeners: set[Listener] = set()
        self.mourners: set[Listener] = set()

    def snapshot(self) -> Snapshot:
        """A look at the job as it is now."""
        outcome = self.outcome
        return Snapshot(
            state=self.state,
            job_id=self.id,
            progress=self.progress,
            message=self.message,
            result=outcome.result,
            error=outcome.error,
            error_type=outcome.error_type,
            traceback=outcome.traceback,
            logs=None if self.logs is None else tuple(self.logs),
            data={"rev": str(self.revision)},
        )


class Listener:
    """One waiting request; it is told once, from whatever thread."""

    __slots__ = ("future", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()

    def tell(self) -> None:
        """Wake the request; nothing if its loop has ended."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.settle)

    def settle(self) -> None:
        """Wake the request, on its own loop."""
        if not self.future.done():
            self.future.set_result(None)

    async def wait(self, wait_s: float) -> None:
        """Return once told, at the latest after `wait_s` seconds."""
        timer = self.loop.call_later(wait_s, self.settle)
        try:
            await self.future
        finally:
            timer.cancel()


class Store(Protocol):
    """Where jobs are kept. Every method may be called from any thread, except the coroutines."""

    def open(self, endpoint: str, *, queue_size: int, concurrency: int) -> None:
        """Make room for an endpoint's jobs: so many waiting, so many running."""
        ...

    def full(self, endpoint: str) -> bool:
        """Whether a job for this endpoint would be refused now."""
        ...

    async def accept(self, job: Job) -> bool:
        """Take a job on; from the return of True on it is never lost. False: the queue is full."""
        ...

    def start(self, endpoint: str) -> Job | None:
        """The endpoint's next waiting job, now running; None if none waits."""
        ...

    def update(
        self, job: Job, *, progress: float | None = None, message: str | None = None, line: str | None = None
    ) -> None:
        """Note progress, message or a log line; what is None stays, and an ended job stays as it is."""
        ...

    def finish(self, job: Job, outcome: Outcome) -> None:
        """End a job; the first end counts."""
        ...

    def cancel(self, job: Job) -> None:
        """End a waiting job at once, ask a running one to end."""
        ...

    def get(self, job_id: str) -> Job | None:
        """The job of this id; None if there is none, or no more."""
        ...

    async def changed(self, seen: Sequence[tuple[Job, int]], wait_s: float) -> None:
        """Return once a job has another revision than the one seen, at the latest after `wait_s` seconds."""
        ...

    async def ended(self, job: Job, wait_s: float) -> None:
        """Return once the job has ended, at the latest after `wait_s` seconds."""
        ...

    def release(self) -> None:
        """Wake everybody who waits, and let nobody wait any more: the server stops."""
        ...

    def close(self, reason: str) -> None:
        """End every job that has not ended, and forget all; `reason` is what clients still waiting are told."""
        ...


@dataclass(slots=True)
class _Line:
    """One endpoint's jobs in the order in which they came."""

    queue_size: int
    concurrency: int
    waiting: deque[Job] = field(default_factory=deque)
    queued: int = 0
    running: int = 0

    @property
    def full(self) -> bool:
        return self.queued + self.running >= self.queue_size + self.concurrency


class MemoryStore:
    """Jobs in this process's memory; they end with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._jobs: dict[str, Job] = {}
        self._expiring: list[tuple[float, str]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = math.inf
        self._released = False

    def __len__(self) -> int:
        return len(self._jobs)

    def open(self, endpoint: str, *, queue_size: int, concurrency: int) -> None:
        """Make room for an endpoint's jobs: so many waiting, so many running."""
        self._lines[endpoint] = _Line(queue_size, concurrency)

    def full(self, endpoint: str) -> bool:
        """Whether a job for this endpoint would be refused now."""
        return self._lines[endpoint].full

    async def accept(self, job: Job) -> bool:
        """Take a job on. False: the queue is full."""
        with self._lock:
            line = self._lines[job.endpoint]
            if line.full:
                return False
            line.waiting.append(job)
            line.queued += 1
            self._jobs[job.id] = job
        self._loop = asyncio.get_running_loop()
        return True

    def start(self, endpoint: str) -> Job | None:
        """The endpoint's next waiting job, now running; None if none waits."""
        with self._lock:
            line = self._lines[endpoint]
            while line.waiting:
                job = line.waiting.popleft()
                if not job.state.ended:  # a cancelled one is left in the line until its turn
                    line.queued -= 1
                    line.running += 1
                    job.state = State.RUNNING
                    job.moments["started_at"] = time.time()
                    self._moved(job)
                    return job
        return None

    def update(
        self, job: Job, *, progress: float | None = None, message: str | None = None, line: str | None = None
    ) -> None:
        """Note progress, message or a log line; what is None stays, and an ended job stays as it is."""
        with self._lock:
            if job.state.ended:
                return
            job.progress = job.progress if progress is None else progress
            job.message = job.message if message is None else message
            if line is not None:
                job.logs = deque(maxlen=MOST_LOG_LINES) if job.logs is None else job.logs
                job.logs.append(line)
                job.lines += 1
            self._moved(job)

    def finish(self, job: Job, outcome: Outcome) -> None:
        """End a job; the first end counts."""
        with self._lock:
            if not job.state.ended:
                self._end(job, outcome)

    def cancel(self, job: Job) -> None:
        """End a waiting job at once, ask a running one to end."""
        with self._lock:
            if job.state is State.QUEUED:
                self._end(job, Outcome(state=State.CANCELLED))
            elif not job.state.ended and not job.cancelling:
                job.cancelling = True
                if job.stop is not None:
                    job.stop()

    def _end(self, job: Job, outcome: Outcome) -> None:
        line = self._lines[job.endpoint]
        if job.state is State.RUNNING:
            line.running -= 1
        else:
            line.queued -= 1
        job.state, job.outcome, job.arguments, job.stop = outcome.state, outcome, {}, None
        job.progress = 1.0 if outcome.state is State.SUCCEEDED else job.progress
        job.moments["finished_at"] = time.time()
        self._moved(job)
        _tell(job.mourners)
        self._expire(job)

    def _moved(self, job: Job) -> None:
        job.revision += 1
        if job.listeners:
            _tell(job.listeners)

    def get(self, job_id: str) -> Job | None:
        """The job of this id; None if there is none, or no more."""
        with self._lock:
            self._evict()
            return self._jobs.get(job_id)

    # --- eviction: one timer, set to the moment at which the next result goes

    def _expire(self, job: Job) -> None:
        expires = time.monotonic() + job.ttl_s
        heapq.heappush(self._expiring, (expires, job.id))
        if expires < self._wakes_at and self._loop is not None:
            self._wakes_at = expires
            with contextlib.suppress(RuntimeError):  # the loop has ended; the next access evicts
                self._loop.call_soon_threadsafe(self._arm)

    def _arm(self) -> None:
        with self._lock:
            self._evict()
            self._disarm()
            if self._expiring:
                self._wakes_at = self._expiring[0][0]
                rest = self._wakes_at - time.monotonic()
                self._timer = asyncio.get_running_loop().call_later(max(rest, 0.0) + 0.01, self._arm)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wakes_at = None, math.inf

    def _evict(self) -> None:
        now = time.monotonic()
        while self._expiring and self._expiring[0][0] <= now:
            job = self._jobs.pop(heapq.heappop(self._expiring)[1])
            job.folder.discard()

    # --- waiting

    async def changed(self, seen: Sequence[tuple[Job, int]], wait_s: float) -> None:
        """Return once a job has another revision than the one seen, at the latest after `wait_s` seconds."""
        listener = Listener()
        with self._lock:
            if self._released or any(job.revision != revision for job, revision in seen):
                return
            for job, _ in seen:
                job.listeners.add(listener)
        try:
            await listener.wait(wait_s)
        finally:
            with self._lock:
                for job, _ in seen:
                    job.listeners.discard(listener)

    async def ended(self, job: Job, wait_s: float) -> None:
        """Return once the job has ended, at the latest after `wait_s` seconds."""
        listener = Listener()
        with self._lock:
            if self._released or job.state.ended:
                return
            job.mourners.add(listener)
        try:
            await listener.wait(wait_s)
        finally:
            with self._lock:
                job.mourners.discard(listener)

    # --- the end

    def release(self) -> None:
        """Wake everybody who waits, and let nobody wait any more: the server stops."""
        with self._lock:
            self._released = True
            for job in self._jobs.values():
                _tell(job.listeners)
                _tell(job.mourners)

    def close(self, reason: str) -> None:
        """End every job that has not ended, and forget all."""
        self.release()
        with self._lock:
            for job in self._jobs.values():
                if not job.state.ended:
                    self._end(job, Outcome(state=State.FAILED, error=reason))
                job.folder.discard()
            self._jobs.clear()
            self._expiring.clear()
            for line in self._lines.values():
                line.waiting.clear()
            self._disarm()
            self._loop = None
            self._released = False  # an app may be started again


def _tell(listeners: set[Listener]) -> None:
    for listener in listeners:
        listener.tell()
    listeners.clear()
