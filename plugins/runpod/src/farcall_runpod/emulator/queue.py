"""The emulated endpoint's jobs: who waits, who runs where, and what ends each."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from farcall_runpod.emulator import job as jobs
from farcall_runpod.emulator.job import Job
from farcall_runpod.emulator.times import Times

DEATHS: Final = 3
"""With how many workers a job may die before it counts as failed; ours, Runpod's documentation does not say."""
DIED: Final = "The worker exited while it ran this job."
EXCEEDED: Final = "The job ran longer than its executionTimeout."


class Queue:
    """One endpoint's jobs. Its methods belong to one event loop.

    Args:
        times: What is kept, and for how long.
        on_end: Called with each job that has ended.
        lags: Whether how jobs were shown is kept, for status that lags behind.

    Attributes:
        jobs: Those that are known, by id.
        ended: How many have ended, by status.
        retried: How many were put back into the queue.
        last_end: When a job ended last, on the loop's clock.
    """

    def __init__(self, times: Times, on_end: Callable[[Job], None], *, lags: bool = False) -> None:
        self.jobs: dict[str, Job] = {}
        self.ended: Counter[str] = Counter()
        self.retried = 0
        self.last_end = 0.0
        self._times = times
        self._on_end = on_end
        self._lags = lags
        self._waiting: deque[Job] = deque()
        self._unhurried: deque[Job] = deque()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._stops: dict[str, list[str]] = {}
        self._stoppers: dict[str, asyncio.Event] = {}

    # --- in and out of the queue --------------------------------------------------------------------------------

    def submit(self, body: Mapping[str, Any], *, sync: bool) -> Job:
        """A new job from what was posted to `/run` or `/runsync`."""
        loop = asyncio.get_running_loop()
        policy = body.get("policy") or {}
        job = Job(
            id=f"{'sync-' if sync else ''}{uuid.uuid4()}-e1",
            given=body["input"],
            webhook=body.get("webhook"),
            execution_s=policy.get("executionTimeout", self._times.execution_s * 1000) / 1000,
            low_priority=policy.get("lowPriority") is True,
            created=loop.time(),
        )
        self.jobs[job.id] = job
        job.ttl = loop.call_later(policy.get("ttl", self._times.ttl_s * 1000) / 1000, self._drop, job)
        self._enqueue(job)
        return job

    def _enqueue(self, job: Job, *, first: bool = False) -> None:
        line = self._unhurried if job.low_priority else self._waiting
        line.appendleft(job) if first else line.append(job)
        self._changed(job)
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._waiting) + len(self._unhurried)

    def running(self, worker: str | None = None) -> list[Job]:
        """The jobs that run, on one worker or on any."""
        return [j for j in self.jobs.values() if j.status == jobs.IN_PROGRESS and worker in (None, j.worker)]

    async def work(self) -> None:
        """Wait until there is a job to be taken, for as long as a worker is held."""
        if self.waiting:
            return
        taker = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        await asyncio.wait([taker], timeout=self._times.take_s)
        taker.cancel()

    def take(self, worker: str, most: int) -> list[Job]:
        """Up to so many jobs, which from now on run on this worker."""
        loop = asyncio.get_running_loop()
        taken: list[Job] = []
        while self.waiting and len(taken) < most:
            job = (self._waiting or self._unhurried).popleft()
            job.status, job.worker, job.started = jobs.IN_PROGRESS, worker, loop.time()
            job.timers.append(loop.call_later(job.execution_s, self._exceeded, job))
            self._changed(job)
            taken.append(job)
        return taken

    # --- what a worker says -------------------------------------------------------------------------------------

    def done(self, worker: str, job_id: str, said: Mapping[str, Any]) -> None:
        """Take in what a worker posted of a job; of one that is no longer its own, nothing."""
        job = self.jobs.get(job_id)
        if job is None or job.worker != worker or job.status != jobs.IN_PROGRESS:
            return
        if said.get("status") == jobs.IN_PROGRESS:
            job.output, job.has_output = said.get("output"), True
            self._changed(job)
            return
        job.output, job.has_output, job.error = said.get("output"), "output" in said, said.get("error")
        self._finish(job, jobs.FAILED if said.get("error") else jobs.COMPLETED)

    def piece(self, worker: str, job_id: str, said: Mapping[str, Any]) -> None:
        """Take in a piece of output."""
        job = self.jobs.get(job_id)
        if job is not None and job.worker == worker and job.status == jobs.IN_PROGRESS:
            job.pieces.append(said)

    def gone(self, worker: str) -> None:
        """A worker has exited: its jobs wait again, each only so often."""
        for job in self.running(worker):
            self.retried += 1
            deaths = job.retries + 1
            if deaths < DEATHS:
                job.reset()
                job.retries = deaths
                self._enqueue(job, first=True)
            else:
                job.error, job.has_output = DIED, False
                self._finish(job, jobs.FAILED)
        self._stops.pop(worker, None)
        self._stoppers.pop(worker, None)

    async def stops(self, worker: str) -> list[str]:
        """The jobs that this worker is to stop, once there are some."""
        event = self._stoppers.setdefault(worker, asyncio.Event())
        if not self._stops.get(worker):
            event.clear()
            try:
                async with asyncio.timeout(self._times.take_s):
                    await event.wait()
            except TimeoutError:
                return []
        return self._stops.pop(worker, [])

    # --- what a user says ---------------------------------------------------------------------------------------

    def cancel(self, job: Job) -> None:
        """End a job that has not ended."""
        if job.status == jobs.IN_QUEUE:
            self._leave(job)
        if not job.ended:
            self._stop(job)
            job.has_output = False
            self._finish(job, jobs.CANCELLED)

    def retry(self, job: Job) -> bool:
        """Run a job that failed or timed out again; whether it is one."""
        if job.status not in {jobs.FAILED, jobs.TIMED_OUT}:
            return False
        self.ended[job.status] -= 1
        self.retried += 1
        retries = job.retries + 1
        job.reset()
        job.retries = retries
        self._enqueue(job)
        return True

    def purge(self) -> int:
        """Drop every job that waits; how many there were."""
        dropped = [*self._waiting, *self._unhurried]
        for job in dropped:
            self.cancel(job)
        return len(dropped)

    # --- what time does -----------------------------------------------------------------------------------------

    def _exceeded(self, job: Job) -> None:
        self._stop(job)
        job.error, job.has_output = EXCEEDED, False
        self._finish(job, jobs.TIMED_OUT)

    def _finish(self, job: Job, status: str) -> None:
        loop = asyncio.get_running_loop()
        job.stop_timers()
        job.status, job.ended_at = status, loop.time()
        self.last_end = job.ended_at
        kept_s = self._times.sync_kept_s if job.id.startswith("sync-") else self._times.kept_s
        job.timers.append(loop.call_later(kept_s, self._drop, job))
        self.ended[status] += 1
        self._changed(job)
        job.end.set()
        self._on_end(job)

    def _drop(self, job: Job) -> None:
        """Forget a job: its ttl is over, or its end was kept long enough."""
        if job.status == jobs.IN_QUEUE:
            self._leave(job)
        elif job.status == jobs.IN_PROGRESS:
            self._stop(job)
        job.stop_timers()
        if job.ttl is not None:
            job.ttl.cancel()
        self.jobs.pop(job.id, None)
        job.end.set()

    def _leave(self, job: Job) -> None:
        line = self._unhurried if job.low_priority else self._waiting
        if job in line:
            line.remove(job)

    def _stop(self, job: Job) -> None:
        if job.worker is not None and job.status == jobs.IN_PROGRESS:
            self._stops.setdefault(job.worker, []).append(job.id)
            self._stoppers.setdefault(job.worker, asyncio.Event()).set()

    def _changed(self, job: Job) -> None:
        if self._lags:
            job.past.append((asyncio.get_running_loop().time(), jobs.shown(job)))
