"""The asynchronous face: services, endpoints and jobs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar

from pydantic import BaseModel, ValidationError

from farcall import media
from farcall.arguments import PLAIN, Checker
from farcall.binding import Binding
from farcall.engine import DIRECT_WAIT_S, Engine
from farcall.errors import ProtocolError, ServiceError, UnknownEndpoint, UsageError, WaitTimeout
from farcall.files_async import AsyncFile
from farcall.hints import did_you_mean, faults
from farcall.jobs import JobRef, Snapshot, State
from farcall.keys import has_controls
from farcall.results import settled, to_python
from farcall.spec import EndpointSpec, Problem, normalised
from farcall.tracking import CallOptions, Tracked, check_finished, closed, fresh
from farcall.wire import FileValue, Request, Response

OWN_OPTIONS: Final = ("timeout_s", "idempotency_key", "headers", "follow")


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
        _check_seconds(timeout_s)
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
        _check_seconds(timeout_s)
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


class AsyncService:
    """A connected service; its endpoints are attributes. An async context manager."""

    def __init__(self, engine: Engine, endpoints: Iterable[EndpointSpec], problems: Sequence[Problem] = ()) -> None:
        self._engine = engine
        self._endpoints: Mapping[str, AsyncEndpoint] = MappingProxyType(
            {
                spec.name: AsyncEndpoint(engine, spec, Checker(spec), CallOptions(own=_own(engine, {})))
                for spec in endpoints
            }
        )
        self._problems = tuple(problems)

    @property
    def endpoints(self) -> Mapping[str, AsyncEndpoint]:
        """Name to endpoint, in the service's order."""
        return self._endpoints

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was left out of the service's description, and why."""
        return self._problems

    @property
    def binding(self) -> Binding:
        """Provider, options and endpoints this service was connected with."""
        return self._engine.binding

    def __getattr__(self, name: str) -> AsyncEndpoint:
        if name in {"_engine", "_endpoints", "_problems"} or name.startswith("__"):
            raise AttributeError(name)
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise unknown(name, self._endpoints)
        return endpoint

    def __getitem__(self, path: str) -> AsyncEndpoint:
        endpoint: AsyncEndpoint = find(path, self._endpoints)
        return endpoint

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._endpoints})

    def attach(self, ref: str) -> AsyncJob:
        """Take a job up again by what its `ref()` wrote, also in another process; sends nothing itself.

        Raises:
            UsageError: The reference is another service's, or none.
        """
        loaded = JobRef.load(ref)
        known = self._endpoints.get(loaded.endpoint)
        spec = EndpointSpec(path=loaded.endpoint, name=loaded.endpoint) if known is None else known.spec
        job = AsyncJob(self._engine, self._engine.attach(loaded, spec), CallOptions())
        job._follow()  # noqa: SLF001
        return job

    async def close(self) -> None:
        """Stop following and give the connections up; the host's jobs go on."""
        await self._engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        where = f"{self.binding.provider} at {self._engine.origin}"
        return f"<{type(self).__name__} {where}: {len(self._endpoints)} endpoints>"


def find(path: str, endpoints: Mapping[str, Any]) -> Any:
    """The endpoint of that name or path: exactly first, then in the host family's normalised spelling.

    Raises:
        UnknownEndpoint: There is none; close matches are named.
        UsageError: It is no text.
    """
    if not isinstance(path, str):
        raise UsageError(f"An endpoint is found by its path or name, a text; not by {path!r}.")
    if path in endpoints:
        return endpoints[path]
    for same in (lambda p: p, normalised):
        for endpoint in endpoints.values():
            if same(endpoint.spec.path) == same(path):
                return endpoint
    raise unknown(path, endpoints)


def unknown(name: str, endpoints: Mapping[str, Any]) -> UnknownEndpoint:
    """The error for a name or path the service does not have."""
    if not endpoints:
        return UnknownEndpoint(
            f"The service has no endpoint {name!r}: it has none that it describes. "
            "Say where its description is with spec=, or what it offers with endpoints=."
        )
    known = [*endpoints, *(endpoint.spec.path for endpoint in endpoints.values())]
    hint = did_you_mean(name, known)
    listed = ", ".join(list(endpoints)[:20])
    return UnknownEndpoint(f"The service has no endpoint {name!r}.{hint} It has: {listed}.")


def merged(engine: Engine, old: CallOptions, options: Mapping[str, Any]) -> CallOptions:
    """Options of a call with some set anew.

    Raises:
        UsageError: An option is unknown or wrong.
    """
    mine = {name: value for name, value in options.items() if name in OWN_OPTIONS}
    rest = {name: value for name, value in options.items() if name not in OWN_OPTIONS}
    _check_seconds(mine.get("timeout_s"))
    _check_own(mine)
    own = old.own if not rest else _own(engine, {**_set(old.own), **rest})
    return replace(old, **mine, own=own)


