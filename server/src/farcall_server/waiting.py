"""How long a request waits for a job to move, so that a client learns at once and asks seldom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from farcall_server.job import Job
from farcall_server.queue import Store

LONGEST_S: Final = 60.0
"""Seconds; a longer wait is cut to this."""

PACE_S: Final = 0.02
"""Seconds between two changes that waiting clients are told of one running job; the end is told at once."""


async def for_end(store: Store, job: Job, wait_s: float) -> None:
    """Return once the job has ended, at the latest after `wait_s` seconds."""
    if wait_s > 0 and not job.state.ended:
        await store.ended(job, min(wait_s, LONGEST_S))


async def for_change(store: Store, job: Job, seen: int | None, wait_s: float) -> None:
    """Return once the job has another revision than `seen` (None: than now) or has ended, or the time is over."""
    if wait_s <= 0 or job.state.ended:
        return
    until = time.monotonic() + min(wait_s, LONGEST_S)
    await store.changed([(job, job.revision if seen is None else seen)], until - time.monotonic())
    pause = min(job.told_at + PACE_S, until) - time.monotonic()
    await for_end(store, job, pause)
    job.told_at = time.monotonic()


async def for_any(store: Store, jobs: Sequence[Job], seen: Sequence[int | None], wait_s: float) -> Sequence[Job]:
    """The jobs that have ended or moved on from what was seen, once there is one; empty if the time is over first.

    Args:
        store: Where they are.
        jobs: Those asked for.
        seen: For each the revision its asker knows; None: none, so any change from now on is news.
        wait_s: Longest wait in seconds; 0 looks once, and then a job of which nothing is known is news.
    """
    known = [(job, job.revision if last is None and wait_s > 0 else last) for job, last in zip(jobs, seen, strict=True)]
    if wait_s > 0 and not _news(known):
        await store.changed([(job, last) for job, last in known if last is not None], min(wait_s, LONGEST_S))
        await _gather_more(known)
    return _news(known)


async def _gather_more(known: Sequence[tuple[Job, int | None]]) -> None:
    """After the first change, give the others a moment, so that one answer carries them all."""
    if len(known) > 1 and _news(known):
        await asyncio.sleep(PACE_S)


def _news(known: Sequence[tuple[Job, int | None]]) -> list[Job]:
    return [job for job, last in known if job.state.ended or job.revision != last]
