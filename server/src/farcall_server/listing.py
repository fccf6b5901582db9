"""Which jobs there are: `GET /jobs`, newest first, page by page."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from farcall.jobs import State
from farcall.spec import normalised
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

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


class Query(TypedDict, total=False):
    """What `GET /jobs` takes."""

    state: Annotated[State, Field(description="Only jobs in this state.")]
    endpoint: Annotated[str, Field(description="Only jobs of the endpoint with this path.")]
    since: Annotated[
        datetime,
        Field(description="Only jobs created then or later; in UTC where it names no zone, or seconds since 1970."),
    ]
    limit: Annotated[int, Field(ge=1, le=MOST, description="How many at most.")]
    cursor: Annotated[str, Field(pattern="^[0-9]{1,18}$", description="The page after the one that gave this.")]


QUERY: Final = TypeAdapter(Query)


def asked(query: Mapping[str, str]) -> Asked:
    """The page that a query asks for.

    Raises:
        RequestValidationError: 422, something in it is wrong; the sentence says what.
    """
    try:
        read = QUERY.validate_python({name: query[name] for name in Query.__annotations__ if name in query})
    except ValidationError as error:
        entries = error.errors(include_url=False, include_context=False)
        shown = [{**entry, "loc": ("query", *entry["loc"]), "input": str(entry["input"])[:80]} for entry in entries]
        raise RequestValidationError(shown) from error
    since = read.get("since")
    return Asked(
        state=read.get("state"),
        endpoint=normalised(read["endpoint"]) if "endpoint" in read else None,
        since=None if since is None else (since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp(),
        before=int(read.get("cursor", NEWEST)),
        limit=read.get("limit", DEFAULT_LIMIT),
    )
