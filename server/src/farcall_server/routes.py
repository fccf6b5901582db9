"""The job routes: submit, status of one and of many, cancel, result files, health."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from farcall.errors import FileError
from farcall.jobs import Snapshot, State
from farcall.wire import FileValue
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict

from farcall_server import inputs, listing, ranges, repeats, replies, waiting
from farcall_server.arguments import Fetching
from farcall_server.chunks import Chunks
from farcall_server.crew import Crew
from farcall_server.job import Job
from farcall_server.outcomes import reason
from farcall_server.outputs import plain, plain_async
from farcall_server.progress import JobProgress
from farcall_server.queue import Store
from farcall_server.signature import Signature
from farcall_server.worker import Lane

Handler = Callable[[Request], Awaitable[Response]]

_NUMBER: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
MOST_IDS: Final = 10_000
MOST_STATUS_BYTES: Final = 4 * 1024 * 1024


class Endpoint:
    """A handler as an ASGI application: what a route needs of it, and no more."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self.handler(Request(scope, receive, send))
        await response(scope, receive, send)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Takes a task endpoint's calls.

    Args:
        signature: What the function takes.
        store: Where its jobs go.
        lane: Where they run.
        ttl_s: Seconds their results are kept.
        most_bytes: The largest body taken.
        arrivals: Those that are being accepted now.
    """

    signature: Signature
    store: Store
    lane: Lane
    ttl_s: float
    most_bytes: int
    arrivals: repeats.Arrivals = field(default_factory=repeats.Arrivals)

    async def __call__(self, request: Request) -> Response:
        """Accept the call as a job, and wait for it as long as the client prefers."""
        path = self.signature.spec.path
        job_id = repeats.job_id(request, path)
        repeated = job_id is not None and await self.store.get(job_id) is not None
        if not repeated and self.store.full(path):  # before a large body is read in vain
            return self._refuse(request)
        read = await inputs.read(request, self.signature, most_bytes=self.most_bytes, folder=self.store.folder())
        made = Job(path, read.arguments, ttl_s=self.ttl_s, folder=read.folder, job_id=job_id)
        made.given = read.given
        made.chunks = Chunks(read.folder) if self.signature.streams else None
        if job_id is not None:
            made.digest = await repeats.digest(request, read)
        try:
            job = await self.arrivals.accept(self.store, made)
        except (HTTPException, RequestValidationError):
            read.folder.discard()
            raise
        if job is not made:
            read.folder.discard()
        if job is None:
            return self._refuse(request)
        self.lane.wake()
        if prefer := request.headers.get("prefer"):
            await waiting.for_end(self.store, job, preferred_wait_s(prefer))
        return await replies.job(request, job)

    def _refuse(self, request: Request) -> Response:
        full = Snapshot(
            state=State.FAILED, error=f"Queue size limit reached for {self.signature.spec.name}", retry_after_s=1.0
        )
        return replies.snapshot(request, full, status=429, headers={"Retry-After": "1"})


def preferred_wait_s(prefer: str) -> float:
    """The seconds a `Prefer` header (RFC 7240) says the client would wait; 0 if it does not.

    >>> preferred_wait_s("respond-async, wait=5")
    5.0
    """
    for preference in prefer.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            return _seconds(value.strip().strip('"'))
    return 0.0


def _seconds(text: str) -> float:
    return min(float(text), waiting.LONGEST_S) if _NUMBER.fullmatch(text) else 0.0


class _Many(TypedDict, total=False):
    ids: Annotated[list[str], Field(max_length=MOST_IDS)]
    seen: Annotated[list[int | None], Field(max_length=MOST_IDS)]
    wait: Annotated[float, Field(ge=0, allow_inf_nan=False)]


_MANY: Final = TypeAdapter(_Many)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """Answers questions about jobs that were accepted."""

    store: Store

    async def status(self, request: Request) -> Response:
        """`GET /status/{id}?wait=&seen=`: the job, now or once it has moved."""
        job = await self.store.get(request.path_params["job_id"])
        if job is None:
            return replies.missing(request, request.path_params["job_id"])
        query = request.query_params
        wait_s = _number(query.get("wait"), "wait", 0.0)
        seen = _number(query.get("seen"), "seen", None)
        await waiting.for_change(self.store, job, None if seen is None else int(seen), wait_s or 0.0)
        return await replies.job(request, job)

    async def status_posted(self, request: Request) -> Response:
        """`POST /status`: of one job by `?job_id=`, as older clients ask, or of many by a JSON body."""
        return await (self.status_named(request) if "job_id" in request.query_params else self._many(request))

    async def status_named(self, request: Request) -> Response:
        """`GET /status?job_id=`: the job, for the oldest clients and for whoever follows `refresh_job_url`."""
        name = request.query_params.get("job_id", "").strip(" \t\"'?#")
        job = await self.store.get(name)
        return replies.missing(request, name) if job is None else await replies.job(request, job)

    async def _many(self, request: Request) -> Response:
        asked = await _asked(request)
        ids = asked.get("ids", [])
        found = {name: await self.store.get(name) for name in ids}
        jobs = [job for job in found.values() if job is not None]
        last = dict(zip(ids, asked.get("seen", [None] * len(ids)), strict=True))
        gone = [name for name, job in found.items() if job is None]
        wait_s = 0.0 if gone else min(asked.get("wait", 0.0), waiting.LONGEST_S)
        moved = await waiting.for_any(self.store, jobs, [last[job.id] for job in jobs], wait_s)
        return replies.many(moved, gone)

    async def page(self, request: Request) -> Response:
        """`GET /jobs?state=&endpoint=&since=&limit=&cursor=`: the jobs there are, newest first."""
        asked = listing.asked(request.query_params)
        return replies.page(request, await self.store.page(asked), asked)

    async def cancel(self, request: Request) -> Response:
        """`POST /cancel/{id}`: end a waiting job, ask a running one to end, leave an ended one."""
        job = await self.store.get(request.path_params["job_id"])
        if job is None:
            return replies.missing(request, request.path_params["job_id"])
        self.store.cancel(job)
        await self.store.settled(job)
        return await replies.job(request, job)

    async def file(self, request: Request) -> Response:
        """`GET /jobs/{id}/files/{n}`: one of a result's files, or the part of it that `Range` names."""
        job = await self.store.get(request.path_params["job_id"])
        files: Sequence[FileValue] = () if job is None else job.outcome.files
        number = request.path_params["number"]
        if number >= len(files):
            raise HTTPException(404, "No such file, or its job's result is no longer kept.")
        value = files[number]
        size = None if value.body is None else value.body.length
        if job is None or size is None:
            return replies.file(value, attached=True)
        tag = f'"{job.id}-{number}"'  # a result never changes
        try:
            part = ranges.asked(_range(request, tag), size)
        except ranges.UnsatisfiableError:
            return replies.no_such_part(size)
        reply = replies.file(value, attached=True, part=part, tag=tag)
        return replies.headed(reply) if request.method == "HEAD" else reply