def _check_seconds(timeout_s: Any) -> None:
    if timeout_s is not None and not (isinstance(timeout_s, int | float) and timeout_s >= 0):
        raise UsageError(f"timeout_s is seconds, 0 or more, or None; not {timeout_s!r}.")


def _check_own(options: Mapping[str, Any]) -> None:
    headers, key = options.get("headers"), options.get("idempotency_key")
    if headers is not None and not isinstance(headers, Mapping):
        raise UsageError(f"headers is a mapping of names to values, or None; not a {type(headers).__name__}.")
    for name, value in (headers or {}).items():  # a header may hold a secret: its value is not shown
        if not (_one_line(name) and _one_line(value)):
            raise UsageError(f"headers: {name!r} and its value must be texts without line ends or control characters.")
    if key is not None and not _one_line(key):
        raise UsageError("idempotency_key is a text without line ends or control characters, or None.")
    if not isinstance(options.get("follow", True), bool):
        raise UsageError(f"follow is True or False; not {options['follow']!r}.")


def _one_line(text: object) -> bool:
    return isinstance(text, str) and not has_controls(text)


def _own(engine: Engine, given: Mapping[str, Any]) -> BaseModel | None:
    model = engine.provider.call_options()
    known = () if model is None else tuple(model.model_fields)
    for name in given:
        if name not in known:
            options = (*OWN_OPTIONS, *known)
            hint = did_you_mean(name, options)
            raise UsageError(f"There is no call option {name!r}.{hint} There are: {', '.join(options)}.")
    try:
        return None if model is None else model.model_validate(dict(given))
    except ValidationError as error:
        raise UsageError(f"A call option is wrong: {faults(error, 'options')}.") from None


def _set(own: BaseModel | None) -> dict[str, Any]:
    return {} if own is None else own.model_dump(exclude_unset=True)


J = TypeVar("J")


def listed_jobs(jobs: Iterable[J], kind: type[J], verb: str) -> list[J]:
    """The jobs, once it is sure that they are jobs of the face that the verb belongs to.

    Raises:
        UsageError: They are no list of such jobs.
    """
    if not isinstance(jobs, Iterable):
        raise UsageError(f"{verb} takes the jobs in a list; not a {type(jobs).__name__}.")
    listed = list(jobs)
    for job in listed:
        if not isinstance(job, kind):
            raise UsageError(
                f"A {type(job).__name__} is no {kind.__name__}: {verb} takes what submit() of a blocking service "
                f"returned, {verb}_async what that of an asynchronous one did."
            )
    return listed


async def gather_async(jobs: Iterable[AsyncJob], return_exceptions: bool = False) -> list[Any]:  # noqa: FBT001, FBT002 - asyncio.gather's signature
    """The jobs' results, in order.

    Args:
        jobs: Of one service or several.
        return_exceptions: Put errors into the list instead of raising the first one.

    Raises:
        FarcallError: The first job's that did not end well; the others go on.
    """
    listed = listed_jobs(jobs, AsyncJob, "gather")
    return await asyncio.gather(*(job.result() for job in listed), return_exceptions=return_exceptions)


async def as_completed_async(jobs: Iterable[AsyncJob], timeout_s: float | None = None) -> AsyncIterator[AsyncJob]:
    """The jobs themselves, each as soon as it has ended, well or not.

    Args:
        jobs: Of one service or several.
        timeout_s: Longest wait for all of them, in seconds; None: no end.

    Raises:
        WaitTimeout: Some have not ended within `timeout_s` seconds; they go on. Its `job` is None.
    """
    _check_seconds(timeout_s)
    ended: asyncio.Queue[AsyncJob] = asyncio.Queue()
    watching = [asyncio.ensure_future(_ended(job, ended)) for job in listed_jobs(jobs, AsyncJob, "as_completed")]
    deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
    try:
        for left in range(len(watching), 0, -1):
            try:
                async with asyncio.timeout_at(deadline):
                    job = await ended.get()
            except TimeoutError:
                raise WaitTimeout(
                    f"{left} of {len(watching)} jobs have not ended within {timeout_s} s; they go on."
                ) from None
            yield job
    finally:
        for task in watching:
            task.cancel()


async def _ended(job: AsyncJob, ended: asyncio.Queue[AsyncJob]) -> None:
    job._follow()  # noqa: SLF001
    await job._tracked.until(lambda: False, None, "")  # noqa: SLF001
    ended.put_nowait(job)
