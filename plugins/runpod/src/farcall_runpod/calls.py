"""A Runpod job's input as a call of the app, from its first look to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Final

from farcall.errors import FileError, UnknownEndpoint, UsageError
from farcall.jobs import Chunk, Snapshot, State
from farcall_server.inprocess import InProcess, raised
from farcall_server.job import Job
from pydantic_core import to_json

from farcall_runpod import limits, outputs
from farcall_runpod.room import AROUND_BYTES, ResultTooLarge, Room

DESCRIPTION: Final = "openapi.json"
"""The path under which a worker describes itself."""

News = Chunk | Snapshot


class Call:
    """One call; all of it on the app's own event loop.

    Args:
        app: It has been started.
        given: The job's input: `{"path": "/speak", "text": "hi"}`.
        tell: Takes each look and each piece of output; the last one is the end, whatever happens. Their files have
            their bytes in memory, or an address.
        room: How much of it Runpod takes.
        pieces: Whether the pieces of output are told.
    """

    def __init__(self, app: InProcess, given: Any, tell: Callable[[News], None], room: Room, *, pieces: bool) -> None:
        self._app, self._given, self._tell = app, given, tell
        self._room, self._pieces = room, pieces
        self._task: asyncio.Task[Any] | None = None
        self._job: Job | None = None
        self._cancelled = False

    async def run(self) -> None:
        """Make the call and tell what comes of it."""
        self._task = asyncio.current_task()
        try:
            async for news in self._news():
                self._tell(news)
        except UsageError as error:
            self._tell(Snapshot(state=State.FAILED, error=str(error), error_type=type(error).__name__))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not leave the job without an end
            self._tell(raised(error))

    def cancel(self) -> None:
        """Have the function stop: one that awaits at once, one that blocks where it looks; later, its upload."""
        self._cancelled = True
        if self._job is not None and not self._job.state.ended:
            self._app.cancel(self._job)
        elif self._task is not None:
            self._task.cancel()

    async def _news(self) -> AsyncIterator[News]:
        path, arguments = _parts(self._given, self._app)
        if path.strip("/") == DESCRIPTION:
            yield Snapshot(state=State.SUCCEEDED, progress=1.0, result=self._app.app.openapi())
            return
        if self._cancelled:
            return
        answer = await self._app.submit(path, arguments)
        if isinstance(answer, Snapshot):
            yield await self._ended(answer)
            return
        self._job = answer
        try:
            async for news in self._followed(answer):
                yield news
        finally:
            self._app.forget(answer)

    async def _followed(self, job: Job) -> AsyncIterator[News]:
        """What the job tells, fit for Runpod; a piece that cannot be made so stops it, and is why it has failed."""
        fault: FileError | None = None
        async for news in self._app.follow(job):
            if isinstance(news, Snapshot):
                if news.state.ended:
                    yield await self._ended(news) if fault is None else _unfit(news, fault)
                elif fault is None:
                    yield news
            elif self._pieces and fault is None:
                try:
                    piece = await self._piece(news)
                except FileError as error:
                    fault = error
                    self._app.cancel(job)
                else:
                    yield piece

    async def _piece(self, chunk: Chunk) -> Chunk:
        parcel = self._app.parcel(chunk.value, self._room.piece_bytes)
        if parcel.size_bytes > limits.STREAM_BYTES - AROUND_BYTES:
            raise self._too_large("piece of output", parcel.size_bytes, limits.STREAM_BYTES)
        self._room.told_bytes += parcel.size_bytes
        return replace(chunk, value=await parcel.packed())

    async def _ended(self, look: Snapshot) -> Snapshot:
        if look.state is not State.SUCCEEDED:
            return look
        rest_bytes = self._room.left_bytes - len(to_json(outputs.envelope(replace(look, result=None))))
        parcel = self._app.parcel(look.result, rest_bytes)
        try:
            if parcel.size_bytes > rest_bytes:
                size = self._room.most_bytes - rest_bytes + parcel.size_bytes
                raise self._too_large("result", size, self._room.most_bytes)
            return replace(look, result=await parcel.packed())
        except FileError as error:
            return _unfit(look, error)

    def _too_large(self, what: str, size_bytes: int, most_bytes: int) -> ResultTooLarge:
        return ResultTooLarge(what, size_bytes, most_bytes, stores=self._app.stores)


def _unfit(look: Snapshot, fault: FileError) -> Snapshot:
    """The end of a job whose output could not be handed over."""
    return replace(look, state=State.FAILED, result=None, error=str(fault), error_type=type(fault).__name__)


def _parts(given: Any, app: InProcess) -> tuple[str, dict[str, Any]]:
    """The endpoint's path and the arguments in a job's input."""
    arguments = dict(given) if isinstance(given, dict) else {}
    path = arguments.pop("path", None)
    if not isinstance(path, str):
        known = ", ".join(operation.signature.spec.path for operation in app.app.operations)
        raise UnknownEndpoint(f'The input names no endpoint: {{"path": "/…", …arguments}}. The service has: {known}.')
    return path, arguments
