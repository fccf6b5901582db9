"""An app's endpoints called without a socket, for backends whose host brings the calls."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from difflib import get_close_matches
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from farcall.errors import UnknownEndpoint
from farcall.files import File
from farcall.jobs import Chunk, Snapshot, State
from farcall.replies import words
from farcall.spec import Place, normalised
from farcall.stores import Store, store_of
from farcall.wire import Response
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from pydantic_core import to_json

from farcall_server import exchanges, outcomes
from farcall_server.documents import Documented
from farcall_server.job import Job
from farcall_server.parcels import Parcel
from farcall_server.streaming import moved
from farcall_server.texts import sendable

if TYPE_CHECKING:
    from farcall_server.app import FastTaskAPI

FULL: Final = 429
ROOM_S: Final = 1.0
"""Seconds after which a call is offered again to an endpoint whose queue was full, if no job has ended before."""
IDLE_S: Final = 3600.0


class InProcess:
    """An app in this process: what comes in goes through its middleware, its dependencies, its checks and its queue.

    Its jobs are kept in memory and only until they are forgotten: they are the host's. All of it on one event loop.

    Args:
        app: All its endpoints are registered; it is served by nobody else.
    """

    def __init__(self, app: FastTaskAPI) -> None:
        self.app = app
        self._operations = {normalised(operation.signature.spec.path): operation for operation in app.operations}
        self._headers = {"accept": f"{MEDIA_TYPE}, application/json", "content-type": "application/json"}
        if app.api_keys:  # the host has looked at its own key; the app's is known here
            self._headers["authorization"] = f"Bearer {app.api_keys[0]}"
        self._store: Store | None = None
        self._life = AsyncExitStack()
        self._state: Mapping[str, Any] = {}
        self._room = asyncio.Event()

    async def start(self) -> None:
        """Open the app's storage, if it has one, and begin its lifespan. Whatever that raises is raised.

        Raises:
            ConfigError: There is no such storage.
        """
        if self.app.storage is not None:
            self._store = await store_of(self.app.storage)
            self._life.push_async_callback(self._store.close)
        self.app.store.durable = None
        lifespan: AbstractAsyncContextManager[Any] = self.app.router.lifespan_context(self.app)
        self._state = await self._life.enter_async_context(lifespan) or {}

    async def stop(self) -> None:
        """End the app's lifespan, after what runs now has had its time."""
        await self._life.aclose()

    @property
    def concurrency(self) -> int:
        """How many calls can run at once whatever endpoints they are for; 1 where there is no task endpoint."""
        return min((o.concurrency for o in self.app.operations if o.concurrency is not None), default=1)

    async def submit(self, path: str, arguments: Mapping[str, Any]) -> Job | Snapshot:
        """Call an endpoint. Waits while its queue is full.

        Args:
            path: The endpoint's, with its templates, in any spelling that the app answers to.
            arguments: JSON values, those of the path's templates among them.

        Returns:
            The job; or the end of it, where the call was refused or the endpoint is a plain one.

        Raises:
            UnknownEndpoint: There is no such path; close matches are named.
        """
        operation = self._operation(path)
        while True:
            self._room.clear()
            answer = await self._ask(operation, arguments)
            response = answer.response
            if response is None or answer.error is not None:
                return raised(answer.error or RuntimeError("The app gave no answer."))
            if not operation.signature.spec.job:
                return _replied(response)
            if response.status != FULL:
                break
            await self._until_room()
        job = await self.app.store.get(response.json()["id"]) if response.ok else None
        return _replied(response) if job is None else job

    async def follow(self, job: Job) -> AsyncIterator[Snapshot | Chunk]:
        """Each piece of a job's output as it comes, a look at each of its changes, and its end as the last one.

        The files in it lie where the app keeps them, and only until the job is forgotten; see `parcel`.
        """
        given, known = 0, -1
        while True:
            revision, ended = job.revision, job.state.ended  # first, so that all output before the end is told before
            while job.chunks is not None and given < job.chunks.count:
                for line in await job.chunks.read(given):
                    given += 1
                    yield Chunk(value=job.chunks.value(line))
            if ended:
                break
            if revision != known:
                known = revision
                yield job.snapshot()
            await moved(self.app.store, job, chunks=given, revision=known, wait_s=IDLE_S)
        yield job.snapshot()

    @property
    def stores(self) -> bool:
        """Whether files that are too large for the host go into a storage."""
        return self._store is not None

    def parcel(self, value: Any, room_bytes: int) -> Parcel:
        """What `follow` or `submit` gave, as a host takes it that takes no more than `room_bytes`."""
        return Parcel(value, room_bytes, self._store)

    def cancel(self, job: Job) -> None:
        """End a waiting job, ask a running one to end; `follow` tells when it has."""
        self.app.store.cancel(job)

    def forget(self, job: Job) -> None:
        """Give up a job that has ended, with its files."""
        self.app.store.forget(job)
        self._room.set()

    # --- one call

    def _operation(self, path: str) -> Documented:
        found = self._operations.get(normalised(path))
        if found is not None:
            return found
        known = [operation.signature.spec.path for operation in self.app.operations]
        close = get_close_matches(normalised(path), known, 3, 0.5)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise UnknownEndpoint(f"The service has no endpoint {path!r}.{hint} It has: {', '.join(known)}.")

    async def _ask(self, operation: Documented, arguments: Mapping[str, Any]) -> exchanges.Answer:
        spec, left, path = operation.signature.spec, dict(arguments), operation.signature.spec.path
        for name, parameter in spec.parameters.items():
            if parameter.place is Place.PATH and name in left:
                path = path.replace(f"{{{name}}}", quote(_text(left.pop(name)), safe=""))
        method = "POST" if "POST" in operation.methods else operation.methods[0]
        in_query = method in {"GET", "HEAD", "DELETE"}
        return await exchanges.ask(
            self.app,
            method,
            path,
            query=_query(left) if in_query else "",
            headers=self._headers,
            body=b"" if in_query else to_json(left),
            state=self._state,
        )

    async def _until_room(self) -> None:
        """Return once a job has ended, at the latest when the queue would have a client ask again."""
        try:
            async with asyncio.timeout(ROOM_S):
                await self._room.wait()
        except TimeoutError:
            return


