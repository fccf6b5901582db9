"""Where functions run: synchronous ones on daemon threads of ours, asynchronous ones on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from farcall.jobs import State

from farcall_server.arguments import Fetching, converted
from farcall_server.crew import Crew
from farcall_server.draining import JobOutput, awaited, drained
from farcall_server.job import Job, Outcome
from farcall_server.outcomes import failed, succeeded, succeeded_async
from farcall_server.progress import JobProgress
from farcall_server.queue import Store
from farcall_server.signature import Signature


class Lane(Protocol):
    """One endpoint's way from the queue to its function."""

    def wake(self) -> None:
        """A job was accepted: have it run as soon as there is room. Called on the event loop."""
        ...

    def again(self) -> None:
        """A job that could not run before may run now. From any thread."""
        ...

    async def close(self) -> None:
        """Stop what can be stopped; what cannot is left to its daemon thread."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an endpoint runs.

    Args:
        signature: The function.
        store: Where its jobs come from.
        fetching: Gets files that lie elsewhere, before the function runs.
        concurrency: How many jobs may run at once.
        timeout_s: Seconds after which a running job ends as timed out; None: never.
    """

    signature: Signature
    store: Store
    fetching: Fetching
    concurrency: int
    timeout_s: float | None = None

    @property
    def path(self) -> str:
        """The endpoint's."""
        return self.signature.spec.path

    def deadline(self, loop: asyncio.AbstractEventLoop | None, job: Job) -> Deadline | None:
        """What ends a job that begins now; None if nothing does."""
        return None if self.timeout_s is None or loop is None else Deadline(loop, self.store, job, self.timeout_s)

    def call(self, job: Job, values: Mapping[str, Any]) -> Any:
        """Call the function."""
        if self.signature.progress is None:
            return self.signature.function(**values)
        return self.signature.function(**values, **{self.signature.progress: JobProgress(_Report(self.store, job))})

    def finish(self, job: Job, outcome: Outcome) -> None:
        """End the job, or have it wait for another run if it failed and has one left."""
        if not (outcome.state is State.FAILED and self.store.retry(job)):
            self.store.finish(job, outcome)


class Deadline:
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
    """Runs a synchronous function, on as many threads as it may run at once.

    Args:
        work: What is run.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.loop: asyncio.AbstractEventLoop | None = None
        self.crew = Crew(work.concurrency, f"farcall-job {work.path}")

    def wake(self) -> None:
        """A job was accepted: have it run as soon as a thread is free."""
        self.loop = asyncio.get_running_loop()
        self.again()

    def again(self) -> None:
        """A job that could not run before may run now."""
        self.crew.put(self._next)

    def _next(self) -> None:
        job = self.work.store.start(self.work.path)
        if job is not None:  # else it was cancelled while it waited, or has to wait on
            self._run(job, self._outcome)

    def _run(self, job: Job, perform: Callable[[Job], Outcome]) -> None:
        deadline = self.work.deadline(self.loop, job)
        try:
            outcome = perform(job)
        except BaseException as error:  # noqa: BLE001 - a user's function may raise anything; the server goes on
            outcome = failed(error, cancelling=job.cancelling)
        if deadline is not None:
            deadline.over()
        self.work.finish(job, outcome)

    def _outcome(self, job: Job) -> Outcome:
        """What becomes of the job; may raise what its function raises."""
        work = self.work
        values = converted(work.signature, work.fetching.from_thread(work.signature, job, self.loop))
        return succeeded(drained(work.call(job, values), JobOutput(work.store, job)), job.folder)

    async def close(self) -> None:
        """Let the threads end after what they do now."""
        self.crew.close()


class LoopLane:
    """Runs an asynchronous function on the event loop, as many times at once as it may.

    Args:
        work: What is run.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.loop: asyncio.AbstractEventLoop | None = None
        self.tasks: set[asyncio.Task[Outcome]] = set()
        self.closed = False

    def wake(self) -> None:
        """A job was accepted: have it run as soon as there is room."""
        loop = self.loop = asyncio.get_running_loop()
        while len(self.tasks) < self.work.concurrency and (job := self.work.store.start(self.work.path)):
            task = loop.create_task(self._run(job))
            job.stop = partial(_cancel, loop, task)
            self.tasks.add(task)
            task.add_done_callback(partial(self._done, job, self.work.deadline(loop, job)))

    def again(self) -> None:
        """A job that could not run before may run now."""
        if self.loop is not None and not self.closed:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the server with it
                self.loop.call_soon_threadsafe(self.wake)

    async def _run(self, job: Job) -> Outcome:
        work = self.work
        try:
            values = job.arguments
            if work.signature.file_kinds:
                values = await work.fetching.ready(work.signature, values, job.folder)
            return await succeeded_async(await awaited(work.call(job, values), JobOutput(work.store, job)), job.folder)
        except BaseException as error:  # noqa: BLE001 - as above; also the cancellation a client asked for
            return failed(error, cancelling=job.cancelling)

    def _done(self, job: Job, deadline: Deadline | None, task: asyncio.Task[Outcome]) -> None:
        self.tasks.discard(task)
        if deadline is not None:
            deadline.over()
        # A task cancelled before its first step never enters _run.
        self.work.finish(job, Outcome(state=State.CANCELLED) if task.cancelled() else task.result())
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
