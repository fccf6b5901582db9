"""How often a host may be asked, shared by all services of this program that are connected to it."""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary


class Pace:
    """One host's pace.

    Attributes:
        next_s: When the next look may be taken, on the loop's clock.
    """

    def __init__(self) -> None:
        self.next_s = 0.0
        self._submitted: deque[float] = deque()
        self._turn = asyncio.Lock()

    async def submission(self, most: int, window_s: float) -> None:
        """Return once one more may be sent, in the order of asking.

        Args:
            most: How many may be sent in a window.
            window_s: Its length in seconds.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            while len(self._submitted) >= most:
                await asyncio.sleep(max(0.0, self._submitted[0] + window_s - loop.time()))
                while self._submitted and self._submitted[0] + window_s <= loop.time():
                    self._submitted.popleft()
            self._submitted.append(loop.time())


_paces: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Pace]] = WeakKeyDictionary()


def pace(url: str) -> Pace:
    """The pace of the host at an address, on the loop that runs."""
    return _paces.setdefault(asyncio.get_running_loop(), {}).setdefault(url, Pace())
