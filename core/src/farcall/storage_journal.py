"""What this machine remembers of its uploads: those under way, to go on with them; those done, to send none twice."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

log = logging.getLogger("farcall")

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS secret (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS kept (
  place TEXT, digest TEXT, generation INTEGER NOT NULL, key TEXT, expires_at REAL, PRIMARY KEY (place, digest));
CREATE TABLE IF NOT EXISTS given_up (place TEXT, key TEXT, PRIMARY KEY (place, key));
CREATE TABLE IF NOT EXISTS uploads (
  place TEXT, key TEXT, digest TEXT, upload TEXT, part_bytes INTEGER, begun_at REAL, PRIMARY KEY (place, key));
CREATE TABLE IF NOT EXISTS parts (
  place TEXT, key TEXT, upload TEXT, number INTEGER, receipt TEXT, PRIMARY KEY (place, key, upload, number));
"""
FILE_NAME: Final = "storages.sqlite"
BUSY_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was uploaded.

    Args:
        key: Where it lies; None if it was cleaned up since.
        generation: How often it was cleaned up.
    """

    key: str | None
    generation: int


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An upload in parts that has not come to its end.

    Args:
        key: Where it will lie.
        upload: The storage's id of it.
        part_bytes: The size of each part but the last.
        receipts: Part number to receipt, for the parts that have arrived.
    """

    key: str
    upload: str
    part_bytes: int
    receipts: Mapping[int, str]


