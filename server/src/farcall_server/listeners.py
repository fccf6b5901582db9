"""Requests that wait for news, woken from whatever thread has them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence


class Listener:
    """One waiting request; it is told once, from whatever thread."""

    __slots__ = ("future", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()

    def tell(self) -> None:
        """Wake the request; nothing if its loop has ended."""
        if _running_loop() is self.loop:
            self.settle()
            return
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.settle)

    def settle(self) -> None:
        """Wake the request, on its own loop."""
        if not self.future.done():
            self.future.set_result(None)

    async def wait(self, wait_s: float) -> None:
        """Return once told, at the latest after `wait_s` seconds."""
        timer = self.loop.call_later(wait_s, self.settle)
        try:
            await self.future
        finally:
            timer.cancel()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def tell_all(listeners: dict[Listener, None]) -> None:
    """Wake all of them, once."""
    for listener in listeners:
        listener.tell()
    listeners.clear()


async def told(
    lock: threading.Lock, places: Sequence[dict[Listener, None]], wait_s: float, *, unless: Callable[[], bool]
) -> None:
    """Return once one of those who tell listeners has, at the latest after `wait_s` seconds.

    Args:
        lock: Guards the places; not held while waiting.
        places: Where they look for whom to tell.
        wait_s: Seconds.
        unless: Asked under the lock; if it is so already, there is nothing to wait for.
    """
    listener = Listener()
    with lock:
        if unless():
            return
        for place in places:
            place[listener] = None
    try:
        await listener.wait(wait_s)
    finally:
        with lock:
            for place in places:
                place.pop(listener, None)
