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
from functools import partial
from typing import Any, Final, Protocol

from farcall import threads
from farcall.jobs import Snapshot, State
from farcall.wire import FileValue
from starlette.exceptions import HTTPException

from farcall_server.chunks import Chunks
from farcall_server.outputs import paths_of
from farcall_server.uploads import Folder

MOST_LOG_LINES: Final = 1000

MOST_RECENT: Final = 256
"""Streamed jobs whose pieces of output stay in memory after their end, where the rest is on disk."""

REVISIONS_APART: Final = 1_000_000
"""By how much a job's revision grows when its server was restarted: more than it can have grown unwritten."""

SETTLE_S: Final = 30.0
"""Longest wait in seconds for an end to be written down."""

STOPPED: Final = "server stopped while running"
_UNOPENED: Final = "The queue is not open: the app was served without its lifespan, as a mounted app is."
_STOPPING: Final = "The server is stopping; send the call again in a moment."

Given = bytes | Mapping[str, Any] | None
"""Arguments as they came, to be checked anew after a restart: a JSON body, or a form's values."""


class Unavailable(HTTPException):
    """The queue takes no jobs on now: 503 while it stops, 507 where the disk is full."""


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


def new_id() -> str:
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
        begun: How many times its function has been begun.
        given: Its arguments as they came; None once they are not needed any more.
        cancelling: Whether somebody asked for its end.
        ending: Whether it has ended, which is yet to be written down before anybody is told.
        stop: What ends it while it runs, beside the flag; None if nothing can.
        told_at: When a waiting client was last told a change, on the monotonic clock.
    """

    __slots__ = (
        "arguments", "begun", "cancelling", "chunks", "ending", "endpoint", "folder", "given", "id", "lines",
        "listeners", "logs", "message", "moments", "mourners", "outcome", "progress", "revision", "state", "stop",
        "told_at", "ttl_s",
    )  # fmt: skip

    def __init__(
        self,
        endpoint: str,
        arguments: Mapping[str, Any],
        *,
        ttl_s: float,
        folder: Folder | None = None,
        job_id: str | None = None,
    ) -> None:
        self.id = new_id() if job_id is None else job_id
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
        self.begun = 0
        self.given: Given = None
        self.cancelling = False
        self.ending = False
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
        if _running_loop() is self.loop:
            self.settle()
            return
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


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a killed server left behind.

    Args:
        waiting: Its jobs that have not ended, oldest first; whether each was running.
        ended: Ids of those that have, and the seconds their results are still kept.
    """

    waiting: Sequence[tuple[Job, bool]]
    ended: Mapping[str, float]


class Durable(Protocol):
    """Where a queue's changes are written down, so that they outlive the process."""

    @property
    def name(self) -> str:
        """As `queue=` would name it: `sqlite:////srv/jobs.db`."""
        ...

    def open(self) -> Recovered:
        """What the last owner left."""
        ...

    def begin(self, ends: Sequence[tuple[Job, Outcome]], again: Sequence[Job], *, most: int) -> None:
        """Write what became of it; then take on jobs, at most so many at once. Called on the event loop."""
        ...

    def folder(self) -> Folder:
        """A new job's folder."""
        ...

    async def accept(self, job: Job, then: Callable[[], None]) -> None:
        """Return once the job is written; `then` is called right before. Raises `Unavailable`."""
        ...

    def start(self, job: Job) -> None:
        """Note that its function is about to begin; a killed process leaves this to read."""
        ...

    def note(self, job: Job) -> None:
        """Write the job's progress soon."""
        ...

    def end(self, job: Job, outcome: Outcome, then: Callable[[], None]) -> None:
        """Write the job's end, and call `then` once that is done."""
        ...

    def forget(self, job_ids: Sequence[str]) -> None:
        """Remove these jobs and their files."""
        ...

    def find(self, job_id: str) -> Job | None:
        """A job that has ended."""
        ...

    def close(self) -> None:
        """Write what is left and give the place up. Blocks."""
        ...


def set_logs(job: Job, logs: Sequence[str], lines: int) -> None:
    """Put back the log that a job had."""
    job.logs, job.lines = deque(logs, maxlen=MOST_LOG_LINES), lines


