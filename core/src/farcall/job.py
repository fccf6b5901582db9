"""A submitted call, asynchronously."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any

from farcall import media
from farcall.arguments import PLAIN
from farcall.engine import Engine
from farcall.errors import ServiceError, UsageError, WaitTimeout
from farcall.files_async import AsyncFile
from farcall.jobs import Snapshot, State
from farcall.options import check_seconds
from farcall.results import settled, to_python
from farcall.tracking import CallOptions, Tracked, check_finished, closed, fresh
from farcall.wire import FileValue, Response


class AsyncJob:
    """One submitted call. `await job` gives its result."""

    def __init__(self, engine: Engine, tracked: Tracked, options: CallOptions) -> None:
        self._engine = engine
        self._tracked = tracked
        self._options = options
        self._reading: asyncio.Task[FileValue] | None = None

    @property
    def id(self) -> str | None:
        """The host's id; None until the host has accepted the job, or where it has none."""
        return self._tracked.snapshot.job_id

    @property
    def state(self) -> State:
        """Where the job is, as last known."""
        return self._tracked.snapshot.state

    @property
    def progress(self) -> float | None:
        """0.0 to 1.0, as last known; None if the host does not say."""
        return self._tracked.snapshot.progress

    @property
    def message(self) -> str | None:
        """The job's own words on what it does, as last known."""
        return self._tracked.snapshot.message

    @property
    def logs(self) -> tuple[str, ...]:
        """The lines of its log, as far as known."""
        return self._tracked.logs

    @property
    def endpoint(self) -> str:
        """Name of the endpoint that was called."""
        return self._tracked.endpoint.name

    def done(self) -> bool:
        """Whether it has ended, as last known; never waits."""
        return self._tracked.ended

    async def result(self, timeout_s: float | None = None) -> Any:
        """What the function returned; files are not read before they are opened.

        Args:
            timeout_s: Longest wait from now, in seconds; None: what is left of the call's own `timeout_s`, if any.

        Raises:
            JobFailed, JobCancelled, JobTimedOut, JobLost: It did not end well.
            WaitTimeout: It has not ended yet; it goes on.
        """
        if timeout_s is not None or self._tracked.snapshot.state is not State.SUCCEEDED:
            await self._wait(timeout_s)
            self._check()
        value = self._tracked.snapshot.result
        if self._tracked.reply is not None:  # the pieces of the reply are the result
            self._check_kept(0)
        if isinstance(value, Response):  # the reply is itself the result, and comes in once
            if self._reading is None:
                self._reading = self._engine.spawn(settled(value, self._downloaded), "reply")
            value = await self._read(self._reading)
        if type(value) in PLAIN:
            return value
        made = to_python(value, self._file)
        kind = media.wanted(self._tracked.endpoint.result)
        return made if kind is None else await media.given(made, kind)

    async def _read(self, reading: asyncio.Task[FileValue]) -> FileValue:
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            if reading.cancelled():  # it was `close` that cancelled, not who waits
                raise closed() from None
            raise

    async def exception(self, timeout_s: float | None = None) -> BaseException | None:
        """Why there is no result; None if there is one.

        Args:
            timeout_s: Longest wait from now, in seconds; None: what is left of the call's own `timeout_s`, if any.

        Raises:
            WaitTimeout: It has not ended yet; it goes on.
        """
        await self._wait(timeout_s)
        error = self._tracked.error()
        if isinstance(error, ServiceError):
            error.job = self
        return error

    async def cancel(self, timeout_s: float | None = None) -> Snapshot:
        """Ask the host to cancel it; returns the latest look once the host has answered.

        Args:
            timeout_s: Longest wait for that answer, in seconds; None: no end.

        Raises:
            CancelUnsupported: The host cannot; the job goes on.
            CancelFailed: It was asked and did not.
        """
        check_seconds(timeout_s)
        try:
            return await self._engine.cancel(self._tracked, timeout_s)
        except (ServiceError, WaitTimeout) as error:
            error.job = self
            raise

    async def ref(self) -> str:
        """The job written down as JSON without secrets, for `attach`; waits until the host has accepted it.

        Raises:
            UsageError: The host gives this job no id.
        """
        tracked = self._tracked
        await tracked.until(lambda: tracked.accepted, None, "")
        if tracked.ref is None:
            if tracked.ended:
                self._check()
            raise UsageError(f"{self.endpoint} was answered at once, without a job to take up again.")
        return tracked.ref.dump()

    async def events(self) -> AsyncIterator[Snapshot]:
        """The latest look first, then every change; ends with the last one, also for a failed job.

        Raises:
            JobLost, Unreachable: The job could not be followed to its end.
        """
        self._follow()
        try:
            async for snapshot in self._tracked.looks():
                yield snapshot
        except ServiceError as error:
            error.job = self
            raise

    async def stream(self) -> AsyncIterator[Any]:
        """The job's output from its start, piece by piece as it comes; raises the job's error at the end.

        On a host without streams there are no pieces, and it ends with the job. Of a long output the last 32 to 64 MiB
        are kept: who reads it as it comes can do so without end, who begins later or falls behind gets `ProtocolError`.

        Raises:
            ServiceError: The job did not end well, or its output is not whole; `result()` tells which.
        """
        self._follow()
        tracked = self._tracked
        position = 0
        while True:
            self._engine.listener.want(tracked)
            while position < len(tracked.output):
                self._check_kept(position)
                yield to_python(tracked.output[position], self._file)
                position += 1
            if not tracked.ended or tracked.streaming:
                await tracked.change()
            elif position == len(tracked.output):
                break
        self._check()
        if tracked.stream_problem is not None:
            cut = fresh(tracked.stream_problem)
            if isinstance(cut, ServiceError):
                cut.job = self
            raise cut

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    def __repr__(self) -> str:
        progress = "" if self.progress is None else f" {self.progress:.0%}"
        return f"<{type(self).__name__} {self.endpoint} {self.id or 'not accepted yet'} {self.state}{progress}>"

    def _check(self) -> None:
        """Raise the job's error if it has one; the error names the job."""
        try:
            check_finished(self._tracked)
        except ServiceError as error:
            error.job = self
            raise

    def _check_kept(self, number: int) -> None:
        """Raise if a piece of the output was let go; the error names the job."""
        if (missing := self._tracked.output.missing(number)) is not None:
            missing.job = self
            raise missing

    def _follow(self) -> None:
        self._tracked.wanted = True
        if self._tracked.ref is not None:
            self._engine.follower.add(self._tracked)

    async def _wait(self, timeout_s: float | None) -> None:
        tracked = self._tracked
        check_seconds(timeout_s)
        if tracked.ended:
            return
        self._engine.check_loop()
        self._follow()
        patience = timeout_s
        if timeout_s is None and self._options.timeout_s is not None:
            left = tracked.started_at + self._options.timeout_s - self._engine.loop.time()
            patience = max(0.0, left)
        shown = self._options.timeout_s if timeout_s is None else timeout_s
        sentence = f"{self.endpoint} has not ended within {shown} s; the job goes on, and error.job is it."
        try:
            await tracked.until(lambda: False, patience, sentence)
        except WaitTimeout as error:
            error.job = self
            if tracked.failures:
                error.args = (f"{sentence} The last look at it failed: {tracked.trouble}",)
            raise

    def _file(self, value: Any) -> AsyncFile:
        return AsyncFile(value, self._engine.courier.fetch, lambda: self._downloaded(value.name))

    def _downloaded(self, name: str) -> None:
        self._engine.tell("downloaded", self._tracked, file=name)
