"""Submissions that carry a key of their own, so that one sent twice makes one job."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from farcall import threads
from farcall.files import File
from farcall_fasttaskapi.facts import DRAWN
from farcall_fasttaskapi.facts import IDEMPOTENCY_HEADER as HEADER
from fastapi.exceptions import RequestValidationError
from pydantic_core import from_json, to_json
from starlette.requests import Request

from farcall_server.inputs import Inputs
from farcall_server.job import Given, Job
from farcall_server.queue import Store

LONGEST_KEY: Final = 255
"""Characters."""

PIECE_BYTES: Final = 1024 * 1024
SMALL_BYTES: Final = 64 * 1024
"""A body up to this size, none of it on the disk, is summed up at once: a thread would take longer."""

OTHER_ARGUMENTS: Final = (
    "This Idempotency-Key was sent before with other arguments. Send a new key with a new call, and the same arguments "
    "when you send a call again."
)


def job_id(request: Request, path: str) -> str | None:
    """The id that the request's `Idempotency-Key` gives its job; None if it has none.

    The id follows from endpoint, key and caller, so that a repetition is known as long as the job is, also after a
    restart, and another caller's key is another key.

    Raises:
        RequestValidationError: The key is empty or too long.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 0 < len(key) <= LONGEST_KEY:
        raise _wrong(f"1 to {LONGEST_KEY} characters", key)
    named = "\n".join((path, request.headers.get("authorization", ""), key))
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def _wrong(why: str, key: str | None) -> RequestValidationError:
    said = {"type": "value_error", "loc": ("header", HEADER), "msg": why, "input": None if key is None else key[:80]}
    return RequestValidationError([said])


async def digest(request: Request, read: Inputs) -> str:
    """Of a call's arguments, files and all, as they came; the order of a JSON body's names does not count.

    Under a key that was made for this call alone, no file is read: its name, type and size count.
    """
    made_for_it, said = request.headers[HEADER].startswith(DRAWN), request.headers.get("content-length", "")
    if said.isdecimal() and int(said) <= SMALL_BYTES and not read.folder:
        return _digest(read.given, with_bytes=not made_for_it)
    return await threads.run(_digest, read.given, with_bytes=not made_for_it)


def _digest(given: Given, *, with_bytes: bool) -> str:
    made = hashlib.sha256()
    values = from_json(given or b"{}") if isinstance(given, bytes) else given or {}
    made.update(to_json(_sorted(values, made if with_bytes else None)))
    return made.hexdigest()


def _sorted(value: Any, files: Any) -> Any:
    """The value with its names in order; a file's name, type and size stand in its place.

    Args:
        value: Arguments.
        files: A hash that the files' bytes go into; None: they are not read.
    """
    if isinstance(value, File) and value.value.body is None:
        return ["link", value.url]
    if isinstance(value, File):
        if files is not None:
            _read(value, files)
        return ["file", value.name, value.media_type, value.size]
    if isinstance(value, Mapping):
        return {name: _sorted(value[name], files) for name in sorted(value)}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_sorted(inner, files) for inner in value]
    return value


def _read(file: File, files: Any) -> None:
    with file.open() as source:
        while piece := source.read(PIECE_BYTES):
            files.update(piece)


class Arrivals:
    """Accepts jobs under ids that may be asked for twice at once."""

    def __init__(self) -> None:
        self._arriving: dict[str, asyncio.Event] = {}

    async def accept(self, store: Store, job: Job) -> Job | None:
        """The job once it is taken on, or the one that was taken on under its id before; None: the queue is full.

        Raises:
            RequestValidationError: The one before had other arguments.
        """
        while (earlier := self._arriving.get(job.id)) is not None:
            await earlier.wait()
        if job.digest is not None and (known := await store.get(job.id)) is not None:
            if known.digest != job.digest:
                raise _wrong(OTHER_ARGUMENTS, None)
            return known
        done = self._arriving[job.id] = asyncio.Event()
        try:
            return job if await store.accept(job) else None
        finally:
            del self._arriving[job.id]
            done.set()
