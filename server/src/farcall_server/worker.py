"""Where functions run: synchronous ones on daemon threads of ours, asynchronous ones on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from farcall.errors import JobCancelled
from farcall.jobs import State

from farcall_server.chunks import awaited, drained
from farcall_server.outputs import files_of, plain
from farcall_server.progress import JobProgress
from farcall_server.queue import Job, Listener, Outcome, Store
from farcall_server.signature import Signature
from farcall_server.texts import sendable
from farcall_server.uploads import Folder

T = TypeVar("T")

LONGEST_TRACEBACK: Final = 20_000
"""Characters; the end is kept, where the cause stands."""


class Crew:
    """Daemon threads that start when they are needed and never keep the program alive.

    Not asyncio's default executor: its threads are joined at exit, so that one long function would hold up the end.

    Args:
        most: How many threads there may be.
        name: What they are called in a debugger.
    """

    def __init__(self, most: int, name: str) -> None:
        self.most, self.name = most, name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._pending = 0

    def put(self, work: Callable[[], None]) -> None:
        """Have a thread do this; it must not raise."""
        with self._lock:
            self._pending += 1
            starting = self._pending > self._threads and self._threads < self.most
            self._threads += starting
        self._work.put(work)
        if starting:
            threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._pending -= 1

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function on a thread and await what it returns or raises."""
        listener = Listener()
        done: list[tuple[T | None, BaseException | None]] = []

        def work() -> None:
            try:
                done.append((function(), None))
            except BaseException as error:  # noqa: BLE001 - carried over to the awaiting side
                done.append((None, error))
            listener.tell()

        self.put(work)
        await listener.future
        result, error = done[0]
        if isinstance(error, Exception):
            raise error
        if error is not None:  # a SystemExit would stop the server
            raise RuntimeError(reason(error)) from error
        return result  # type: ignore[return-value]  # T may include None

    def close(self) -> None:
        """Let the threads end, each after what it does now. The crew may be used again."""
        with self._lock:
            leaving, self._threads, self._pending = self._threads, 0, 0
            work, self._work = self._work, queue.SimpleQueue()
        for _ in range(leaving):
            work.put(None)


class Lane(Protocol):
    """One endpoint's way from the queue to its function."""

    def wake(self) -> None:
        """A job was accepted: have it run as soon as there is room. Called on the event loop."""
        ...

    async def close(self) -> None:
        """Stop what can be stopped; what cannot is left to its daemon thread."""
        ...


def lane(signature: Signature, store: Store, *, concurrency: int, timeout_s: float | None = None) -> Lane:
    """The lane that fits a function's kind.

    Args:
        signature: The function.
        store: Where its jobs come from.
        concurrency: How many may run at once.
        timeout_s: Seconds after which a running job ends as timed out; None: never.
    """
    kind = LoopLane if signature.asynchronous else ThreadLane
    return kind(signature, store, concurrency=concurrency, timeout_s=timeout_s)


