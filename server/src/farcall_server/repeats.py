"""Submissions that carry a key of their own, so that one sent twice makes one job."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request

from farcall_server.job import Job
from farcall_server.queue import Store

HEADER: Final = "idempotency-key"
LONGEST_KEY: Final = 255
"""Characters."""


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
        said = {
            "type": "value_error",
            "loc": ("header", HEADER),
            "msg": f"1 to {LONGEST_KEY} characters",
            "input": key[:80],
        }
        raise RequestValidationError([said])
    named = "\n".join((path, request.headers.get("authorization", ""), key))
    return hashlib.sha256(named.encode()).hexdigest()[:32]


class Arrivals:
    """Accepts jobs under ids that may be asked for twice at once."""

    def __init__(self) -> None:
        self._arriving: dict[str, asyncio.Event] = {}

    async def accept(self, store: Store, job: Job) -> Job | None:
        """The job once it is taken on, or the one that was taken on under its id before; None: the queue is full."""
        while (earlier := self._arriving.get(job.id)) is not None:
            await earlier.wait()
        if (known := await store.get(job.id)) is not None:
            return known
        done = self._arriving[job.id] = asyncio.Event()
        try:
            return job if await store.accept(job) else None
        finally:
            del self._arriving[job.id]
            done.set()
