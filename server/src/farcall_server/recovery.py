"""What becomes of the jobs that a killed server left: each waits again, or ends with the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from farcall.jobs import State

from farcall_server.durable import Recovered
from farcall_server.job import Job, Outcome
from farcall_server.lines import Line

REVISIONS_APART: Final = 1_000_000
"""By how much a job's revision grows when its server was restarted: more than it can have grown unwritten."""

STOPPED: Final = "server stopped while running"


def sort_out(left: Recovered, lines: Mapping[str, Line]) -> tuple[list[tuple[Job, Outcome]], list[Job]]:
    """The jobs that end now, and how; those that wait again, with their arguments checked."""
    ends, again = [], []
    for job, running in left.waiting:
        job.revision += REVISIONS_APART
        reason = _why_not(job, lines.get(job.endpoint), running=running)
        if reason is None:
            again.append(job)
        else:
            ends.append((job, Outcome(state=State.FAILED, error=reason)))
    return ends, again


def _why_not(job: Job, line: Line | None, *, running: bool) -> str | None:
    if line is None:
        return f"The server was started anew without {job.endpoint}."
    if running and not line.rules.idempotent and job.begun > line.rules.retries:
        return STOPPED
    try:
        hand_over(job, line, line.rules.revive(job.given, job.folder))
    except Exception as error:  # noqa: BLE001 - a user's validator may raise anything; the others go on
        return f"The server was started anew, and {job.endpoint} does not take the arguments any more: {error}"
    return None


def hand_over(job: Job, line: Line, arguments: Mapping[str, Any]) -> None:
    """Keep of a job's arguments what its function will be given: as they came if it runs in another process."""
    if line.rules.isolated:
        job.arguments = {}
    else:
        job.arguments, job.given = arguments, None
