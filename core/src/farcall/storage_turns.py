"""One process at a time sends a large file to a place; the others wait, and find it there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Final

from farcall import threads

log = logging.getLogger("farcall")

LOOK_S: Final = 0.1
WAIT_S: Final = 3600.0
"""Some file systems have no locks and say that another has them; and another may stand still."""
DIGITS: Final = 3
"""So that there are 4,096 locks at most: one that was removed while another waits for it would be no lock."""


@contextlib.asynccontextmanager
async def turn(folder: Path | None, what: str, name: str, still: Callable[[], None]) -> AsyncIterator[None]:
    """Have the turn to send a file, until it is sent or the process ends, however it ends.

    Where no lock can be kept everybody has it, and who waited for an hour: a file is sent twice then, and no harm is
    done.

    Args:
        folder: Where this user's programs keep their state; None if they cannot.
        what: Tells the file, and where it goes, from every other.
        name: What the file is called in the log.
        still: Asked while another has the turn; what it raises ends the wait.
    """
    held = None if folder is None else await threads.opened(partial(_opened, _lock(folder, what)), _close)
    try:
        if held is not None:
            await _waited(held, name, still)
        yield
    finally:
        if held is not None:
            threads.later(partial(_close, held))


async def _waited(held: sqlite3.Connection, name: str, still: Callable[[], None]) -> None:
    if await threads.run(_taken, held):
        return
    log.info("Waiting with %s until another upload, of this file or by chance of another, has ended", name)
    loop = asyncio.get_running_loop()
    end = loop.time() + WAIT_S
    while loop.time() < end:
        await asyncio.sleep(LOOK_S)  # another process wakes nobody here
        still()
        if await threads.run(_taken, held):
            return
    log.warning("Another upload has not ended for %.0f s: %s is sent now, at the worst twice", WAIT_S, name)


def _lock(folder: Path, what: str) -> Path:
    return folder / "turns" / hashlib.sha256(what.encode()).hexdigest()[:DIGITS]


def _opened(lock: Path) -> sqlite3.Connection | None:
    """A connection whose lock SQLite holds for us, alike on every system."""
    if lock in _inherited.values():
        return None
    try:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.touch(mode=0o600)
        held = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error):
        return None
    _held[held] = lock
    return held


def _taken(held: sqlite3.Connection) -> bool:
    """Whether the lock is ours now; an error that is none of another's holding it counts as ours."""
    try:
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF != sqlite3.SQLITE_BUSY
    return True


def _close(held: sqlite3.Connection | None) -> None:
    if held is not None and held in _held:  # else it is the parent's
        held.close()
        del _held[held]  # not before: a fork in between would not know


_held: dict[sqlite3.Connection, Path] = {}
_inherited: dict[sqlite3.Connection, Path] = {}
"""What the parent had when it forked: SQLite would take these locks for held, in the child, for good."""


def _after_fork() -> None:
    _inherited.update(_held)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