def _range(request: Request, tag: str) -> str | None:
    """The `Range` header, unless `If-Range` tells that the client has a part of another file."""
    told = request.headers.get("if-range")
    return request.headers.get("range") if request.method == "GET" and told in {None, tag} else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Answers a plain endpoint's calls: no job, the reply is the result.

    Args:
        signature: What the function takes.
        crew: The threads on which synchronous functions run.
        fetching: Gets files that lie elsewhere, before the function is called.
        most_bytes: The largest body taken.
    """

    signature: Signature
    crew: Crew
    fetching: Fetching
    most_bytes: int

    async def __call__(self, request: Request) -> Response:
        """Call the function and answer with what it returns."""
        read = await inputs.read(request, self.signature, most_bytes=self.most_bytes)
        try:
            result = await self._result(read)
        except BaseException:
            read.folder.discard()
            raise
        response = result if isinstance(result, Response) else await replies.plain(result)
        if request.method == "HEAD":
            response = replies.headed(response)
        if read.folder:
            response.background = BackgroundTasks([*_tasks(response), BackgroundTask(read.folder.discard)])
        return response

    async def _result(self, read: inputs.Inputs) -> Any:
        try:
            arguments = dict(await self.fetching.ready(self.signature, read.arguments, read.folder))
        except FileError as error:
            raise _wrong([{"type": "file_error", "loc": ("body",), "msg": str(error), "input": None}]) from error
        if self.signature.progress is not None:
            arguments[self.signature.progress] = JobProgress()
        if self.signature.asynchronous:
            value = await self._awaited(arguments)
            return value if isinstance(value, Response) else await plain_async(value, read.folder, kept=False)
        return await self.crew.run(lambda: self._sendable(self.signature.function(**arguments), read))

    async def _awaited(self, arguments: Mapping[str, Any]) -> Any:
        try:
            result = self.signature.function(**arguments)
            return await result if inspect.isawaitable(result) else result
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:  # the first two would stop the server
            raise RuntimeError(reason(error)) from error

    def _sendable(self, value: Any, read: inputs.Inputs) -> Any:
        return value if isinstance(value, Response) else plain(value, read.folder, kept=False)


def _tasks(response: Response) -> list[BackgroundTask]:
    return [] if response.background is None else [response.background]


async def health(request: Request) -> Response:  # noqa: ARG001 - a handler's signature
    """`GET /health` and `/health/live`: the server answers."""
    return Response(b'{"status":"running"}', media_type="application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Tells a load balancer whether to send calls here."""

    store: Store

    async def __call__(self, request: Request) -> Response:  # noqa: ARG002 - a handler's signature
        """`GET /health/ready`: 200 while jobs are taken on, 503 once the server stops."""
        if self.store.ready:
            return Response(b'{"status":"ready"}', media_type="application/json")
        return Response(b'{"status":"stopping"}', 503, media_type="application/json")


def _number(text: str | None, name: str, default: float | None) -> float | None:
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        raise _wrong(
            [{"type": "float_parsing", "loc": ("query", name), "msg": "a number, 0 or more", "input": text[:80]}]
        )
    return float(text)


async def _asked(request: Request) -> _Many:
    body = await inputs.whole(request, MOST_STATUS_BYTES)
    try:
        asked = _MANY.validate_json(body)
    except ValidationError as error:
        raise inputs.refused(error) from error
    if len(asked.get("seen", asked.get("ids", []))) != len(asked.get("ids", [])):
        raise _wrong([{"type": "value_error", "loc": ("body", "seen"), "msg": "one entry for each id", "input": None}])
    return asked


def _wrong(details: Sequence[Mapping[str, Any]]) -> RequestValidationError:
    return RequestValidationError(list(details))
