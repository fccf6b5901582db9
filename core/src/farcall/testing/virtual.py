"""An event loop whose time jumps to the next timer when nothing else is to be done: hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

THREADS_S: Final = 10.0
"""How long a thread may take, in real seconds, where nothing but a thread can go on."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a time of its own, in seconds from 0.

    Real sockets do not fit: while they are silent, time goes on at once. A thread that is at work is waited for
    only where no timer runs.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__(_Jumping(self))
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._seconds

    def pass_by(self, seconds: float) -> None:
        """Let time go on."""
        self._seconds += seconds


class _Jumping(selectors.DefaultSelector):
    """A selector that does not wait for the time to pass, but lets it."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is not None:
            self._loop.pass_by(timeout)
            return []
        ready = super().select(THREADS_S)
        if not ready:
            raise RuntimeError("Everything waits, no timer runs and no thread answers: this would never end.")
        return ready


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own whose time is virtual; the loop is closed afterwards."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
