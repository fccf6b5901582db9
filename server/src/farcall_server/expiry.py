"""When results go: one timer, set to the moment at which the next one does."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
import time
from collections.abc import Callable


class Expiry:
    """Names with the moments at which they are over. Its owner's lock guards it.

    Args:
        when_over: Called on the event loop once a name is over, without the lock.
    """

    def __init__(self, when_over: Callable[[], None]) -> None:
        self.moments: list[tuple[float, str]] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self._when_over = when_over
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = math.inf

    def add(self, name: str, ttl_s: float) -> None:
        """Note that a name is over in so many seconds; from any thread."""
        moment = time.monotonic() + ttl_s
        heapq.heappush(self.moments, (moment, name))
        if moment < self._wakes_at and self.loop is not None:
            self._wakes_at = moment
            with contextlib.suppress(RuntimeError):  # the loop has ended; the next access evicts
                self.loop.call_soon_threadsafe(self._when_over)

    def over(self) -> list[str]:
        """The names that are over, which are forgotten here."""
        now, gone = time.monotonic(), []
        while self.moments and self.moments[0][0] <= now:
            gone.append(heapq.heappop(self.moments)[1])
        return gone

    def arm(self) -> None:
        """Set the timer anew; on the event loop."""
        self._disarm()
        if self.moments:
            self._wakes_at = self.moments[0][0]
            rest = self._wakes_at - time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(max(rest, 0.0) + 0.01, self._when_over)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wakes_at = None, math.inf

    def clear(self) -> None:
        """Forget all names; on the event loop."""
        self._disarm()
        self.moments.clear()
        self.loop = None