def state_folder() -> Path:
    """Where this user's programs keep such things: `XDG_STATE_HOME`, else `~/.local/state`."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()) / "farcall"


class Journal:
    """One SQLite file of the user's own (0600, in a folder 0700), shared by all of the user's processes.

    Where no such file can be kept, the journal lasts as long as the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or state_folder()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._lasts = False
        self._process = os.getpid()
        self._end: weakref.finalize[..., Journal] | None = None

    def folder(self) -> Path | None:
        """Where it lies, with what else this user's programs remember; None if it lasts as long as the process."""
        with self._open():
            return self._folder if self._lasts else None

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The connection, within one transaction; made anew after a fork, whose parent's must not be touched."""
        with self._lock:
            connection = self._connection
            if connection is None or self._process != os.getpid():
                connection = self._connection = self._made_anew()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection

    def _made_anew(self) -> sqlite3.Connection:
        if self._end is not None:
            self._end.detach()
            _abandoned.append(self._connection)
        connection = self._connect()
        self._process = os.getpid()
        self._end = weakref.finalize(self, connection.close)
        self._end.atexit = False  # the system closes it then, also in a fork
        return connection

    def _connect(self) -> sqlite3.Connection:
        self._lasts = True
        try:
            return _opened(self._folder)
        except (OSError, sqlite3.Error) as error:
            log.warning("No journal of uploads can be kept in %s (%s): none will resume.", self._folder, error)
        self._lasts = False
        return _ready(":memory:")

    def secret(self) -> bytes:
        """32 random bytes that this user keeps for good."""
        with self._open() as db:
            db.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", (secrets.token_bytes(32),))
            value: bytes = db.execute("SELECT value FROM secret").fetchone()[0]
            return value

    # --- what was uploaded ------------------------------------------------------------------------------------

    def kept(self, place: str, digest: str) -> Kept:
        """What is known of a file in a place."""
        with self._open() as db:
            row = db.execute("SELECT key, generation FROM kept WHERE place=? AND digest=?", (place, digest)).fetchone()
        return Kept(*row) if row else Kept(None, 0)

    def keep(self, place: str, digest: str, key: str, generation: int, expires_at: float | None) -> None:
        """Remember a file that lies in a place, or that it is wanted for longer; a time is never brought forward."""
        with self._open() as db:
            db.execute(
                "INSERT INTO kept VALUES (?,?,?,?,?) ON CONFLICT (place, digest) DO UPDATE SET key=excluded.key,"
                "generation=excluded.generation, expires_at=CASE WHEN key=excluded.key"
                " THEN MAX(expires_at, excluded.expires_at) ELSE excluded.expires_at END",
                (place, digest, generation, key, expires_at),
            )

    def refresh(self, place: str, digest: str, key: str, expires_at: float | None) -> bool:
        """Want a kept file for longer; returns False if it was cleaned up meanwhile."""
        with self._open() as db:
            done = db.execute(
                "UPDATE kept SET expires_at=MAX(expires_at, ?) WHERE place=? AND digest=? AND key=?",
                (expires_at, place, digest, key),
            )
            return done.rowcount == 1

    def overdue(self, place: str, now: float) -> list[str]:
        """Keys that nobody wants any more, given up from here on: their files are to be deleted, then `deleted`."""
        told = {"place": place, "now": now}
        with self._open() as db:
            db.execute(
                "INSERT OR IGNORE INTO given_up SELECT place, key FROM kept"
                " WHERE place=:place AND expires_at < :now AND key IS NOT NULL",
                told,
            )
            db.execute(
                "UPDATE kept SET key=NULL, generation=generation+1"
                " WHERE place=:place AND expires_at < :now AND key IS NOT NULL",
                told,
            )
            rows = db.execute("SELECT key FROM given_up WHERE place=:place", told).fetchall()
        return [key for (key,) in rows]

    def deleted(self, place: str, key: str) -> None:
        """A file that was given up is gone."""
        with self._open() as db:
            db.execute("DELETE FROM given_up WHERE place=? AND key=?", (place, key))

    def forget(self, place: str, key: str) -> None:
        """Know no longer that a file lies under a key."""
        with self._open() as db:
            db.execute("UPDATE kept SET key=NULL, generation=generation+1 WHERE place=? AND key=?", (place, key))

    # --- what is under way ------------------------------------------------------------------------------------

    def under_way(self, place: str, key: str, digest: str) -> UnderWay | None:
        """The upload of this very content to a key that was begun and not ended."""
        with self._open() as db:
            row = db.execute(
                "SELECT key, upload, part_bytes FROM uploads WHERE place=? AND key=? AND digest=?", (place, key, digest)
            ).fetchone()
            if row is None:
                return None
            parts = db.execute(
                "SELECT number, receipt FROM parts WHERE place=? AND key=? AND upload=?", (place, key, row[1])
            ).fetchall()
        return UnderWay(row[0], row[1], row[2], dict(parts))

    def begun(self, place: str, digest: str, under_way: UnderWay, now: float) -> UnderWay | None:
        """An upload has begun; returns the one of another content to that key that it takes the place of, if any."""
        with self._open() as db:
            row = db.execute(
                "SELECT key, upload, part_bytes FROM uploads WHERE place=? AND key=? AND digest!=?",
                (place, under_way.key, digest),
            ).fetchone()
            db.execute(
                "INSERT OR REPLACE INTO uploads VALUES (?,?,?,?,?,?)",
                (place, under_way.key, digest, under_way.upload, under_way.part_bytes, now),
            )
        return None if row is None else UnderWay(row[0], row[1], row[2], {})

    def arrived(self, place: str, under_way: UnderWay, number: int, receipt: str) -> None:
        """A part has arrived."""
        with self._open() as db:
            db.execute(
                "INSERT OR REPLACE INTO parts VALUES (?,?,?,?,?)",
                (place, under_way.key, under_way.upload, number, receipt),
            )

    def ended(self, place: str, under_way: UnderWay) -> None:
        """An upload is finished or given up."""
        with self._open() as db:
            of_it = (place, under_way.key, under_way.upload)
            db.execute("DELETE FROM parts WHERE place=? AND key=? AND upload=?", of_it)
            db.execute("DELETE FROM uploads WHERE place=? AND key=? AND upload=?", of_it)

    def stale(self, place: str, before: float) -> list[UnderWay]:
        """Uploads begun before a time that have not ended."""
        with self._open() as db:
            rows = db.execute(
                "SELECT key, upload, part_bytes FROM uploads WHERE place=? AND begun_at < ?", (place, before)
            ).fetchall()
        return [UnderWay(row[0], row[1], row[2], {}) for row in rows]


_abandoned: list[sqlite3.Connection | None] = []
"""Connections of the process that forked, kept alive in the child so that nothing there closes them."""


def _opened(folder: Path) -> sqlite3.Connection:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / FILE_NAME
    path.touch(mode=0o600)
    try:
        return _ready(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, read-only, disk full: nothing is wrong with the file
            raise
        log.warning("The journal of uploads, %s, was broken (%s) and is begun anew.", path, error)
        path.replace(path.with_suffix(".broken"))
        path.touch(mode=0o600)
        return _ready(path)


def _ready(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # outlives a killed process; a power cut may cost the last part
        connection.executescript(SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
