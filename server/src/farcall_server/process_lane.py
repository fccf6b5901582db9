"""Runs a function in worker processes."""

from __future__ import annotations

import threading
from functools import partial

from farcall import threads

from farcall_server.isolation import Origin
from farcall_server.job import Job, Outcome
from farcall_server.outcomes import failed
from farcall_server.processes import Child
from farcall_server.uploads import Folder
from farcall_server.worker import ThreadLane, Work


class ProcessLane(ThreadLane):
    """Runs a function in worker processes, as many as may run at once; each is followed by a thread of its own.

    Args:
        work: What is run.
        origin: Where a process finds the function.
        cancel_grace_s: Seconds it has to end once it was asked to, before its process is killed.
    """

    def __init__(self, work: Work, *, origin: Origin, cancel_grace_s: float) -> None:
        super().__init__(work)
        self.origin, self.cancel_grace_s = origin, cancel_grace_s
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._all: set[Child] = set()

    def _next(self) -> None:
        hired = self._hire()  # first, so that no job's time runs while a module is loaded
        job = self.work.store.start(self.work.path)
        if job is not None:
            self._run(job, partial(self._perform, hired))
        if isinstance(hired, Child):
            self._rest(hired)

    def _perform(self, hired: Child | Outcome, job: Job) -> Outcome:
        if isinstance(hired, Outcome):
            return hired
        try:
            return hired.run(job, self.work.store, self.cancel_grace_s)
        finally:
            _tidy(job)

    def _hire(self) -> Child | Outcome:
        """A process that waits for a job, or why there is none."""
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
                self._drop(child)
        try:
            child = Child(self.origin, self.work.fetching)
        except OSError as error:
            return failed(error, cancelling=False)
        with self._lock:
            self._all.add(child)
        fault = child.fault()
        if fault is None:
            return child
        with self._lock:
            self._drop(child)
        return fault

    def _rest(self, child: Child) -> None:
        with self._lock:
            if child.alive and child in self._all:
                self._idle.append(child)
            else:
                self._drop(child)

    def _drop(self, child: Child) -> None:
        if child in self._all:
            self._all.discard(child)
            child.dismiss()

    async def close(self) -> None:
        """End all processes, and let the threads end."""
        await super().close()
        await threads.run(self._dismiss)

    def _dismiss(self) -> None:
        with self._lock:
            children, self._idle = list(self._all), []
            self._all.clear()
        for child in children:
            child.hang_up()
        for child in children:
            child.dismiss()


def _tidy(job: Job) -> None:
    """Remove the job's folder if nothing was put into it."""
    place = job.folder.path()
    if job.chunks is None and not any(place.iterdir()):
        job.folder.discard()
        job.folder = Folder(place) if job.folder.name else Folder()
