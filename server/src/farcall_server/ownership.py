"""Who owns a store: one process at a time, for as long as it lives."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from farcall.errors import ConfigError


class Ownership:
    """The lock on a store, held until it is given up or the process ends, however it ends.

    SQLite locks the file for us: alike on every system, between threads too, and never inherited by a fork. It is no
    lease, so a suspended server does not lose its store to another.

    Args:
        database: The store's database; the lock lies beside it.

    Raises:
        ConfigError: Another server has it; the sentence says which and what to do.
    """

    def __init__(self, database: Path) -> None:
        self._owner = database.with_name(database.name + ".owner")
        lock = database.with_name(database.name + ".lock")
        os.close(os.open(lock, os.O_RDWR | os.O_CREAT, 0o600))  # else others could hold it by reading it
        self._lock = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._lock.close()
            raise ConfigError(
                f"The queue {database} belongs to another server{self._named()}. Stop that one, or give this one a "
                'store of its own: FastTaskAPI(queue="sqlite:///other.db").'
            ) from error
        self._owner.write_text(f"{os.getpid()}\n")

    def _named(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            return f" (process {int(self._owner.read_text())})"
        return ""

    def close(self) -> None:
        """Let another server have the store. May be called twice."""
        self._lock.close()
