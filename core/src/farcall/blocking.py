"""The blocking face: the same services, endpoints and jobs, over the same engine on a thread of ours."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeVar

from farcall import background
from farcall.binding import Binding
from farcall.endpoint import AsyncEndpoint
from farcall.errors import FarcallError, ServiceError, UsageError, WaitTimeout
from farcall.files import File
from farcall.files_async import AsyncFile
from farcall.gathering import as_completed_async, gather_async, listed_jobs
from farcall.job import AsyncJob
from farcall.jobs import Snapshot, State
from farcall.service import AsyncService, find, unknown
from farcall.spec import Problem

T = TypeVar("T")


def _run(generation: int, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run on the engine's thread, unless this process is a fork of the one that connected."""
    if generation != background.generation:
        coroutine.close()
        raise UsageError("This service was connected before the process forked; connect again in the child.")
    return background.run(coroutine)


class Job:
    """One submitted call. Its properties never block."""

    def __init__(self, job: AsyncJob, generation: int) -> None:
        self._async = job
        self._generation = generation

    @property
    def id(self) -> str | None:
        """The host's id; None until the host has accepted the job, or where it has none."""
        return self._async.id

    @property
    def state(self) -> State:
        """Where the job is, as last known."""
        return self._async.state

    @property
    def progress(self) -> float | None:
        """0.0 to 1.0, as last known; None if the host does not say."""
        return self._async.progress

    @property
    def message(self) -> str | None:
        """The job's own words on what it does, as last known."""
        return self._async.message

    @property
    def logs(self) -> tuple[str, ...]:
        """The lines of its log, as far as known."""
        return self._async.logs

    @property
    def endpoint(self) -> str:
        """Name of the endpoint that was called."""
        return self._async.endpoint

    def done(self) -> bool:
        """Whether it has ended, as last known; never waits."""
        return self._async.done()

    def result(self, timeout_s: float | None = None) -> Any:
        """What the function returned; files are not read before they are opened.

        Args:
            timeout_s: Longest wait from now, in seconds; None: what is left of the call's own `timeout_s`, if any.

        Raises:
            JobFailed, JobCancelled, JobTimedOut, JobLost: It did not end well.
            WaitTimeout: It has not ended yet; it goes on.
        """
        return blocking_value(self._run(self._async.result(timeout_s)))

    def exception(self, timeout_s: float | None = None) -> BaseException | None:
        """Why there is no result; None if there is one.

        Args:
            timeout_s: Longest wait from now, in seconds; None: what is left of the call's own `timeout_s`, if any.

        Raises:
            WaitTimeout: It has not ended yet; it goes on.
        """
        error = self._run(self._async.exception(timeout_s))
        _named(error, self)
        return error

    def cancel(self, timeout_s: float | None = None) -> Snapshot:
        """Ask the host to cancel it; returns the latest look once the host has answered.

        Args:
            timeout_s: Longest wait for that answer, in seconds; None: no end.

        Raises:
            CancelUnsupported: The host cannot; the job goes on.
            CancelFailed: It was asked and did not.
        """
        return self._run(self._async.cancel(timeout_s))

    def ref(self) -> str:
        """The job written down as JSON without secrets, for `attach`; waits until the host has accepted it.

        Raises:
            UsageError: The host gives this job no id.
        """
        return self._run(self._async.ref())

    def events(self) -> Iterator[Snapshot]:
        """The latest look first, then every change; ends with the last one, also for a failed job.

        Raises:
            JobLost, Unreachable: The job could not be followed to its end.
        """
        return _each(self._generation, self._async.events())

    def stream(self) -> Iterator[Any]:
        """The job's output from its start, piece by piece as it comes; raises the job's error at the end.

        On a host without streams there are no pieces, and it ends with the job. Of a long output the last 32 to 64 MiB
        are kept: who reads it as it comes can do so without end, who begins later or falls behind gets `ProtocolError`.
        """
        pieces = _each(self._generation, self._async.stream())
        try:
            yield from map(blocking_value, pieces)
        except FarcallError as error:
            _named(error, self)
            raise

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the engine's thread; an error names this job."""
        try:
            return _run(self._generation, coroutine)
        except FarcallError as error:
            _named(error, self)
            raise

    def __repr__(self) -> str:
        return repr(self._async).replace("AsyncJob", "Job", 1)


