"""The durable record of a queue: what was accepted and how it ended, in SQLite, written by one thread."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from farcall.errors import ConfigError
from farcall.files import File
from farcall.jobs import State
from pydantic_core import from_json, to_json

from farcall_server import payloads
from farcall_server.marks import Marks
from farcall_server.outputs import files_of, paths_of
from farcall_server.ownership import Ownership
from farcall_server.queue import Given, Job, Outcome, Recovered, Unavailable, new_id, set_logs
from farcall_server.uploads import Folder

log: Final = logging.getLogger("farcall_server")

NOTE_S: Final = 0.2
"""Seconds that progress may wait until it is written."""

AGAIN_S: Final = 1.0
"""Seconds until an end that the disk refused is written again."""

MOST_AT_ONCE: Final = 500
"""Changes in one transaction."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS fence (number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, folder TEXT NOT NULL,
    body TEXT, fields TEXT, created REAL NOT NULL, ttl_s REAL NOT NULL, begun INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, look TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ends (
    id TEXT PRIMARY KEY, look TEXT NOT NULL, result TEXT, expires REAL NOT NULL) WITHOUT ROWID;
"""

# Each writes all rows of a batch in one step: every step gives up the interpreter lock and must get it back.
_ACCEPT: Final = """
INSERT INTO jobs (id, endpoint, folder, body, fields, created, ttl_s)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'), json_extract(value, '$[6]')
FROM json_each(?)
"""
_END: Final = """
INSERT OR IGNORE INTO ends (id, look, result, expires)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]')
FROM json_each(?)
"""
_NOTE: Final = (
    "INSERT OR REPLACE INTO notes (id, look) SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') "
    "FROM json_each(?)"
)
_FORGET: Final = tuple(
    f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own names
    for table in ("jobs", "notes", "ends")
)
_FIND: Final = """
SELECT jobs.id, endpoint, folder, created, ttl_s, begun, body, fields, notes.look, ends.look, result
FROM jobs LEFT JOIN notes USING (id) LEFT JOIN ends USING (id)
"""


@dataclass(frozen=True, slots=True)
class _Accept:
    job: Job
    then: Callable[[], None]
    failed: Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class _End:
    job: Job
    outcome: Outcome
    then: Callable[[], None]
    stale: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class _Forget:
    job_ids: Sequence[str]


class _Noted:
    """There is progress to be written."""


class _Stop:
    """Nothing more comes."""


_Change = _Accept | _End | _Forget | _Noted | _Stop


class FencedError(OSError):
    """The store has another owner by now; nothing of ours may be written any more."""


class Ledger:
    """Writes a queue's changes, many in one transaction, and reads them back after the process was killed.

    A commit outlives the process at once (WAL, `synchronous=NORMAL`); should the machine lose its power, the last
    moments before may be missing, never half written.

    Args:
        database: The SQLite file; locks, marks and large payloads lie beside it.
    """

    def __init__(self, database: Path) -> None:
        self.database = database.absolute()
        self.files = self._beside(".files")
        self._changes: queue.SimpleQueue[_Change] = queue.SimpleQueue()
        self._stuck: list[_End] = []
        self._noted: dict[str, Job] = {}
        self._note_lock = threading.Lock()
        self._number = 0

    @property
    def name(self) -> str:
        """As `queue=` would name it."""
        return f"sqlite:///{self.database}"

    def _beside(self, suffix: str) -> Path:
        return self.database.with_name(self.database.name + suffix)

    # --- begin

    def open(self) -> Recovered:
        """Take the store over: what its last owner left.

        Raises:
            ConfigError: Another server owns it, or it cannot be read or written.
        """
        try:
            self.database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.files.mkdir(mode=0o700, exist_ok=True)
            self._owned = Ownership(self.database)
            self._reader = self._connect()
            self._writer = self._connect()
            self._writer.executescript(_SCHEMA)
            self._number = self._next_number()
            return self._left()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"The queue {self.database} cannot be used: {error}.") from error

    def _connect(self) -> sqlite3.Connection:
        os.close(os.open(self.database, os.O_RDWR | os.O_CREAT, 0o600))
        made = sqlite3.connect(self.database, isolation_level=None, check_same_thread=False, cached_statements=32)
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("PRAGMA synchronous=NORMAL")
        return made

    def _next_number(self) -> int:
        last = self._writer.execute("SELECT max(number) FROM fence").fetchone()[0] or 0
        with self._transaction():
            self._writer.execute("DELETE FROM fence")
            self._writer.execute("INSERT INTO fence VALUES (?)", (last + 1,))
        return int(last) + 1

    def _left(self) -> Recovered:
        now, marks = time.time(), Marks.left(self._beside(".running"))
        rows = self._writer.execute(f"{_FIND} WHERE ends.id IS NULL ORDER BY jobs.number").fetchall()
        waiting = [self._job(row) for row in rows]
        for job in waiting:
            job.begun = max(job.begun, marks.get(job.id, 0))
        ended = self._writer.execute("SELECT id, expires - ?, ttl_s FROM ends JOIN jobs USING (id)", (now,)).fetchall()
        self._sweep()
        return Recovered(
            waiting=[(job, job.id in marks) for job in waiting],
            ended={name: min(max(rest, 0.0), ttl_s) for name, rest, ttl_s in ended},  # a clock set back, or ahead
        )

    def _sweep(self) -> None:
        """Remove the folders of uploads that never became a job."""
        known = {name for (name,) in self._writer.execute("SELECT folder FROM jobs")}
        for place in self.files.iterdir():
            if place.name not in known:
                shutil.rmtree(place, ignore_errors=True)

    def begin(self, ends: Sequence[tuple[Job, Outcome]], again: Sequence[Job], *, most: int) -> None:
        """Note what became of the jobs that were left, then take on new ones.

        Args:
            ends: Those that are not run again.
            again: Those that are, in a moment.
            most: How many jobs may be on their way at once.
        """
        with self._transaction():
            self._write([_End(job, outcome, _nothing) for job, outcome in ends])
            self._writer.executemany("UPDATE jobs SET begun = ? WHERE id = ?", [(job.begun, job.id) for job in again])
        self._marks = Marks(self._beside(".running"), most)  # not before: until now they were in the old ones
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="farcall-ledger", daemon=True)
        self._thread.start()

    def folder(self) -> Folder:
        """A new job's folder; made when a file is put into it."""
        return Folder(self.files / new_id())

    # --- changes; each from any thread

    async def accept(self, job: Job, then: Callable[[], None]) -> None:
        """Return once the job is written down; `then` is called right before, on the event loop.

        Raises:
            Unavailable: It cannot be written; the disk may be full.
        """
        done: asyncio.Future[None] = self._loop.create_future()

        def written() -> None:
            then()
            if not done.done():
                done.set_result(None)

        def failed(error: Exception) -> None:
            if not done.done():
                done.set_exception(Unavailable(507, f"The job could not be stored: {error}."))

        self._changes.put(_Accept(job, written, failed))
        await done

    def start(self, job: Job) -> None:
        """Note that the job's function is about to begin."""
        self._marks.put(job.id, job.begun)

    def note(self, job: Job) -> None:
        """Have the job's progress written soon."""
        with self._note_lock:
            first = not self._noted
            self._noted[job.id] = job
        if first:
            self._changes.put(_Noted())

    def end(self, job: Job, outcome: Outcome, then: Callable[[], None]) -> None:
        """Have the job's end written; `then` is called once it is, on the event loop."""
        stale = job.folder.others(paths_of(outcome.files)) if job.folder else ()
        self._changes.put(_End(job, outcome, then, stale))

    def forget(self, job_ids: Sequence[str]) -> None:
        """Have these jobs removed, with their files."""
        self._changes.put(_Forget(job_ids))

    def find(self, job_id: str) -> Job | None:
        """A job that has ended; None if there is none of this id."""
        row = self._reader.execute(f"{_FIND} WHERE jobs.id = ?", (job_id,)).fetchone()
        return None if row is None else self._job(row)

    def close(self) -> None:
        """Write what is left, and let another server have the store. Blocks."""
        self._changes.put(_Stop())
        self._thread.join()
        for part in (self._reader, self._writer, self._marks):
            part.close()
        self._owned.give_up()

    # --- the writing thread

    def _work(self) -> None:
        notes_due: float | None = None
        again_due: float | None = None
        while True:
            due = min([moment for moment in (notes_due, again_due) if moment is not None], default=None)
            batch = self._take(due)
            stopping = any(isinstance(change, _Stop) for change in batch)
            if notes_due is None and any(isinstance(change, _Noted) for change in batch):
                notes_due = time.monotonic() + NOTE_S
            if stopping or (notes_due is not None and notes_due <= time.monotonic()):
                notes_due = None
                self._write_notes()
            stuck, self._stuck = self._stuck, []
            self._write_all([*stuck, *(change for change in batch if isinstance(change, _Accept | _End | _Forget))])
            again_due = time.monotonic() + AGAIN_S if self._stuck else None
            if stopping:
                return

    def _take(self, due: float | None) -> list[_Change]:
        """What there is to write, as soon as there is something, or nothing when it is time for what waits."""
        taken: list[_Change] = []
        try:
            taken.append(self._changes.get(timeout=None if due is None else max(due - time.monotonic(), 0.0)))
            while len(taken) < MOST_AT_ONCE:
                taken.append(self._changes.get_nowait())
        except queue.Empty:
            return taken
        return taken

    def _write_all(self, changes: Sequence[_Accept | _End | _Forget]) -> None:
        if not changes:
            return
        try:
            with self._transaction():
                self._write(changes)
        except (sqlite3.Error, OSError) as error:
            self._write_singly(changes, error)
        else:
            self._done(changes)

    def _write_singly(self, changes: Sequence[_Accept | _End | _Forget], error: Exception) -> None:
        """One of many could not be written: find out which, so that the others are."""
        if len(changes) > 1:
            for change in changes:
                self._write_all([change])
            return
        change = changes[0]
        if isinstance(change, _Accept):
            self._loop.call_soon_threadsafe(change.failed, error)
        elif isinstance(change, _End):
            log.error("The end of job %s cannot be written and is tried again: %s", change.job.id, error)
            self._stuck.append(change)

    def _done(self, changes: Sequence[_Accept | _End | _Forget]) -> None:
        told = [change.then for change in changes if not isinstance(change, _Forget)]
        for change in changes:
            if isinstance(change, _End):
                self._marks.remove(change.job.id)
                for place in change.stale:  # not before: until now the job might have had to be run again
                    place.unlink(missing_ok=True)
        self._loop.call_soon_threadsafe(_call_all, told)

    def _transaction(self) -> _Transaction:
        return _Transaction(self._writer, self._number)

    def _write(self, changes: Iterable[_Accept | _End | _Forget]) -> None:
        accepted, ended = [], []
        gone: list[str] = []
        for change in changes:
            if isinstance(change, _Accept):
                accepted.append(_job_row(change.job))
            elif isinstance(change, _End):
                ended.append(_end_row(change.job, change.outcome))
            else:
                gone += change.job_ids
        if accepted:
            self._writer.execute(_ACCEPT, (_json(accepted),))
        if ended:
            self._writer.execute(_END, (_json(ended),))
        if gone:
            self._remove(gone)

    def _remove(self, gone: Sequence[str]) -> None:
        names = _json(gone)
        folders = self._writer.execute(
            "SELECT folder FROM jobs WHERE id IN (SELECT value FROM json_each(?))", (names,)
        ).fetchall()
        for statement in _FORGET:
            self._writer.execute(statement, (names,))
        for (name,) in folders:
            if (self.files / name).exists():
                shutil.rmtree(self.files / name, ignore_errors=True)

    def _write_notes(self) -> None:
        with self._note_lock:
            noted, self._noted = self._noted, {}
        try:
            with self._transaction():
                self._writer.execute(_NOTE, (_json([(job.id, _look(job, None)) for job in noted.values()]),))
        except (sqlite3.Error, OSError) as error:
            log.warning("Progress could not be written: %s", error)

    # --- reading back

    def _job(self, row: Sequence[Any]) -> Job:
        name, endpoint, folder, created, ttl_s, begun, body, fields, note, end, result = row
        job = Job(endpoint, {}, ttl_s=ttl_s, folder=Folder(self.files / folder), job_id=name)
        job.moments = {"created_at": created}
        job.begun = begun
        _see(job, from_json(end or note or "{}"))
        if end is None:
            job.given = _given(body, fields, job.folder)
        else:
            _conclude(job, from_json(end), result)
        return job


