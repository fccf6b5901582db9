"""A job's stream of server-sent events: its output piece by piece, its looks, its log, its end."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Final

from farcall_fasttaskapi.envelope import render_chunk
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from farcall_server import replies, waiting
from farcall_server.chunks import Chunks, json_of
from farcall_server.job import Job
from farcall_server.listeners import Listener
from farcall_server.queue import Store

KEEP_ALIVE_S: Final = 15.0
"""Seconds of silence after which a comment is sent, so that no proxy takes the stream for dead."""

WRITE_BYTES: Final = 64 * 1024

EVENT_STREAM: Final = "text/event-stream"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_EVENT_ID: Final = re.compile(r"([0-9]{1,12})\.([0-9]{1,12})(?:\.([0-9]{1,9}))?")


@dataclass(slots=True)
class _Place:
    """How far a reader is; as an event's id `<chunks>.<lines>`, after which it may go on.

    After a restart of the server `.<life>` follows, so that an id that was given before leads to the start again.

    Args:
        life: The job's.
        chunks: Pieces of output it has.
        lines: Lines of the log it has.
        revision: Of the last look it has; -1 for none.
    """

    life: int
    chunks: int = 0
    lines: int = 0
    revision: int = -1

    @classmethod
    def after(cls, event_id: str | None, job: Job) -> _Place:
        """The place after an event; the start where the id is none of the job's, or of an earlier life of it."""
        match = _EVENT_ID.fullmatch(event_id or "")
        if match is None or int(match[3] or 0) != job.life:
            return cls(job.life)
        return cls(job.life, int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.chunks}.{self.lines}" + (f".{self.life}" if self.life else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Streams jobs.

    Args:
        store: Where they are.
        keep_alive_s: Seconds of silence after which a comment is sent.
    """

    store: Store
    keep_alive_s: float = KEEP_ALIVE_S

    async def __call__(self, request: Request) -> Response:
        """`GET /stream/{id}`: events from the start, or from after the one named by `Last-Event-ID`."""
        job = await self.store.get(request.path_params["job_id"])
        if job is None:
            return replies.missing(request, request.path_params["job_id"])
        place = _Place.after(request.headers.get("last-event-id"), job)
        return StreamingResponse(self._events(request, job, place), headers=_HEADERS, media_type=EVENT_STREAM)

    async def _events(self, request: Request, job: Job, place: _Place) -> AsyncIterator[bytes]:
        while True:
            looked, ended = job.revision, job.state.ended  # first, so that all output before an end is sent before it
            async for event in _pieces(job, place, own=replies.wants_own(request)):
                yield event
            for event in _lines(job, place):
                yield event
            if looked != place.revision:
                yield _event(await _look(request, job), name="job")
                first, place.revision = place.revision < 0, looked
                await waiting.for_end(self.store, job, 0.0 if first else waiting.PACE_S)
            if ended:
                return
            asked_at = time.monotonic()
            more = await moved(self.store, job, chunks=place.chunks, revision=place.revision, wait_s=self.keep_alive_s)
            if not more:
                if time.monotonic() - asked_at < self.keep_alive_s / 2:
                    return  # nobody waits any more: the server stops
                yield b": keep-alive\n\n"


async def moved(store: Store, job: Job, *, chunks: int, revision: int, wait_s: float) -> bool:
    """Wait for a piece beyond the first `chunks` or another revision; False if there was none for `wait_s` seconds.

    Also where the server stops, which wakes everybody.
    """
    listener, output = Listener(), job.chunks
    changed = asyncio.ensure_future(store.changed([(job, revision)], wait_s))
    if output is not None:
        output.listen(listener, chunks)
    try:
        await asyncio.wait({changed, listener.future}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        changed.cancel()
        if output is not None:
            output.forget(listener)
    return job.revision != revision or (output is not None and output.count > chunks)


async def _pieces(job: Job, place: _Place, *, own: bool) -> AsyncIterator[bytes]:
    """The pieces of output that have come since, several of them in one write where they come fast."""
    chunks, ready = job.chunks, bytearray()
    while chunks is not None and place.chunks < chunks.count:
        for line in await chunks.read(place.chunks):
            place.chunks += 1
            ready += await _piece(chunks, line, str(place), own=own)
            if len(ready) >= WRITE_BYTES:
                yield bytes(ready)
                ready.clear()
                await asyncio.sleep(0)  # a stream that is always ready to be written holds up nobody else
    if ready:
        yield bytes(ready)


async def _piece(chunks: Chunks, line: bytes, event_id: str, *, own: bool) -> bytes:
    if (plain := json_of(line)) is not None:
        return _event(plain, event_id=event_id)
    value = chunks.value(line)
    if own:
        return _event(to_json(render_chunk(await replies.written_out(value))), name="chunk", event_id=event_id)
    return _event(to_json(await replies.with_file_objects(value)), event_id=event_id)


def _lines(job: Job, place: _Place) -> Iterator[bytes]:
    """The lines of the log that have come since, as far as they are kept."""
    kept, told = list(job.logs or ()), job.lines
    for line in kept[max(len(kept) - (told - place.lines), 0) :] if told > place.lines else ():
        place.lines += 1
        yield _event(to_json(line), name="log", event_id=str(place))
    place.lines = max(place.lines, told)


async def _look(request: Request, job: Job) -> bytes:
    """A look as the client would be told it, without the log, whose lines are events of their own."""
    return to_json(await replies.envelope(request, replace(job.snapshot(), logs=None), job))


def _event(data: bytes, *, name: str = "", event_id: str = "") -> bytes:
    """One event; JSON holds no line break, so its data is one line."""
    head = (f"event: {name}\n" if name else "") + (f"id: {event_id}\n" if event_id else "")
    return b"%sdata: %s\n\n" % (head.encode(), data)
