"""Which jobs there are: `GET /jobs`, newest first, page by page."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from farcall.jobs import State

from farcall_server.job import Job

DEFAULT_LIMIT: Final = 50
MOST: Final = 1000
"""Jobs on one page."""

NEWEST: Final = 2**62
"""A number that no job reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One page of jobs as it was asked for.

    Args:
        state: Only jobs in this state; None: in any.
        endpoint: Only jobs of the endpoint with this path; None: of any.
        since: Only jobs created at this moment or later, in seconds since 1970.
        before: Only jobs with a smaller number: the last one's of the page before.
        limit: How many at most.
    """

    state: State | None = None
    endpoint: str | None = None
    since: float | None = None
    before: int = NEWEST
    limit: int = DEFAULT_LIMIT

    def fits(self, job: Job) -> bool:
        """Whether a job is asked for."""
        return (
            job.number < self.before
            and self.state in {None, job.state}
            and self.endpoint in {None, job.endpoint}
            and (self.since is None or job.moments["created_at"] >= self.since)
        )

    def among(self, jobs: Iterable[Job]) -> list[Job]:
        """Those that are asked for, newest first."""
        return heapq.nlargest(self.limit, filter(self.fits, jobs), key=lambda job: job.number)
