"""Reads the durable record: one job, a page of them, or all that a killed server left."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from farcall_server import database, rows
from farcall_server.chunks import Chunks
from farcall_server.job import Job
from farcall_server.listing import Asked

_FIND: Final = f"SELECT {rows.COLUMNS} FROM jobs LEFT JOIN notes USING (number) LEFT JOIN ends USING (number)"  # noqa: S608 - our own names

# Of a page no result is read, and of a job that has not ended no arguments: the store has that job in memory.
_PAGE_COLUMNS: Final = (
    "jobs.id, jobs.number, endpoint, folder, created, ttl_s, begun, digest, NULL, NULL, NULL, ends.look, NULL"
)
_PAGE: Final = f"SELECT {_PAGE_COLUMNS} FROM jobs LEFT JOIN ends USING (number) WHERE"  # noqa: S608 - as above
_ENDED_PAGE: Final = f"SELECT {_PAGE_COLUMNS} FROM ends CROSS JOIN jobs USING (number) WHERE"  # noqa: S608
_LATER: Final = "jobs.number < :before AND created >= :since"


class Reader:
    """Reads on a connection of its own, one query at a time. Every method blocks and may be called from any thread.

    Args:
        path: The database.
        files: Where the jobs' folders are.
    """

    def __init__(self, path: Path, files: Path) -> None:
        self.files = files
        self._connection = database.connect(path)
        self._lock = threading.Lock()

    def _rows(self, query: str, values: Mapping[str, Any]) -> list[Sequence[Any]]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def find(self, job_id: str) -> Job | None:
        """The job of this id."""
        found = self._rows(f"{_FIND} WHERE jobs.id = :id", {"id": job_id})
        if not found:
            return None
        job = rows.job(found[0], self.files)
        job.chunks = Chunks.left(job.folder)
        return job

    def left(self) -> list[Job]:
        """The jobs that have not ended, oldest first."""
        return [rows.job(row, self.files) for row in self._rows(f"{_FIND} WHERE ends.number IS NULL ORDER BY 2", {})]

    def rests(self, now: float) -> Mapping[str, float]:
        """The ids of the jobs that have ended, and the seconds their results are still kept."""
        query = "SELECT id, expires - :now, ttl_s FROM ends JOIN jobs USING (number)"
        # A clock set back, or ahead, changes nothing of how long they are kept at most.
        return {name: min(max(rest, 0.0), ttl_s) for name, rest, ttl_s in self._rows(query, {"now": now})}

    def last(self) -> int:
        """The greatest number of a job."""
        return int(self._rows("SELECT coalesce(max(number), 0) FROM jobs", {})[0][0])

    def page(self, asked: Asked) -> list[Job]:
        """The jobs that are asked for, newest first, without results."""
        query, values = paged(asked)
        return [rows.job(row, self.files) for row in self._rows(query, values)]

    def close(self) -> None:
        """Give the connection up."""
        with self._lock:
            self._connection.close()


def paged(asked: Asked) -> tuple[str, Mapping[str, Any]]:
    """The query of a page, and its values: along an index in the order in which it is wanted."""
    endpoint = "" if asked.endpoint is None else " AND endpoint = :endpoint"
    since = asked.since or 0.0
    values = {"before": asked.before, "since": since, "endpoint": asked.endpoint, "limit": asked.limit}
    if asked.state is None:
        return f"{_PAGE} {_LATER}{endpoint} ORDER BY jobs.number DESC LIMIT :limit", values
    by_state = f"{_ENDED_PAGE} state = :state AND ends.number < :before AND created >= :since{endpoint}"
    return f"{by_state} ORDER BY ends.number DESC LIMIT :limit", {**values, "state": asked.state}