class _Deadline:
    """Ends a job that runs for too long; armed from any thread, kept by the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store, job: Job, timeout_s: float) -> None:
        self.loop, self.timeout_s = loop, timeout_s
        self._expire = partial(store.expire, job, timeout_s)
        self._timer: asyncio.TimerHandle | None = None
        self._call(self._arm)

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the server with it
            self.loop.call_soon_threadsafe(function)

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.timeout_s, self._expire)

    def over(self) -> None:
        """The job has ended by itself."""
        self._call(self._disarm)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class ThreadLane:
    """Runs a synchronous function, on as many threads as it may run at once."""

    def __init__(self, signature: Signature, store: Store, *, concurrency: int, timeout_s: float | None = None) -> None:
        self.signature, self.store, self.timeout_s = signature, store, timeout_s
        self.loop: asyncio.AbstractEventLoop | None = None
        self.crew = Crew(concurrency, f"farcall-job {signature.spec.path}")

    def wake(self) -> None:
        """A job was accepted: have it run as soon as a thread is free."""
        self.loop = asyncio.get_running_loop()
        self.crew.put(self._next)

    def _next(self) -> None:
        job = self.store.start(self.signature.spec.path)
        if job is None:  # it was cancelled while it waited
            return
        deadline = None
        if self.timeout_s is not None and self.loop is not None:
            deadline = _Deadline(self.loop, self.store, job, self.timeout_s)
        try:
            result = self.signature.function(**_arguments(self.signature, self.store, job))
            outcome = _succeeded(drained(result, self.store, job), job.folder)
        except BaseException as error:  # noqa: BLE001 - a user's function may raise anything; the server goes on
            outcome = _failed(error, cancelling=job.cancelling)
        if deadline is not None:
            deadline.over()
        if not _finish(self.store, job, outcome):
            self.crew.put(self._next)

    async def close(self) -> None:
        """Let the threads end after what they do now."""
        self.crew.close()


class LoopLane:
    """Runs an asynchronous function on the event loop, as many times at once as it may."""

    def __init__(self, signature: Signature, store: Store, *, concurrency: int, timeout_s: float | None = None) -> None:
        self.signature, self.store, self.concurrency, self.timeout_s = signature, store, concurrency, timeout_s
        self.tasks: set[asyncio.Task[Outcome]] = set()
        self.closed = False

    def wake(self) -> None:
        """A job was accepted: have it run as soon as there is room."""
        loop = asyncio.get_running_loop()
        while len(self.tasks) < self.concurrency and (job := self.store.start(self.signature.spec.path)):
            task = loop.create_task(self._run(job))
            job.stop = partial(_cancel, loop, task)
            self.tasks.add(task)
            deadline = None if self.timeout_s is None else _Deadline(loop, self.store, job, self.timeout_s)
            task.add_done_callback(partial(self._done, job, deadline))

    async def _run(self, job: Job) -> Outcome:
        try:
            result = self.signature.function(**_arguments(self.signature, self.store, job))
            return _succeeded(await awaited(result, self.store, job), job.folder)
        except BaseException as error:  # noqa: BLE001 - as above; also the cancellation a client asked for
            return _failed(error, cancelling=job.cancelling)

    def _done(self, job: Job, deadline: _Deadline | None, task: asyncio.Task[Outcome]) -> None:
        self.tasks.discard(task)
        if deadline is not None:
            deadline.over()
        # A task cancelled before its first step never enters _run.
        _finish(self.store, job, Outcome(state=State.CANCELLED) if task.cancelled() else task.result())
        if not self.closed:
            self.wake()

    async def close(self) -> None:
        """Cancel what runs, and wait until it has ended."""
        self.closed = True
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.closed = False


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Outcome]) -> None:
    loop.call_soon_threadsafe(task.cancel)


class _Report:
    """Carries a function's progress to its job."""

    __slots__ = ("job", "store")

    def __init__(self, store: Store, job: Job) -> None:
        self.store, self.job = store, job

    @property
    def cancelling(self) -> bool:
        return self.job.cancelling

    def tell(self, *, progress: float | None = None, message: str | None = None, line: str | None = None) -> None:
        self.store.update(self.job, progress=progress, message=message, line=line)


def _arguments(signature: Signature, store: Store, job: Job) -> Mapping[str, Any]:
    if signature.progress is None:
        return job.arguments
    return {**job.arguments, signature.progress: JobProgress(_Report(store, job))}


def _finish(store: Store, job: Job, outcome: Outcome) -> bool:
    """End the job. False: it failed, and waits for another run."""
    if outcome.state is State.FAILED and store.retry(job):
        return False
    store.finish(job, outcome)
    return True


def _succeeded(value: Any, folder: Folder) -> Outcome:
    result = plain(value, folder)
    return Outcome(state=State.SUCCEEDED, result=result, files=files_of(result))


def _failed(error: BaseException, *, cancelling: bool) -> Outcome:
    if cancelling and isinstance(error, asyncio.CancelledError | JobCancelled):
        return Outcome(state=State.CANCELLED)
    return Outcome(
        state=State.FAILED, error=reason(error), error_type=type(error).__name__, traceback=_traceback(error)
    )


def reason(error: BaseException) -> str:
    """Why a function failed, in its own words; for one that called `sys.exit` that it did."""
    if isinstance(error, SystemExit):
        return f"The function ended with SystemExit({error.code!r})."
    try:
        return sendable(str(error)) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception's __str__ is a user's code too
        return type(error).__name__


def _traceback(error: BaseException) -> str:
    """The traceback from the user's function on, without the lines of ours that called it."""
    shown = error.__traceback__
    while shown is not None and shown.tb_frame.f_globals.get("__name__", "").startswith("farcall_server."):
        shown = shown.tb_next
    try:
        return sendable("".join(traceback.format_exception(type(error), error, shown))[-LONGEST_TRACEBACK:])
    except Exception:  # noqa: BLE001 - as above
        return type(error).__name__