class Endpoint:
    """One callable of a service. `endpoint(a=1)` waits for the result, `endpoint.submit(a=1)` gives a job at once."""

    def __init__(self, endpoint: AsyncEndpoint, generation: int) -> None:
        self._async = endpoint
        self._generation = generation
        self.spec = endpoint.spec
        self.__name__ = endpoint.spec.name
        self.__doc__ = endpoint.__doc__

    @property
    def name(self) -> str:
        """What it is called."""
        return self.spec.name

    @property
    def __signature__(self) -> inspect.Signature:
        return self._async.__signature__

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call it and wait for the result.

        Raises:
            InputError: An argument is wrong; nothing was sent.
            ServiceError: It did not end well.
            WaitTimeout: `timeout_s` passed; the job goes on.
        """
        endpoint = self._async
        values = endpoint._checker.check(args, kwargs)  # noqa: SLF001 - here, so that the caller's traceback is short
        job = Job(endpoint._job(), self._generation)  # noqa: SLF001
        return blocking_value(job._run(endpoint._finish(job._async, values)))  # noqa: SLF001

    def submit(self, /, *args: Any, **kwargs: Any) -> Job:
        """Call it and return the job at once; upload and submission go on in the background.

        Raises:
            InputError: An argument is wrong; nothing was sent.
        """
        endpoint = self._async
        values = endpoint._checker.check(args, kwargs)  # noqa: SLF001
        if self._generation != background.generation:
            raise UsageError("This service was connected before the process forked; connect again in the child.")
        job = Job(endpoint._job(), self._generation)  # noqa: SLF001
        background.loop().call_soon_threadsafe(endpoint._start, job._async, values)  # noqa: SLF001
        return job

    def pages(self, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """The result of this call, then that of each page after it, as the service tells where they are.

        Each page is asked for when it is wanted. Where the service tells of no further page, there is one.

        Raises:
            InputError: An argument is wrong; nothing was sent.
            ServiceError: A page did not come, or leads back to an earlier one.
        """
        try:
            yield from map(blocking_value, _each(self._generation, self._async.pages(*args, **kwargs)))
        except (ServiceError, WaitTimeout) as error:
            if isinstance(error.job, AsyncJob):
                error.job = Job(error.job, self._generation)
            raise

    def options(self, **options: Any) -> Self:
        """The same endpoint with options for its calls.

        Args:
            options: `timeout_s` (our patience from submission to result, in seconds), `idempotency_key`, `headers`,
                `follow`, and what the provider takes.

        Raises:
            UsageError: An option is unknown or wrong.
        """
        return type(self)(self._async.options(**options), self._generation)

    def __repr__(self) -> str:
        return repr(self._async)


class Service:
    """A connected service; its endpoints are attributes. A context manager."""

    def __init__(self, service: AsyncService, generation: int) -> None:
        self._async = service
        self._generation = generation
        self._endpoints: Mapping[str, Endpoint] = MappingProxyType(
            {name: Endpoint(endpoint, generation) for name, endpoint in service.endpoints.items()}
        )
        background.look_after(service._engine)  # noqa: SLF001 - its other half

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """Name to endpoint, in the service's order."""
        return self._endpoints

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was left out of the service's description, and why."""
        return self._async.problems

    @property
    def binding(self) -> Binding:
        """Provider, options and endpoints this service was connected with."""
        return self._async.binding

    def __getattr__(self, name: str) -> Endpoint:
        if name in {"_async", "_generation", "_endpoints"} or name.startswith("__"):
            raise AttributeError(name)
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise unknown(name, self._endpoints)
        return endpoint

    def __getitem__(self, path: str) -> Endpoint:
        endpoint: Endpoint = find(path, self._endpoints)
        return endpoint

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._endpoints})

    def attach(self, ref: str) -> Job:
        """Take a job up again by what its `ref()` wrote, also in another process; sends nothing itself.

        Raises:
            UsageError: The reference is another service's, or none.
        """

        async def attach() -> AsyncJob:
            return self._async.attach(ref)

        return Job(_run(self._generation, attach()), self._generation)

    def close(self) -> None:
        """Stop following and give the connections up; the host's jobs go on."""
        if self._generation == background.generation:
            background.open_engines.discard(self._async._engine)  # noqa: SLF001
            background.run(self._async.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._async).replace("AsyncService", "Service", 1)


def gather(jobs: Iterable[Job], return_exceptions: bool = False) -> list[Any]:  # noqa: FBT001, FBT002 - asyncio.gather's signature
    """The jobs' results, in order.

    Args:
        jobs: Of one service or several.
        return_exceptions: Put errors into the list instead of raising the first one.

    Raises:
        FarcallError: The first job's that did not end well; the others go on.
    """
    listed = listed_jobs(jobs, Job, "gather")
    if not listed:
        return []
    by_job = {job._async: job for job in listed}  # noqa: SLF001
    try:
        values = _run(listed[0]._generation, gather_async([job._async for job in listed], return_exceptions))  # noqa: SLF001
    except FarcallError as error:
        _named(error, by_job)
        raise
    return [blocking_value(_named(value, by_job)) for value in values]


def as_completed(jobs: Iterable[Job], timeout_s: float | None = None) -> Iterator[Job]:
    """The jobs themselves, each as soon as it has ended, well or not.

    Args:
        jobs: Of one service or several.
        timeout_s: Longest wait for all of them, in seconds; None: no end.

    Raises:
        WaitTimeout: Some have not ended within `timeout_s` seconds; they go on.
    """
    by_job = {job._async: job for job in listed_jobs(jobs, Job, "as_completed")}  # noqa: SLF001
    if by_job:
        generation = next(iter(by_job.values()))._generation  # noqa: SLF001
        for job in _each(generation, as_completed_async(by_job, timeout_s)):
            yield by_job[job]


def _named(error: Any, job: Job | Mapping[AsyncJob, Job]) -> Any:
    """An error's `job` in the caller's colour; anything else as it is."""
    if isinstance(error, ServiceError | WaitTimeout) and isinstance(error.job, AsyncJob):
        error.job = job if isinstance(job, Job) else job.get(error.job)
    return error


def blocking_value(value: Any) -> Any:
    """A result with `File` where the engine put `AsyncFile`."""
    if isinstance(value, AsyncFile):
        return File.of(value)
    if type(value) is list:
        return [blocking_value(item) for item in value]
    if type(value) is dict:
        return {key: blocking_value(item) for key, item in value.items()}
    return value


def _each(generation: int, items: Any) -> Iterator[Any]:
    """An async iterator's items, one wait each; given up cleanly when the caller stops early."""
    missing = object()

    async def following() -> Any:
        return await anext(items, missing)

    try:
        while (item := _run(generation, following())) is not missing:
            yield item
    finally:
        if generation == background.generation:
            background.run(items.aclose())


def bind_blocking(service: AsyncService) -> Service:
    """The blocking face of a service connected on the engine's thread."""
    return Service(service, background.generation)