class Store(Protocol):
    """Where jobs are kept. Every method may be called from any thread, except the coroutines."""

    def open(self, endpoint: str, rules: Rules) -> None:
        """Make room for an endpoint's jobs."""
        ...

    async def begin(self) -> None:
        """Take up the jobs that the last server left."""
        ...

    def folder(self) -> Folder:
        """Where the files of a call that comes in go."""
        ...

    def full(self, endpoint: str) -> bool:
        """Whether a job for this endpoint would be refused now."""
        ...

    async def accept(self, job: Job) -> bool:
        """Take a job on; from the return of True on it is never lost. False: the queue is full.

        Raises:
            Unavailable: No job can be taken on now.
        """
        ...

    @property
    def ready(self) -> bool:
        """Whether jobs are taken on; not while the server stops."""
        ...

    def waiting(self, endpoint: str) -> int:
        """How many of the endpoint's jobs wait."""
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

    def retry(self, job: Job) -> bool:
        """Have a running job wait for another run. False: it has had as many as it may, or is to end."""
        ...

    def expire(self, job: Job, timeout_s: float) -> None:
        """End a running job that has run for too long, and stop it if it can be stopped."""
        ...

    def cancel(self, job: Job) -> None:
        """End a waiting job at once, ask a running one to end."""
        ...

    async def settled(self, job: Job) -> None:
        """Return once the end that was asked for, if there was one, is written down."""
        ...

    def get(self, job_id: str) -> Job | None:
        """The job of this id; None if there is none, or no more."""
        ...

    def forget(self, job: Job) -> None:
        """Give up an ended job before its time, with its files."""
        ...

    async def changed(self, seen: Sequence[tuple[Job, int]], wait_s: float) -> None:
        """Return once a job has another revision than the one seen, at the latest after `wait_s` seconds."""
        ...

    async def ended(self, job: Job, wait_s: float) -> None:
        """Return once the job has ended, at the latest after `wait_s` seconds."""
        ...

    def release(self) -> None:
        """The server stops: take no job on, start none, and wake everybody who waits."""
        ...

    async def drained(self, wait_s: float) -> None:
        """Return once no job runs, at the latest after `wait_s` seconds."""
        ...

    async def close(self, reason: str) -> None:
        """Give everything up. Where jobs are durable those left are the next server's; else they end.

        Args:
            reason: Why those end that cannot be kept.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How an endpoint's jobs are kept.

    Args:
        queue_size: How many may wait.
        concurrency: How many may run.
        retries: How many more times a call is run that failed, or whose server was killed.
        idempotent: Whether a call may be run again as often as its server is killed.
        revive: Checks arguments as they came, after a restart; raises what a wrong one raises.
    """

    queue_size: int
    concurrency: int
    retries: int = 0
    idempotent: bool = False
    revive: Callable[[Given], Mapping[str, Any]] = lambda _: {}


@dataclass(slots=True)
class _Line:
    """One endpoint's jobs in the order in which they came."""

    rules: Rules
    waiting: deque[Job] = field(default_factory=deque)
    queued: int = 0
    running: int = 0

    @property
    def full(self) -> bool:
        return self.queued + self.running >= self.rules.queue_size + self.rules.concurrency


