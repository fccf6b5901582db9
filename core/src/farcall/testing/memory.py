"""A service in memory: a function answers the requests, and nothing goes over a network."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from farcall.wire import Request, Response

Host = Callable[[Request], Response | Awaitable[Response]]
"""Answers a request, at once or after a while; raises `Unreachable` where no reply comes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came.

    Args:
        at: When, in the loop's seconds.
        request: The request, its key on it.
    """

    at: float
    request: Request


class MemorySender:
    """A sender that hands each request to a function.

    >>> sender = MemorySender(lambda request: reply({"ticket": "t1", "phase": "done", "result": 3}))
    >>> svc = farcall.connect(provider="echo", url="http://echo.test", endpoints=[…], sender=sender)

    Attributes:
        seen: What came, in order.
        closed: Whether the service was closed.
    """

    def __init__(self, host: Host) -> None:
        self.seen: list[Seen] = []
        self.closed = False
        self._host = host

    async def send(self, request: Request) -> Response:
        """The function's answer."""
        self.seen.append(Seen(asyncio.get_running_loop().time(), request))
        answer = self._host(request)
        return await answer if inspect.isawaitable(answer) else answer

    async def close(self) -> None:
        """Nothing is left open."""
        self.closed = True