class _Transaction:
    """All or nothing, and nothing once another owns the store."""

    def __init__(self, connection: sqlite3.Connection, number: int) -> None:
        self.connection, self.number = connection, number

    def __enter__(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        if self.number and self.connection.execute("SELECT number FROM fence").fetchone() != (self.number,):
            self.connection.execute("ROLLBACK")
            raise FencedError("another server has taken the store over")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self.connection.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        if self.connection.in_transaction:  # SQLite has rolled back already where the disk was full
            self.connection.execute("ROLLBACK")


def _nothing() -> None:
    return


def _call_all(functions: Collection[Callable[[], None]]) -> None:
    for function in functions:
        function()


def _json(value: Any) -> str:
    return to_json(value).decode()


# --- rows


def _job_row(job: Job) -> tuple[Any, ...]:
    given = job.given
    body = given.decode() if isinstance(given, bytes) else None
    fields = None if given is None or isinstance(given, bytes) else payloads.pack(given, job.folder)
    return (
        job.id, job.endpoint, job.folder.name, payloads.shelve(body, job.folder, "body"),
        payloads.shelve(fields, job.folder, "fields"), job.moments["created_at"], job.ttl_s,
    )  # fmt: skip


def _given(body: str | None, fields: str | None, folder: Folder) -> Given:
    body = None if fields is not None else payloads.fetch(body, folder, "body")
    if body is not None:
        return body.encode()
    packed = payloads.fetch(fields, folder, "fields")
    made: dict[str, Any] = {} if packed is None else payloads.unpack(packed, folder, File)
    return made


def _end_row(job: Job, outcome: Outcome) -> tuple[Any, ...]:
    result = None if outcome.result is None else payloads.pack(outcome.result, job.folder)
    text = payloads.shelve(result, job.folder, "result")
    return job.id, _look(job, outcome), text, time.time() + job.ttl_s


def _look(job: Job, outcome: Outcome | None) -> str:
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
    return _json(look)


def _see(job: Job, look: Mapping[str, Any]) -> None:
    job.progress, job.message = look.get("progress"), look.get("message")
    job.revision = look.get("revision", 0)
    job.moments |= look.get("moments", {})
    if "logs" in look:
        set_logs(job, look["logs"], look["lines"])


def _conclude(job: Job, look: Mapping[str, Any], result: str | None) -> None:
    text = payloads.fetch(result, job.folder, "result")
    value = None if text is None else payloads.unpack(text, job.folder)
    job.state = State(look["state"])
    job.outcome = Outcome(
        state=job.state, result=value, files=files_of(value), error=look["error"], error_type=look["error_type"],
        traceback=look["traceback"],
    )  # fmt: skip
    job.moments["finished_at"] = look["finished_at"]
    job.revision += 1
    job.progress = 1.0 if job.state is State.SUCCEEDED else job.progress
