"""A callable of a service, asynchronously."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from farcall.arguments import Checker
from farcall.engine import DIRECT_WAIT_S, Engine
from farcall.errors import ProtocolError, UsageError, WaitTimeout
from farcall.job import AsyncJob
from farcall.options import merged
from farcall.spec import EndpointSpec
from farcall.tracking import CallOptions
from farcall.wire import Request


class AsyncEndpoint:
    """One callable of a service. `await endpoint(a=1)` waits for the result, `await endpoint.submit(a=1)` for a job."""

    def __init__(self, engine: Engine, spec: EndpointSpec, checker: Checker, options: CallOptions) -> None:
        self._engine = engine
        self._checker = checker
        self._options = options
        self.spec = spec
        self.__name__ = spec.name
        self.__doc__ = spec.doc or f"{spec.method} {spec.path}"

    @property
    def name(self) -> str:
        """What it is called."""
        return self.spec.name

    @property
    def __signature__(self) -> inspect.Signature:
        return self._checker.signature

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call it and wait for the result.

        Raises:
            InputError: An argument is wrong; nothing was sent.
            ServiceError: It did not end well.
            WaitTimeout: `timeout_s` passed; the job goes on.
        """
        self._engine.check_loop()
        values = self._checker.check(args, kwargs)
        return await self._finish(self._job(), values)

    async def submit(self, /, *args: Any, **kwargs: Any) -> AsyncJob:
        """Call it and return the job once the host has accepted it.

        Raises:
            InputError: An argument is wrong; nothing was sent.
            ServiceError: It was not accepted.
            WaitTimeout: `timeout_s` passed before the host answered.
        """
        self._engine.check_loop()
        values = self._checker.check(args, kwargs)
        job = self._job()
        if self._options.timeout_s is None:
            await self._engine.submit(job._tracked, values, self._options)  # noqa: SLF001
            return job
        self._start(job, values)
        tracked = job._tracked  # noqa: SLF001
        sentence = f"{self.name} was not accepted within {self._options.timeout_s} s."
        try:
            await tracked.until(lambda: tracked.accepted, self._options.timeout_s, sentence)
        except WaitTimeout as error:
            error.job = job
            raise
        if tracked.problem is not None:
            job._check()  # noqa: SLF001
        return job

    async def pages(self, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """The result of this call, then that of each page after it, as the service tells where they are.

        Each page is asked for when it is wanted. Where the service tells of no further page, there is one.

        Raises:
            InputError: An argument is wrong; nothing was sent.
            ServiceError: A page did not come, or leads back to an earlier one.
        """
        self._engine.check_loop()
        values: Mapping[str, Any] = self._checker.check(args, kwargs)
        onward: Request | None = None
        seen: set[str] = set()
        while True:
            job = self._job()
            yield await self._finish(job, values, onward)
            after = self._engine.after(job._tracked, values, self._options)  # noqa: SLF001
            if after is None or (onward is not None and after[1] is None):
                return  # who names addresses and names none is at the end; the arguments no longer say where we are
            values, onward = after
            place = repr(sorted(values.items())) if onward is None else onward.url
            if place in seen:
                raise ProtocolError(f"{self.name}: a page leads back to an earlier one.", request=onward)
            seen.add(place)

    def options(self, **options: Any) -> Self:
        """The same endpoint with options for its calls.

        Args:
            options: `timeout_s` (our patience from submission to result, in seconds), `idempotency_key`, `headers`,
                `follow`, and what the provider takes.

        Raises:
            UsageError: An option is unknown or wrong.
        """
        return type(self)(self._engine, self.spec, self._checker, merged(self._engine, self._options, options))

    def _job(self) -> AsyncJob:
        engine = self._engine
        if engine.closed:
            raise UsageError("This service was closed; connect again.")
        return AsyncJob(engine, engine.track(self.spec), self._options)

    async def _finish(self, job: AsyncJob, values: Mapping[str, Any], onward: Request | None = None) -> Any:
        """Submit and wait for the result."""
        if self._options.timeout_s is None:
            await self._engine.submit(job._tracked, values, self._options, DIRECT_WAIT_S, onward)  # noqa: SLF001
        else:
            self._start(job, values, onward)  # goes on when our patience ends
        return await job.result()

    def _start(self, job: AsyncJob, values: Mapping[str, Any], onward: Request | None = None) -> None:
        """Submit in the background; an error is kept in the job, where its waiters find it."""
        task = self._engine.spawn(
            self._engine.submit(job._tracked, values, self._options, None, onward),  # noqa: SLF001
            "submit",
        )
        task.add_done_callback(_retrieved)

    def __repr__(self) -> str:
        return f"{self.name}{self._checker.signature}"


def _retrieved(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
