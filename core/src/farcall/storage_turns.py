"""One process at a time sends a large file to a place; the others wait, and find it there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from farcall import threads

log = logging.getLogger("farcall")

LOOK_S: Final = 0.1
DIGITS: Final = 3
"""So that there are 4,096 locks at most: one that was removed while another waits for it would be no lock."""


@contextlib.asynccontextmanager
async def turn(folder: Path, what: str, name: str) -> AsyncIterator[None]:
    """Have the turn to send a file, until it is sent or the process ends, however it ends.

    Where no lock can be kept everybody has it: a file is sent twice then, and no harm is done.

    Args:
        folder: Where this user's programs keep their state.
        what: Tells the file, and where it goes, from every other.
        name: What the file is called in the log.
    """
    lock = folder / "turns" / hashlib.sha256(what.encode()).hexdigest()[:DIGITS]
    held = await threads.opened(lambda: _opened(lock), _close)
    try:
        if held is not None and not await threads.run(_taken, held):
            log.info("Waiting with %s until another upload has ended", name)
            while not await threads.run(_taken, held):  # noqa: ASYNC110 - another process wakes nobody here
                await asyncio.sleep(LOOK_S)
        yield
    finally:
        if held is not None:
            threads.later(held.close)


def _opened(lock: Path) -> sqlite3.Connection | None:
    """A connection whose lock SQLite holds for us, alike on every system and never inherited by a fork."""
    try:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.touch(mode=0o600)
        return sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error):
        return None


def _taken(held: sqlite3.Connection) -> bool:
    """Whether the lock is ours now; an error that is none of another's holding it counts as ours."""
    try:
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF != sqlite3.SQLITE_BUSY
    return True


def _close(held: sqlite3.Connection | None) -> None:
    if held is not None:
        held.close()
