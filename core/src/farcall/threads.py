"""Blocking work (name look-ups, files, storages) on daemon threads of ours.

Not asyncio's default executor: its threads are joined before any exit handler runs, so one busy look-up would hold
up the end of the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F")

MOST_THREADS: Final = 16


class _Pool:
    """Threads that start when they are needed and never keep the interpreter alive."""

    def __init__(self) -> None:
        self.work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.threads = 0
        self.pending = 0

    def put(self, work: Callable[[], None]) -> None:
        with self.lock:
            self.pending += 1
            starting = self.pending > self.threads and self.threads < MOST_THREADS
            self.threads += starting
        self.work.put(work)
        if starting:
            threading.Thread(target=self._run, name="farcall-io", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.work.get()()
            with self.lock:
                self.pending -= 1


_pool = _Pool()
_names = _Pool()
"""Apart, so that no silent disk or slow storage keeps everybody's names from being looked up."""
_storages = _Pool()
"""Apart, so that no storage that does not answer keeps files of this machine from being read."""


def _after_fork() -> None:
    global _pool, _names, _storages
    _pool, _names, _storages = _Pool(), _Pool(), _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function on a thread of ours and await what it returns or raises."""
    return await _on(_pool.put, function, *args, **kwargs)


def later(function: Callable[[], None]) -> None:
    """Call a blocking function on a thread of ours; nobody waits for it, or hears that the disk refused."""

    def work() -> None:
        with contextlib.suppress(OSError):
            function()

    _pool.put(work)


async def opened(function: Callable[[], F], undo: Callable[[F], None]) -> F:
    """The same for a function that opens something, which is undone if its opener is cancelled meanwhile.

    Args:
        function: Opens it.
        undo: Called on whichever thread finds out that nobody takes it any more.
    """
    lock = threading.Lock()
    waiting: list[F] = []
    abandoned = False

    def work() -> F:
        made = function()
        with lock:
            if not abandoned:
                waiting.append(made)
                return made
        undo(made)
        return made

    try:
        return await run(work)
    except asyncio.CancelledError:
        with lock:
            abandoned = True
        for made in waiting:
            undo(made)
        raise


async def look_up(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for names, on threads of their own."""
    return await _on(_names.put, function, *args, **kwargs)


async def store(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for the steps of storages, on threads of their own."""
    return await _on(_storages.put, function, *args, **kwargs)


async def run_alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same on a thread of its own, for what may never return: a caller's pipe or iterator."""
    return await _on(_alone, function, *args, **kwargs)


def _alone(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="farcall-stream", daemon=True).start()


async def _on(
    put: Callable[[Callable[[], None]], None], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]  # T may include None
        elif isinstance(error, StopIteration):
            future.set_exception(RuntimeError("an iterator ended where a value was wanted"))
        else:
            future.set_exception(error)

    def work() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = function(*args, **kwargs)
        except BaseException as raised:  # noqa: BLE001 - carried over to the awaiting side, whatever it is
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # the loop has ended; nobody waits any more

    put(work)
    return await future
