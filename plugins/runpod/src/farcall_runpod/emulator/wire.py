"""What the emulated Runpod and its workers say to each other: take, done, stream, stop, ping."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from farcall_runpod.emulator import faults as wrongs
from farcall_runpod.emulator.faults import Faults
from farcall_runpod.emulator.job import Job
from farcall_runpod.emulator.queue import Queue

# Source: what a worker of runpod 1.12.0 asks for, recorded 2026-11-23. The addresses are made by the platform; the
# worker puts its own and the job's id in, and changes `job-take` into the others, so they must look like this.
_TAKE: Final = "job-take/$ID"
_DONE: Final = "job-done/$RUNPOD_POD_ID/$ID"
_PIECE: Final = "job-stream/$RUNPOD_POD_ID/$ID"
_PING: Final = "ping/$RUNPOD_POD_ID"
PING_MS: Final = 1000


class WorkerWire:
    """What workers ask.

    Args:
        queue: The jobs.
        faults: What goes wrong.
        kill: Ends a worker's process at once: for the fault `worker-death`, or since it asked to be started anew.
    """

    def __init__(self, queue: Queue, faults: Faults, *, kill: Callable[[str], None]) -> None:
        self._queue = queue
        self._faults = faults
        self._kill = kill
        self._token = secrets.token_urlsafe(16)
        self._warm_at: float | None = None

    def variables(self, base: str, worker: str, endpoint_id: str) -> dict[str, str]:
        """The environment in which a worker finds us.

        Args:
            base: Our address.
            worker: The worker's id.
            endpoint_id: The endpoint's id.
        """
        here, token = f"{base}/workers", f"?token={self._token}"
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{here}/{_TAKE}{token}",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{here}/{_DONE}{token}",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{here}/{_PIECE}{token}",
            "RUNPOD_WEBHOOK_PING": f"{here}/{_PING}{token}",
            "RUNPOD_PING_INTERVAL": str(PING_MS),
            "RUNPOD_POD_ID": worker,
            "RUNPOD_ENDPOINT_ID": endpoint_id,
            "RUNPOD_LOG_LEVEL": os.environ.get("RUNPOD_LOG_LEVEL", "INFO"),
            "RUNPOD_AI_API_KEY": "emulated",
            # checks of memory, disk, network and GPU, which end a worker that is not on Runpod
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }

    def routes(self) -> list[web.RouteDef]:
        """The routes, for the server."""
        return [
            web.get("/workers/job-take/{worker}", self._take),
            web.get("/workers/job-take-batch/{worker}", self._take_many),
            web.post("/workers/job-done/{worker}/{job}", self._done),
            web.post("/workers/job-stream/{worker}/{job}", self._piece),
            web.get("/workers/job-stop/{worker}", self._stop),
            web.get("/workers/ping/{worker}", self._ping),
        ]

    async def _take(self, request: web.Request) -> web.Response:
        taken = await self._taken(request, 1)
        return web.json_response(taken[0].for_worker()) if taken else web.Response(status=204)

    async def _take_many(self, request: web.Request) -> web.Response:
        most = request.query.get("batch_size", "1")
        taken = await self._taken(request, int(most) if most.isdecimal() else 1)
        return web.json_response([job.for_worker() for job in taken]) if taken else web.Response(status=204)

    async def _taken(self, request: web.Request, most: int) -> list[Job]:
        worker = self._worker(request)
        await self._queue.work()
        await self._warmed_up()
        if request.transport is None or request.transport.is_closing():
            return []  # who asked is gone, and a job handed to nobody would wait for its time to run out
        taken = self._queue.take(worker, most)
        if any([self._faults.happens(wrongs.DEATH) for _ in taken]):  # noqa: C419 - each job counts
            self._kill(worker)
        return taken

    async def _warmed_up(self) -> None:
        """Wait as long as a worker would need to be there for the first job; for the fault `cold-start`."""
        now = asyncio.get_running_loop().time()
        if self._warm_at is None and self._queue.waiting:
            self._warm_at = now + self._faults.seconds(wrongs.COLD)
        await asyncio.sleep(max(0.0, (self._warm_at or now) - now))

    async def _done(self, request: web.Request) -> web.Response:
        worker, said = self._worker(request), await _said(request)
        self._queue.done(worker, request.match_info["job"], said)
        if said.get("stopPod"):
            self._kill(worker)
        return web.json_response({})

    async def _piece(self, request: web.Request) -> web.Response:
        self._queue.piece(self._worker(request), request.match_info["job"], await _said(request))
        return web.json_response({})

    async def _stop(self, request: web.Request) -> web.Response:
        stopped = await self._queue.stops(self._worker(request))
        return web.json_response({"jobsToStop": stopped}) if stopped else web.Response(status=204)

    async def _ping(self, request: web.Request) -> web.Response:
        self._worker(request)
        return web.json_response({})

    def _worker(self, request: web.Request) -> str:
        """The worker's id, if it is one of ours."""
        if not secrets.compare_digest(request.query.get("token", "").encode(), self._token.encode()):
            raise web.HTTPUnauthorized
        return request.match_info["worker"]


async def _said(request: web.Request) -> Mapping[str, Any]:
    """What a worker posted: JSON, though it calls it a form."""
    said = json.loads(await request.read())
    if not isinstance(said, dict):
        raise web.HTTPBadRequest
    return said
