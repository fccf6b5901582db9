"""Daemon threads for the functions of users."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from farcall_server.listeners import Listener
from farcall_server.outcomes import reason

T = TypeVar("T")


class Crew:
    """Daemon threads that start when they are needed and never keep the program alive.

    Not asyncio's default executor: its threads are joined at exit, so that one long function would hold up the end.

    Args:
        most: How many threads there may be.
        name: What they are called in a debugger.
    """

    def __init__(self, most: int, name: str) -> None:
        self.most, self.name = most, name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._pending = 0

    def put(self, work: Callable[[], None]) -> None:
        """Have a thread do this; it must not raise."""
        with self._lock:
            self._pending += 1
            starting = self._pending > self._threads and self._threads < self.most
            self._threads += starting
        self._work.put(work)
        if starting:
            threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._pending -= 1

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function on a thread and await what it returns or raises."""
        listener = Listener()
        done: list[tuple[T | None, BaseException | None]] = []

        def work() -> None:
            try:
                done.append((function(), None))
            except BaseException as error:  # noqa: BLE001 - carried over to the awaiting side
                done.append((None, error))
            listener.tell()

        self.put(work)
        await listener.future
        result, error = done[0]
        if isinstance(error, Exception):
            raise error
        if error is not None:  # a SystemExit would stop the server
            raise RuntimeError(reason(error)) from error
        return result  # type: ignore[return-value]  # T may include None

    def close(self) -> None:
        """Let the threads end, each after what it does now. The crew may be used again."""
        with self._lock:
            leaving, self._threads, self._pending = self._threads, 0, 0
            work, self._work = self._work, queue.SimpleQueue()
        for _ in range(leaving):
            work.put(None)
