"""A running job's progress on its way to Runpod: not too often, in order, and never after the job's end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from farcall.jobs import Snapshot
from runpod.http_client import AsyncClientSession
from runpod.serverless.modules.rp_http import send_result

from farcall_runpod import outputs

log = logging.getLogger("farcall_runpod")

APART_S: Final = 0.5
"""Seconds between two reports of one job."""

LAST_S: Final = 2.0
"""Seconds that a report which is under way when the job ends may still take."""


class Reports:
    """Sends what a job says of itself, until it is closed.

    Not by the SDK's `progress_update`: it sends each report from a thread of its own, so that they overtake each
    other and the job's end (runpod 1.12.0, seen 2026-11-24). What it calls there is called here, one after the other.

    Args:
        job: As Runpod sent it.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._latest: Snapshot | None = None
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def tell(self, look: Snapshot) -> None:
        """Note a look; it is sent soon, unless a newer one comes before."""
        if look.progress is None and look.message is None and not look.logs:
            return
        self._latest = look
        self._news.set()
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        async with AsyncClientSession() as session:
            while await self._news.wait():
                self._news.clear()
                if self._latest is not None:
                    report = {"status": "IN_PROGRESS", "output": outputs.envelope(self._latest)}
                    async with self._sending:
                        await send_result(session, report, self._job)
                await asyncio.sleep(APART_S)

    async def close(self) -> None:
        """Return once nothing is under way any more: Runpod might take a late report for the job's state."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_S), self._sending:
                self._task.cancel()
        self._task.cancel()
        (end,) = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(end, Exception):
            log.warning("The progress of %s could not be told: %s", self._job["id"], end)
