"""A queue's database: its tables, and transactions that only the owner can make."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from farcall.errors import ConfigError

VERSION: Final = 3
"""Of the tables; a database with others is refused."""

MOST_VALUES: Final = 999
"""In one statement; what SQLite took before 3.32, of 2020."""

# One transaction: a server that is killed while it makes the tables leaves none.
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS fence (number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, folder TEXT NOT NULL,
    body TEXT, fields TEXT, created REAL NOT NULL, ttl_s REAL NOT NULL, begun INTEGER NOT NULL DEFAULT 0,
    digest TEXT);
CREATE INDEX IF NOT EXISTS jobs_by_endpoint ON jobs (endpoint);
CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, look TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ends (
    number INTEGER PRIMARY KEY, state TEXT NOT NULL, look TEXT NOT NULL, result TEXT, expires REAL NOT NULL);
CREATE INDEX IF NOT EXISTS ends_by_state ON ends (state, number);
PRAGMA user_version = {VERSION};
COMMIT;
"""


class FencedError(OSError):
    """The store has another owner by now; nothing of ours may be written any more."""


def connect(database: Path) -> sqlite3.Connection:
    """A connection to the database, which is made now if there is none; for any one thread at a time."""
    os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
    made = sqlite3.connect(
        database, isolation_level=None, check_same_thread=False, cached_statements=512
    )  # `Insert` has one for each number of rows
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("PRAGMA synchronous=NORMAL")
    return made


def prepare(writer: sqlite3.Connection) -> int:
    """Make the tables if there are none, and return the owner's number: one more than the last owner's.

    Raises:
        ConfigError: The database has tables of another version.
    """
    version = writer.execute("PRAGMA user_version").fetchone()[0]
    tables = writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and version != VERSION:
        place = writer.execute("PRAGMA database_list").fetchone()[2]
        raise ConfigError(
            f"The queue {place} was made by another version of the server (tables of version {version}, not "
            f"{VERSION}). Move it away, with what lies beside it, or name another one."
        )
    writer.executescript(_SCHEMA)
    last = writer.execute("SELECT max(number) FROM fence").fetchone()[0] or 0
    with Transaction(writer):
        writer.execute("DELETE FROM fence")
        writer.execute("INSERT INTO fence VALUES (?)", (last + 1,))
    return int(last) + 1


class Insert:
    """Writes many rows in few steps: every step gives up the interpreter lock and must get it back.

    Args:
        into: What the rows go to: `INTO jobs`.
        columns: Their names, with commas.
    """

    def __init__(self, into: str, columns: str) -> None:
        self._head = f"INSERT {into} ({columns}) VALUES "  # noqa: S608 - our own names
        width = columns.count(",") + 1
        self._row = f"({', '.join('?' * width)})"
        self._most = MOST_VALUES // width

    def write(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows, each with a value for every column; without any nothing is done."""
        for start in range(0, len(rows), self._most):
            some = rows[start : start + self._most]
            statement = self._head + ", ".join([self._row] * len(some))
            connection.execute(statement, [value for row in some for value in row])


class Transaction:
    """All or nothing, and nothing once another owns the store.

    Args:
        connection: The one that writes.
        number: The owner's; 0: not looked at.

    Raises:
        FencedError: On entering; another server is the owner by now.
    """

    def __init__(self, connection: sqlite3.Connection, number: int = 0) -> None:
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
