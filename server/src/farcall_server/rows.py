"""Jobs as a database's rows, and back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from farcall.files import File
from farcall.jobs import State
from pydantic_core import from_json, to_json

from farcall_server import payloads
from farcall_server.job import Given, Job, Outcome
from farcall_server.outputs import files_of
from farcall_server.uploads import Folder

COLUMNS: Final = (
    "jobs.id, jobs.number, endpoint, folder, created, ttl_s, begun, digest, body, fields, notes.look, ends.look, result"
)
"""What `job` reads, in this order."""


def as_json(value: Any) -> str:
    """A value as one text."""
    return to_json(value).decode()


def accepted(job: Job) -> tuple[Any, ...]:
    """A job that was taken on, as the columns number, id, endpoint, folder, body, fields, created, ttl_s, digest."""
    body, fields = packed(job)
    return (
        job.number, job.id, job.endpoint, job.folder.name, payloads.shelve(body, job.folder, "body"),
        payloads.shelve(fields, job.folder, "fields"), job.moments["created_at"], job.ttl_s, job.digest,
    )  # fmt: skip


def packed(job: Job) -> tuple[str | None, str | None]:
    """A job's arguments as they came: a JSON body, or a form's values with its files."""
    given = job.given
    if given is None or isinstance(given, bytes):
        return None if given is None else given.decode(), None
    return None, payloads.pack(given, job.folder)


def unpacked(body: str | None, fields: str | None, folder: Folder) -> Given:
    """What `packed` was given."""
    if fields is None:
        return {} if body is None else body.encode()
    made: dict[str, Any] = payloads.unpack(fields, folder, File)
    return made


def ended(job: Job, outcome: Outcome) -> tuple[Any, ...]:
    """A job's end, as the columns number, state, look, result, expires. Notes how long it is."""
    result = None if outcome.result is None else payloads.pack(outcome.result, job.folder)
    look = noted(job, outcome)
    job.weight = len(look) + len(result or "")
    text = payloads.shelve(result, job.folder, "result")
    return job.number, outcome.state, look, text, time.time() + job.ttl_s


def noted(job: Job, outcome: Outcome | None = None) -> str:
    """A job's progress, and its end but for the result."""
    look: dict[str, Any] = {
        "progress": job.progress, "message": job.message, "revision": job.revision, "moments": job.moments,
    }  # fmt: skip
    if job.logs is not None:
        look |= {"logs": list(job.logs), "lines": job.lines}
    if outcome is not None:
        look |= {
            "state": outcome.state, "error": outcome.error, "error_type": outcome.error_type,
            "traceback": outcome.traceback, "finished_at": time.time(),
        }  # fmt: skip
    return as_json(look)


def job(row: Sequence[Any], files: Path) -> Job:
    """The job of a row of `COLUMNS`.

    Args:
        row: The row.
        files: Where the jobs' folders are.
    """
    name, number, endpoint, folder, created, ttl_s, begun, digest, body, fields, note, end, result = row
    made = Job(endpoint, {}, ttl_s=ttl_s, folder=Folder(files / folder), job_id=name)
    made.moments = {"created_at": created}
    made.number, made.digest = number, digest
    made.begun = made.life = begun
    _see(made, from_json(end or note or "{}"))
    if end is not None:
        _conclude(made, from_json(end), payloads.fetch(result, made.folder, "result"))
        return made
    fields = payloads.fetch(fields, made.folder, "fields")
    body = None if fields is not None else payloads.fetch(body, made.folder, "body")
    made.given = unpacked(body, fields, made.folder)
    return made


def _see(job: Job, look: Mapping[str, Any]) -> None:
    job.progress, job.message = look.get("progress"), look.get("message")
    job.revision = look.get("revision", 0)
    job.moments |= look.get("moments", {})
    if "logs" in look:
        job.set_logs(look["logs"], look["lines"])


def _conclude(job: Job, look: Mapping[str, Any], result: str | None) -> None:
    value = None if result is None else payloads.unpack(result, job.folder)
    outcome = Outcome(
        state=State(look["state"]), result=value, files=files_of(value), error=look["error"],
        error_type=look["error_type"], traceback=look["traceback"],
    )  # fmt: skip
    job.end(outcome, look["finished_at"])
    job.revision += 1
