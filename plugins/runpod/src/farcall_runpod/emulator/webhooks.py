"""Posts a job's end to where its submission asked for it."""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from farcall_runpod import limits
from farcall_runpod.emulator.job import Job, shown
from farcall_runpod.emulator.times import Times

log = logging.getLogger("farcall_runpod.emulator")


class Webhooks:
    """The calls back; as Runpod's they are not signed, and tried three times.

    Args:
        times: How long to wait between two tries.
    """

    def __init__(self, times: Times) -> None:
        self._times = times
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, job: Job) -> None:
        """Tell of a job that has ended, if anybody wants to know; goes on by itself."""
        if job.webhook is None:
            return
        task = asyncio.create_task(self._post(job.webhook, shown(job)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _post(self, url: str, view: object) -> None:
        async with aiohttp.ClientSession() as session:
            for attempt in range(limits.WEBHOOK_TRIES):
                if attempt:
                    await asyncio.sleep(self._times.webhook_pause_s)
                try:
                    async with session.post(url, json=view) as response:
                        if response.status == 200:
                            return
                except (aiohttp.ClientError, TimeoutError) as error:
                    log.warning("the webhook was not delivered: %s", type(error).__name__)
