"""The emulated Runpod's public API: `/v2/{endpoint}/run` and the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from farcall_runpod import limits
from farcall_runpod.emulator import faults as wrongs
from farcall_runpod.emulator import job as jobs
from farcall_runpod.emulator.faults import Faults
from farcall_runpod.emulator.job import Job
from farcall_runpod.emulator.queue import Queue
from farcall_runpod.emulator.rates import Rates
from farcall_runpod.emulator.times import Times

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BODIES: Final = {"run": limits.RUN_BYTES, "runsync": limits.RUNSYNC_BYTES}


class PublicApi:
    """What users' programs ask.

    Args:
        endpoint_id: The one endpoint there is.
        queue: Its jobs.
        workers: Tells how many workers there are.
        api_key: The key that is wanted; None: any.
        faults: What goes wrong.
        times: How long `/runsync` is held.
        rates: How often it may be asked.

    Attributes:
        requests: How many requests came, by route.
    """

    def __init__(  # noqa: PLR0913 - the parts it is put together from
        self,
        endpoint_id: str,
        queue: Queue,
        workers: Callable[[], int],
        *,
        api_key: str | None,
        faults: Faults,
        times: Times,
        rates: Mapping[str, tuple[int, int]],
    ) -> None:
        self.requests: Counter[str] = Counter()
        self._endpoint_id = endpoint_id
        self._queue = queue
        self._workers = workers
        self._api_key = api_key
        self._faults = faults
        self._times = times
        self._rates = Rates(asyncio.get_running_loop().time, rates)

    def routes(self) -> list[web.RouteDef]:
        """The routes, for the server."""
        return [
            self._route("POST", "run", "", self._run),
            self._route("POST", "runsync", "", self._runsync),
            self._route("GET", "status", "/{job}", self._status),
            self._route("GET", "stream", "/{job}", self._stream),
            self._route("POST", "cancel", "/{job}", self._cancel),
            self._route("POST", "retry", "/{job}", self._retry),
            self._route("POST", "purge-queue", "", self._purge),
            self._route("GET", "health", "", self._health),
        ]

    def _route(self, method: str, name: str, rest: str, answer: Handler) -> web.RouteDef:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self.requests[name] += 1
            if not self._is_known(request):
                return _error(401, "The key is missing or wrong.")
            if request.match_info["endpoint"] != self._endpoint_id:
                return _error(404, "There is no such endpoint.")
            with self._rates.request(name) as allowed:
                if not allowed or self._faults.happens(wrongs.BUSY, name):
                    return _error(429, "Too many requests.")
                response = await answer(request)
            if self._faults.happens(wrongs.LOST, name) and request.transport is not None:
                request.transport.abort()
            return response

        return web.route(method, f"/v2/{{endpoint}}/{name}{rest}", guarded)

    def _is_known(self, request: web.Request) -> bool:
        """Whether the key is right; Runpod takes it with and without `Bearer`."""
        key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        return bool(key) and (self._api_key is None or secrets.compare_digest(key.encode(), self._api_key.encode()))

    # --- submitting -------------------------------------------------------------------------------------------

    async def _run(self, request: web.Request) -> web.Response:
        job = self._queue.submit(await _submitted(request, "run"), sync=False)
        return web.json_response({"id": job.id, "status": job.status})

    async def _runsync(self, request: web.Request) -> web.Response:
        body = await _submitted(request, "runsync")
        wait_s = _wait_s(request, self._times.sync_wait_s)
        job = self._queue.submit(body, sync=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await job.end.wait()
        return web.json_response(jobs.shown(job))

    # --- one job ----------------------------------------------------------------------------------------------

    async def _status(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if lag_s := self._faults.seconds(wrongs.STALE):
            return web.json_response(jobs.as_it_was(job, asyncio.get_running_loop().time() - lag_s))
        return web.json_response(jobs.shown(job))

    async def _stream(self, request: web.Request) -> web.Response:
        job = self._job(request)
        new, job.handed = job.pieces[job.handed :], len(job.pieces)
        return web.json_response({"status": job.status, "stream": new})

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self._job(request)
        self._queue.cancel(job)
        return web.json_response({"id": job.id, "status": job.status})

    async def _retry(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if not self._queue.retry(job):
            return _error(400, f"Only a job that failed or timed out can be retried; this one is {job.status}.")
        return web.json_response({"id": job.id, "status": job.status})

    def _job(self, request: web.Request) -> Job:
        job = self._queue.jobs.get(request.match_info["job"])
        if job is None:
            raise web.HTTPNotFound(text=json.dumps({"error": "job not found"}), content_type="application/json")
        return job

    # --- the endpoint -----------------------------------------------------------------------------------------

    async def _purge(self, _: web.Request) -> web.Response:
        return web.json_response({"removed": self._queue.purge(), "status": "completed"})

    async def _health(self, _: web.Request) -> web.Response:
        running, ended = self._queue.running(), self._queue.ended
        busy = len({job.worker for job in running})
        return web.json_response(
            {
                "jobs": {
                    "completed": ended[jobs.COMPLETED],
                    "failed": ended[jobs.FAILED] + ended[jobs.TIMED_OUT],
                    "inProgress": len(running),
                    "inQueue": self._queue.waiting,
                    "retried": self._queue.retried,
                },
                "workers": {"idle": max(0, self._workers() - busy), "running": busy},
            }
        )


async def _submitted(request: web.Request, name: str) -> Mapping[str, Any]:
    """What was posted, if it is a submission."""
    content, most = await request.read(), _BODIES[name]
    if len(content) > most:
        raise _bad(f"The body has {len(content)} bytes; /{name} takes at most {most}.")
    try:
        body = json.loads(content)
    except ValueError:
        raise _bad("The body is no JSON.") from None
    if not isinstance(body, dict) or body.get("input") is None:
        raise _bad("The body has no input.")
    if not _is_policy(body.get("policy") or {}):
        raise _bad("The policy is an object; executionTimeout and ttl are milliseconds.")
    return body


def _is_policy(policy: Any) -> bool:
    times = [policy.get(name, 1) for name in ("executionTimeout", "ttl")] if isinstance(policy, dict) else [None]
    return all(isinstance(time, int) and not isinstance(time, bool) and time > 0 for time in times)


def _wait_s(request: web.Request, default_s: float) -> float:
    """How long `/runsync` is held: `wait` is in milliseconds, 1000 to 300000."""
    text = request.query.get("wait")
    if text is None:
        return default_s
    if not text.isdecimal() or not 1 <= int(text) / 1000 <= limits.RUNSYNC_MOST_S:
        raise _bad("wait is milliseconds, 1000 to 300000.")
    return int(text) / 1000


def _bad(why: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": why}), content_type="application/json")


def _error(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)
