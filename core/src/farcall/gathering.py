"""Several jobs at once, asynchronously."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

from farcall.errors import UsageError, WaitTimeout
from farcall.job import AsyncJob
from farcall.options import check_seconds

J = TypeVar("J")


def listed_jobs(jobs: Iterable[J], kind: type[J], verb: str) -> list[J]:
    """The jobs, once it is sure that they are jobs of the face that the verb belongs to.

    Raises:
        UsageError: They are no list of such jobs.
    """
    if not isinstance(jobs, Iterable):
        raise UsageError(f"{verb} takes the jobs in a list; not a {type(jobs).__name__}.")
    listed = list(jobs)
    for job in listed:
        if not isinstance(job, kind):
            raise UsageError(
                f"A {type(job).__name__} is no {kind.__name__}: {verb} takes what submit() of a blocking service "
                f"returned, {verb}_async what that of an asynchronous one did."
            )
    return listed


async def gather_async(jobs: Iterable[AsyncJob], return_exceptions: bool = False) -> list[Any]:  # noqa: FBT001, FBT002 - asyncio.gather's signature
    """The jobs' results, in order.

    Args:
        jobs: Of one service or several.
        return_exceptions: Put errors into the list instead of raising the first one.

    Raises:
        FarcallError: The first job's that did not end well; the others go on.
    """
    listed = listed_jobs(jobs, AsyncJob, "gather")
    return await asyncio.gather(*(job.result() for job in listed), return_exceptions=return_exceptions)


async def as_completed_async(jobs: Iterable[AsyncJob], timeout_s: float | None = None) -> AsyncIterator[AsyncJob]:
    """The jobs themselves, each as soon as it has ended, well or not.

    Args:
        jobs: Of one service or several.
        timeout_s: Longest wait for all of them, in seconds; None: no end.

    Raises:
        WaitTimeout: Some have not ended within `timeout_s` seconds; they go on. Its `job` is None.
    """
    check_seconds(timeout_s)
    ended: asyncio.Queue[AsyncJob] = asyncio.Queue()
    watching = [asyncio.ensure_future(_ended(job, ended)) for job in listed_jobs(jobs, AsyncJob, "as_completed")]
    deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
    try:
        for left in range(len(watching), 0, -1):
            try:
                async with asyncio.timeout_at(deadline):
                    job = await ended.get()
            except TimeoutError:
                raise WaitTimeout(
                    f"{left} of {len(watching)} jobs have not ended within {timeout_s} s; they go on."
                ) from None
            yield job
    finally:
        for task in watching:
            task.cancel()


async def _ended(job: AsyncJob, ended: asyncio.Queue[AsyncJob]) -> None:
    job._follow()  # noqa: SLF001
    await job._tracked.until(lambda: False, None, "")  # noqa: SLF001
    ended.put_nowait(job)
