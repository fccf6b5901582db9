"""Blocking work (name look-ups, files, storages) on daemon threads of ours.

Not asyncio's default executor: its threads are joined before any exit handler runs, so one busy look-up would hold
up the end of the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, ParamSpec, TypeVar

log = logging.getLogger("farcall")
P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F")

MOST_THREADS: Final = 16


@dataclass(frozen=True, slots=True)
class Work:
    """What a thread does.

    Args:
        do: Does it, and never raises; it returns what tells of it, which the thread calls once it can be called again
            itself.
        refuse: Told why no thread is to be had for it.
    """

    do: Callable[[], Callable[[], None]]
    refuse: Callable[[RuntimeError], None]


def _nobody() -> None:
    """To tell nobody."""


class _Pool:
    """Threads that start when they are needed and never keep the interpreter alive.

    One is called at a time and calls the next if work is left, so that what is quickly done wakes few. Who rested last
    is called first, so that few keep the memory of what they did.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[Work] = deque()
        self.threads = 0
        self.resting: list[threading.Lock] = []
        """What is released to call each of those that rest."""
        self.called = False
        """Whether one was called that has not looked for work yet."""

    def put(self, work: Work) -> None:
        with self.lock:
            self.waiting.append(work)
            call = self._caller()
        call()

    def _caller(self) -> Callable[[], None]:
        """What calls one more thread, if one is wanted and to be had; for when the lock is free again."""
        if self.called or not self.waiting:
            return _nobody
        if self.resting:
            self.called = True
            return self.resting.pop().release
        if self.threads < MOST_THREADS:
            self.called = True
            self.threads += 1
            return self._start
        return _nobody

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, name="farcall-io", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads; those there are come to it
            call, refused = self._not_started()
            call()
            for work in refused:
                work.refuse(error)

    def _not_started(self) -> tuple[Callable[[], None], list[Work]]:
        """What calls a thread that came to rest meanwhile, and the work that no thread will ever come to."""
        with self.lock:
            self.called = False
            self.threads -= 1
            if self.threads:
                return self._caller() if self.resting else _nobody, []
            refused = list(self.waiting)
            self.waiting.clear()
            return _nobody, refused

    def _run(self) -> None:
        bell = threading.Lock()
        called = bell.acquire()
        report = _nobody
        while True:
            work, call = self._next(bell, called)
            call()
            report()
            report = _nobody  # and no longer what it reported
            called = work is None and bell.acquire()
            if work is not None:
                report = work.do()

    def _next(self, bell: threading.Lock, called: bool) -> tuple[Work | None, Callable[[], None]]:  # noqa: FBT001
        with self.lock:
            self.called = self.called and not called
            if not self.waiting:
                self.resting.append(bell)
                return None, _nobody
            return self.waiting.popleft(), self._caller()


_pool = _Pool()
_names = _Pool()
"""Apart, so that no silent disk or slow storage keeps everybody's names from being looked up."""
_storages = _Pool()
"""Apart, so that no storage that does not answer keeps files of this machine from being read."""
_ranges = _Pool()
"""Apart, so that downloads keep no other step of a storage waiting, nor the memory of its uploads on more threads."""


def _after_fork() -> None:
    global _pool, _names, _storages, _ranges
    _pool, _names, _storages, _ranges = _Pool(), _Pool(), _Pool(), _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function on a thread of ours and await what it returns or raises."""
    return await _on(_pool.put, function, *args, **kwargs)


def _not_done(error: RuntimeError) -> None:
    log.error("What nobody waits for was not done: %s", error)


def later(function: Callable[[], None], refuse: Callable[[RuntimeError], None] = _not_done) -> None:
    """Call a blocking function on a thread of ours; nobody waits for it, or hears that the disk refused.

    Args:
        function: What is done.
        refuse: Told why no thread is to be had for it.
    """

    def work() -> Callable[[], None]:
        try:
            function()
        except OSError:
            pass
        except Exception:  # the thread is everybody's
            log.exception("What nobody waits for has failed")
        return _nobody

    _pool.put(Work(work, refuse))


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


async def fetch(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for the bytes of stored files, on threads of their own."""
    return await _on(_ranges.put, function, *args, **kwargs)


async def run_alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same on a thread of its own, for what may never return: a caller's pipe or iterator."""
    return await _on(_alone, function, *args, **kwargs)


def _alone(work: Work) -> None:
    def run() -> None:
        work.do()()

    threading.Thread(target=run, name="farcall-stream", daemon=True).start()


async def _on(put: Callable[[Work], None], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
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

    def work() -> Callable[[], None]:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = function(*args, **kwargs)
        except BaseException as raised:  # noqa: BLE001 - carried over to the awaiting side, whatever it is
            error = raised
        return partial(report, result, error)

    def report(result: T | None, error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    put(Work(work, partial(settle, None)))
    return await future
