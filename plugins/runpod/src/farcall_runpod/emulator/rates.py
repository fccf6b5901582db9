"""How often an endpoint may be asked."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from farcall_runpod import limits


class Rates:
    """Runpod's rate limits of one endpoint.

    Args:
        now: The time, in seconds.
        rates: By route: how many requests in ten seconds, and how many at one time.
    """

    def __init__(self, now: Callable[[], float], rates: Mapping[str, tuple[int, int]]) -> None:
        self._now = now
        self._rates = rates
        self._asked: dict[str, deque[float]] = {}
        self._under_way: dict[str, int] = {}

    @contextlib.contextmanager
    def request(self, route: str) -> Iterator[bool]:
        """Count a request while it lasts; gives whether it may be answered."""
        allowed = self._allowed(route)
        if not allowed:
            yield False
            return
        self._under_way[route] = self._under_way.get(route, 0) + 1
        try:
            yield True
        finally:
            self._under_way[route] -= 1

    def _allowed(self, route: str) -> bool:
        most, at_once = self._rates[route]
        asked, now = self._asked.setdefault(route, deque()), self._now()
        while asked and asked[0] <= now - limits.RATE_WINDOW_S:
            asked.popleft()
        if len(asked) >= most or self._under_way.get(route, 0) >= at_once:
            return False
        asked.append(now)
        return True
