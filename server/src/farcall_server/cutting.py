"""Requests that the server's end cuts off, as one whose upload stands still: told so, and no traceback in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from farcall_server.durable import STOPPING


def answering(app: ASGIApp, stopping: Callable[[], bool]) -> ASGIApp:
    """The app, for a server that cancels what has not ended in time once it is told to stop.

    Args:
        app: What it serves.
        stopping: Whether it was told to; a request that is cancelled without is not ours to answer.
    """

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        def noted(message: Message) -> Awaitable[None]:
            nonlocal begun
            begun = True
            return send(message)

        try:
            await app(scope, receive, noted)
        except asyncio.CancelledError:
            if scope["type"] != "http" or not stopping():
                raise
            if not begun:
                reply = JSONResponse({"detail": STOPPING}, 503, {"Retry-After": "1", "Connection": "close"})
                await reply(scope, receive, send)

    return answered
