"""Where a queue's changes are written down, so that they outlive the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.exceptions import HTTPException

from farcall_server.job import Job, Outcome
from farcall_server.listing import Asked
from farcall_server.uploads import Folder

UNOPENED: Final = "The queue is not open: the app was served without its lifespan, as a mounted app is."
STOPPING: Final = "The server is stopping; send the call again in a moment."


class Unavailable(HTTPException):
    """The queue takes no jobs on now: 503 while it stops, 507 where the disk is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a killed server left behind.

    Args:
        waiting: Its jobs that have not ended, oldest first; whether each was running.
        ended: Ids of those that have, and the seconds their results are still kept.
        last: The greatest number of all.
    """

    waiting: Sequence[tuple[Job, bool]]
    ended: Mapping[str, float]
    last: int


class Durable(Protocol):
    """Where a queue's changes are written down, so that they outlive the process."""

    @property
    def name(self) -> str:
        """As `queue=` would name it: `sqlite:////srv/jobs.db`."""
        ...

    def open(self) -> Recovered:
        """What the last owner left."""
        ...

    def begin(self, ends: Sequence[tuple[Job, Outcome]], again: Sequence[Job], *, most: int) -> None:
        """Write what became of it; then take on jobs, at most so many at once. Called on the event loop."""
        ...

    def folder(self) -> Folder:
        """A new job's folder."""
        ...

    async def accept(self, job: Job, then: Callable[[], None]) -> None:
        """Return once the job is written; `then` is called right before. Raises `Unavailable`."""
        ...

    def start(self, job: Job) -> None:
        """Note that its function is about to begin; a killed process leaves this to read."""
        ...

    def note(self, job: Job) -> None:
        """Write the job's progress soon."""
        ...

    def end(self, job: Job, outcome: Outcome, then: Callable[[], None]) -> None:
        """Write the job's end, and call `then` once that is done."""
        ...

    def forget(self, job_ids: Sequence[str]) -> None:
        """Remove these jobs and their files."""
        ...

    def find(self, job_id: str) -> Job | None:
        """A job that has ended. Blocks."""
        ...

    def page(self, asked: Asked) -> Sequence[Job]:
        """The jobs that are asked for, newest first, without results; in a state that ends, or in any. Blocks."""
        ...

    def close(self) -> None:
        """Write what is left and give the place up. Blocks."""
        ...