def _query(arguments: Mapping[str, Any]) -> str:
    given = {name: value for name, value in arguments.items() if value is not None}
    several = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    return urlencode([(name, _text(value)) for name, values in several.items() for value in values])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# --- what came of it -------------------------------------------------------------------------------------------------


def _replied(response: Response) -> Snapshot:
    """A reply that is no job, as the end of one."""
    if not response.ok:
        kind = "InputError" if response.status == 422 else "Refused" if response.status < 500 else "ServerFault"
        return Snapshot(state=State.FAILED, error=words(response) or f"HTTP {response.status}", error_type=kind)
    if response.media_type.endswith("json"):
        return Snapshot(state=State.SUCCEEDED, progress=1.0, result=response.json())
    return Snapshot(state=State.SUCCEEDED, progress=1.0, result=_file(response))


def _file(response: Response) -> Any:
    return File.from_bytes(response.content, media_type=response.media_type).value


def raised(error: BaseException) -> Snapshot:
    """An exception as the end of a job, its traceback from the user's function on."""
    shown = traceback.format_exception(type(error), error, _of_the_user(error.__traceback__))
    return Snapshot(
        state=State.FAILED,
        error=outcomes.reason(error),
        error_type=type(error).__name__,
        traceback=sendable("".join(shown)[-outcomes.LONGEST_TRACEBACK :]),
    )


def _of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """What comes after the last frame of ours."""
    shown, at = trace, trace
    while at is not None:
        if at.tb_frame.f_globals.get("__name__", "").startswith("farcall_server."):
            shown = at.tb_next
        at = at.tb_next
    return shown or trace
