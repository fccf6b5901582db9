"""Work of threads that nobody can take back: who gives it up waits for its end all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from farcall import threads

P = ParamSpec("P")
T = TypeVar("T")


def begin(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """Call a blocking function on a thread of ours; what comes of it is no task, so that a loop that ends waits too."""
    coming: Future[T] = Future()

    def work() -> None:
        try:
            result = function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - carried over to the awaiting side, whatever it is
            coming.set_exception(error)
        else:
            coming.set_result(result)

    threads.later(work, coming.set_exception)
    return asyncio.wrap_future(coming)


async def settled(work: asyncio.Future[Any]) -> None:
    """Wait until the work is done or has failed; who is cancelled meanwhile is so once it has."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    work.exception()  # is known now, whoever asks for it
    if cancelled is not None:
        raise cancelled


async def outcome(work: asyncio.Future[T]) -> T:
    """What the work returns or raises, once it is done; who is cancelled meanwhile is so once it is."""
    await settled(work)
    return work.result()
