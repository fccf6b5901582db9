"""The durable record of a queue: what was accepted and how it ended, in SQLite, written by one thread."""

from __future__ import annotations

import asyncio
import logging
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

from farcall.errors import ConfigError

from farcall_server import database, rows
from farcall_server.durable import Recovered, Unavailable
from farcall_server.job import Job, Outcome, new_id
from farcall_server.listing import Asked
from farcall_server.marks import Marks
from farcall_server.ownership import Ownership
from farcall_server.reader import Reader
from farcall_server.uploads import Folder

log: Final = logging.getLogger("farcall_server")

NOTE_S: Final = 0.2
"""Seconds that progress may wait until it is written."""

AGAIN_S: Final = 1.0
"""Seconds until an end that the disk refused is written again."""

MOST_AT_ONCE: Final = 500
"""Changes in one transaction."""

_ACCEPT: Final = database.Insert("INTO jobs", "number, id, endpoint, folder, body, fields, created, ttl_s, digest")
_END: Final = database.Insert("OR IGNORE INTO ends", "number, state, look, result, expires")
_NOTE: Final = database.Insert("OR REPLACE INTO notes", "number, look")
_GONE: Final = "SELECT number FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
_FORGET: Final = tuple(
    f"DELETE FROM {table} WHERE number IN ({_GONE})"  # noqa: S608 - our own names
    for table in ("notes", "ends", "jobs")
)
_SWEEP: Final = tuple(
    f"DELETE FROM {table} WHERE number NOT IN (SELECT number FROM jobs)"  # noqa: S608 - our own names
    for table in ("notes", "ends")
)


class _Accept(NamedTuple):  # a tuple is made in a third of the time
    job: Job
    then: Callable[[], None]
    failed: Callable[[Exception], None]


class _End(NamedTuple):
    job: Job
    outcome: Outcome
    then: Callable[[], None]
    stale: Sequence[Path] = ()


class _Forget(NamedTuple):
    job_ids: Sequence[str]


class _Noted:
    """There is progress to be written."""


class _Stop:
    """Nothing more comes."""


_Change = _Accept | _End | _Forget | _Noted | _Stop


class _Closable(Protocol):
    """What is held of the store while it is open."""

    def close(self) -> None:
        """Give it up."""
        ...


C = TypeVar("C", bound=_Closable)


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
        self._open: list[_Closable] = []
        self._thread: threading.Thread | None = None

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
            self._held(Ownership(self.database))
            self._writer = self._held(database.connect(self.database))
            self._number = database.prepare(self._writer)
            self._reader = self._held(Reader(self.database, self.files))
            return self._left()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"The queue {self.database} cannot be used: {error}.") from error

    def _held(self, part: C) -> C:
        self._open.append(part)
        return part

    def _left(self) -> Recovered:
        now, marks = time.time(), Marks.left(self._beside(".running"))
        waiting = self._reader.left()
        for job in waiting:
            job.begun = job.life = max(job.begun, marks.get(job.id, 0))
        self._sweep()
        return Recovered(
            waiting=[(job, job.id in marks) for job in waiting],
            ended=self._reader.rests(now),
            last=self._reader.last(),
        )

    def _sweep(self) -> None:
        """Remove what belongs to no job: folders of uploads, and rows under numbers that are given out again."""
        for statement in _SWEEP:
            self._writer.execute(statement)
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
        # not before: until now they were in the old ones
        self._marks = self._held(Marks(self._beside(".running"), most))
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="farcall-ledger", daemon=True)
        self._thread.start()

    def folder(self) -> Folder:
        """A new job's folder; made when a file is put into it."""
        return Folder(self.files, name=new_id())

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
        stale = job.folder.others(job.paths(outcome)) if job.folder else ()
        self._changes.put(_End(job, outcome, then, stale))

    def forget(self, job_ids: Sequence[str]) -> None:
        """Have these jobs removed, with their files."""
        self._changes.put(_Forget(job_ids))

    def find(self, job_id: str) -> Job | None:
        """A job that has ended; None if there is none of this id. Blocks."""
        return self._reader.find(job_id)

    def page(self, asked: Asked) -> Sequence[Job]:
        """The jobs that are asked for, newest first, without results. Blocks."""
        return self._reader.page(asked)

    def close(self) -> None:
        """Write what is left, and let another server have the store; also if it could not be opened. Blocks."""
        if self._thread is not None:
            self._changes.put(_Stop())
            self._thread.join()
            self._thread = None
        while self._open:
            self._open.pop().close()

    # --- the writing thread

    def _work(self) -> None:
        notes_due: float | None = None
        again_due: float | None = None
        while True:
            due = min([moment for moment in (notes_due, again_due) if moment is not None], default=None)
            batch = self._take(due)
            kinds = {type(change) for change in batch}
            stopping = _Stop in kinds
            if notes_due is None and _Noted in kinds:
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

    def _transaction(self) -> database.Transaction:
        return database.Transaction(self._writer, self._number)

    def _write(self, changes: Iterable[_Accept | _End | _Forget]) -> None:
        accepted, ended = [], []
        gone: list[str] = []
        for change in changes:
            if isinstance(change, _Accept):
                accepted.append(rows.accepted(change.job))
            elif isinstance(change, _End):
                ended.append(rows.ended(change.job, change.outcome))
            else:
                gone += change.job_ids
        _ACCEPT.write(self._writer, accepted)
        _END.write(self._writer, ended)
        if gone:
            self._remove(gone)

    def _remove(self, gone: Sequence[str]) -> None:
        names = rows.as_json(gone)
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
                _NOTE.write(self._writer, [(job.number, rows.noted(job)) for job in noted.values()])
        except (sqlite3.Error, OSError) as error:
            log.warning("Progress could not be written: %s", error)


def _nothing() -> None:
    return


def _call_all(functions: Collection[Callable[[], None]]) -> None:
    for function in functions:
        function()
