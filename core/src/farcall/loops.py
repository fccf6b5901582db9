"""Brings what comes in on one event loop to whoever waits on another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from farcall.errors import UsageError

T = TypeVar("T")


def running() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs on this thread; None if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def brought(home: asyncio.AbstractEventLoop, pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Pieces that come in on another event loop.

    Raises:
        UsageError: That loop has ended.
    """

    async def following() -> bytes | None:
        return await anext(pieces, None)

    try:
        while (piece := await _there(home, following())) is not None:
            yield piece
    finally:
        if home.is_running():
            await _there(home, pieces.aclose())


async def _there(home: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on another event loop."""
    if not home.is_running():
        coroutine.close()
        raise UsageError("The event loop that this file's service was connected on has ended; connect again.")
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, home))