class MemoryStore:
    """The jobs that wait and run, in memory. Without a durable place they end with the process.

    With one, a change is written there before anybody is told of it, and ended jobs leave the memory.

    Args:
        durable: Where changes are written down; None: nowhere.
    """

    def __init__(self, durable: Durable | None = None) -> None:
        self.durable = durable
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._jobs: dict[str, Job] = {}
        self._expiring: list[tuple[float, str]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = math.inf
        self._released = False
        self._drainers: set[Listener] = set()
        self._written: set[str] = set()  # ended jobs that are read from the durable place
        self._recent: deque[str] = deque()

    @property
    def ready(self) -> bool:
        """Whether jobs are taken on; not while the server stops."""
        return not self._released

    def __len__(self) -> int:
        return len(self._jobs.keys() | self._written)

    def open(self, endpoint: str, rules: Rules) -> None:
        """Make room for an endpoint's jobs."""
        self._lines[endpoint] = _Line(rules)

    def folder(self) -> Folder:
        """Where the files of a call that comes in go."""
        return Folder() if self.durable is None else self.durable.folder()

    # --- what a killed server left

    async def begin(self) -> None:
        """Take up the jobs that the last server left: each waits again, or ends with the reason why not."""
        self._loop = asyncio.get_running_loop()
        if self.durable is None:
            return
        left = self.durable.open()
        ends, again = [], []
        for job, running in left.waiting:
            job.revision += REVISIONS_APART
            reason = self._why_not(job, running=running)
            if reason is None:
                again.append(job)
            else:
                ends.append((job, Outcome(state=State.FAILED, error=reason)))
        most = sum(line.rules.queue_size + line.rules.concurrency for line in self._lines.values()) + len(again)
        self.durable.begin(ends, again, most=most)
        with self._lock:
            for job in again:
                self._await_turn(job, self._lines[job.endpoint])
                self._lines[job.endpoint].queued += 1
            for name, rest_s in {**left.ended, **{job.id: job.ttl_s for job, _ in ends}}.items():
                self._written.add(name)
                self._expire(name, rest_s)

    def _why_not(self, job: Job, *, running: bool) -> str | None:
        """Why a job that was left cannot be run; None, and its arguments checked, if it can."""
        line = self._lines.get(job.endpoint)
        if line is None:
            return f"The server was started anew without {job.endpoint}."
        if running and not line.rules.idempotent and job.begun > line.rules.retries:
            return STOPPED
        try:
            job.arguments = line.rules.revive(job.given)
            job.given = None
        except Exception as error:  # noqa: BLE001 - a user's validator may raise anything; the others go on
            return f"The server was started anew, and {job.endpoint} does not take the arguments any more: {error}"
        return None

    def _await_turn(self, job: Job, line: _Line) -> None:
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
                raise Unavailable(503, _STOPPING, {"Retry-After": "1"})
            if self.durable is not None and self._loop is None:
                raise Unavailable(503, _UNOPENED)
            if line.full:
                return False
            line.queued += 1
            if self.durable is None:
                job.given = None
                self._await_turn(job, line)
        self._loop = asyncio.get_running_loop()
        if self.durable is not None:
            await self._write_down(self.durable, job, line)
        return True

    async def _write_down(self, durable: Durable, job: Job, line: _Line) -> None:
        def written() -> None:
            job.given = None
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

    def waiting(self, endpoint: str) -> int:
        """How many of the endpoint's jobs wait."""
        return self._lines[endpoint].queued

    def start(self, endpoint: str) -> Job | None:
        """The endpoint's next waiting job, now running; None if none waits."""
        with self._lock:
            line = self._lines[endpoint]
            while line.waiting and not self._released:
                job = line.waiting.popleft()
                if not (job.state.ended or job.ending):  # a cancelled one is left in the line until its turn
                    line.queued -= 1
                    line.running += 1
                    job.state = State.RUNNING
                    job.begun += 1
                    if self.durable is not None:
                        self.durable.start(job)
                    job.moments["started_at"] = time.time()
                    self._moved(job)
                    return job
        return None

    def update(
        self, job: Job, *, progress: float | None = None, message: str | None = None, line: str | None = None
    ) -> None:
        """Note progress, message or a log line; what is None stays, and an ended job stays as it is."""
        with self._lock:
            if job.state.ended or job.ending:
                return
            job.progress = job.progress if progress is None else progress
            job.message = job.message if message is None else message
            if line is not None:
                job.logs = deque(maxlen=MOST_LOG_LINES) if job.logs is None else job.logs
                job.logs.append(line)
                job.lines += 1
            self._moved(job)
            if self.durable is not None:
                self.durable.note(job)

    def finish(self, job: Job, outcome: Outcome) -> None:
        """End a job; the first end counts."""
        with self._lock:
            if not (job.state.ended or job.ending):
                self._conclude(job, outcome)

    def retry(self, job: Job) -> bool:
        """Have a running job wait for another run. False: it has had as many as it may, or is to end."""
        with self._lock:
            line = self._lines[job.endpoint]
            if job.state is not State.RUNNING or job.ending or job.cancelling or job.begun > line.rules.retries:
                return False
            job.state, job.stop, job.progress = State.QUEUED, None, None
            line.running -= 1
            line.queued += 1
            line.waiting.append(job)  # its mark stays, so that a killed server's successor knows of this run
            self._moved(job)
            self._tell_drained()
        return True

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
        if self.durable is None:
            job.folder.keep(paths_of(outcome.files))
            self._end(job, outcome)
        else:
            job.ending = True
            self.durable.end(job, outcome, partial(self._written_down, job, outcome))

    def _written_down(self, job: Job, outcome: Outcome) -> None:
        with self._lock:
            self._end(job, outcome)
            self._written.add(job.id)
            if job.chunks is not None:
                self._recent.append(job.id)
            if job.chunks is None or len(self._recent) > MOST_RECENT:
                self._jobs.pop(job.id if job.chunks is None else self._recent.popleft(), None)

    def _end(self, job: Job, outcome: Outcome) -> None:
        line = self._lines[job.endpoint]
        if job.state is State.RUNNING:
            line.running -= 1
        else:
            line.queued -= 1
        job.state, job.outcome, job.arguments, job.given, job.stop = outcome.state, outcome, {}, None, None
        job.progress = 1.0 if outcome.state is State.SUCCEEDED else job.progress
        job.moments["finished_at"] = time.time()
        self._moved(job)
        _tell(job.mourners)
        self._tell_drained()
        self._expire(job.id, job.ttl_s)

    def _moved(self, job: Job) -> None:
        job.revision += 1
        if job.listeners:
            _tell(job.listeners)

    def get(self, job_id: str) -> Job | None:
        """The job of this id; None if there is none, or no more."""
        with self._lock:
            self._evict()
            job = self._jobs.get(job_id)
            if job is not None or self.durable is None or job_id not in self._written:
                return job
        return self.durable.find(job_id)

    def forget(self, job: Job) -> None:
        """Give up an ended job before its time, with its files; one that is written down stays until then."""
        with self._lock:
            if self.durable is None and job.state.ended and self._jobs.pop(job.id, None) is not None:
                job.folder.discard()

    # --- eviction: one timer, set to the moment at which the next result goes

    def _expire(self, job_id: str, ttl_s: float) -> None:
        expires = time.monotonic() + ttl_s
        heapq.heappush(self._expiring, (expires, job_id))
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
        gone = []
        while self._expiring and self._expiring[0][0] <= now:
            gone.append(heapq.heappop(self._expiring)[1])
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
        """The server stops: take no job on, start none, and wake everybody who waits."""
        with self._lock:
            self._released = True
            for job in self._jobs.values():
                _tell(job.listeners)
                _tell(job.mourners)

    async def drained(self, wait_s: float) -> None:
        """Return once no job runs, at the latest after `wait_s` seconds."""
        listener = Listener()
        with self._lock:
            if not any(line.running for line in self._lines.values()):
                return
            self._drainers.add(listener)
        await listener.wait(wait_s)

    def _tell_drained(self) -> None:
        if self._drainers and not any(line.running for line in self._lines.values()):
            _tell(self._drainers)

    async def close(self, reason: str) -> None:
        """Give everything up. Where jobs are durable those left are the next server's; else they end."""
        self.release()
        if self.durable is not None:
            await threads.run(self.durable.close)
        with self._lock:
            for job in self._jobs.values() if self.durable is not None else ():
                job.ending = True  # what it comes to is not ours any more
            for job in self._jobs.values() if self.durable is None else ():
                if not job.state.ended:
                    self._end(job, Outcome(state=State.FAILED, error=reason))
                job.folder.discard()
            for left in (self._jobs, self._expiring, self._written, self._recent, self._drainers):
                left.clear()
            for line in self._lines.values():
                line.waiting.clear()
                line.queued = line.running = 0
            self._disarm()
            self._loop = None
            self._released = False  # an app may be started again


def _tell(listeners: set[Listener]) -> None:
    for listener in listeners:
        listener.tell()
    listeners.clear()
