"""The one daemon thread on which the blocking face runs the asynchronous engine."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from farcall.errors import UsageError

T = TypeVar("T")

STOP_S: Final = 8.0
"""How long the program's end waits for us: longer than submissions under way may take to be delivered."""

_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_lock = threading.Lock()
generation = 0
"""Counts the forks between this process and the first; what was made under another number is not ours to use."""


def loop() -> asyncio.AbstractEventLoop:
    """The engine's loop, started at first use."""
    global _loop, _thread  # noqa: PLW0603 - one loop a process
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_run, args=(_loop,), name="farcall-engine", daemon=True)
            _thread.start()
        return _loop


def start(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the engine's loop; the future is its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop())


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the engine's loop and wait for its result.

    Ctrl-C ends the wait at once and cancels the coroutine.

    Raises:
        UsageError: Called on the engine's own thread, where waiting would never end.
    """
    if threading.current_thread() is _thread:
        coroutine.close()
        raise UsageError(
            "A blocking farcall verb was called on farcall's own thread, from a callback or an extension. "
            "Hand the work to a thread of yours, or use the async face there."
        )
    future = start(coroutine)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def _stop() -> None:
    """Stop our tasks and close our sockets; the hosts' jobs go on."""
    global _loop, _thread
    with _lock:
        loop, thread, _loop, _thread = _loop, _thread, None, None
    if loop is None or thread is None or not thread.is_alive():
        return
    asyncio.run_coroutine_threadsafe(_wind_down(), loop)
    thread.join(STOP_S)
    if not thread.is_alive():
        loop.close()


async def _wind_down() -> None:
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(engine.close() for engine in list(open_engines)), return_exceptions=True)
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    loop.stop()


open_engines: weakref.WeakSet[Any] = weakref.WeakSet()
"""Engines whose sockets are given up at exit, unless they were closed or dropped before."""


def look_after(engine: Any) -> None:
    """Give an engine's sockets up at exit, or once nothing refers to its courier any more."""
    open_engines.add(engine)
    courier = engine.courier
    dropped = weakref.finalize(courier, _give_up, courier._sender, engine.loop, generation)  # noqa: SLF001 - its hands
    dropped.atexit = False  # `_stop` sees to it then


def _give_up(sender: Any, home: asyncio.AbstractEventLoop, made_in: int) -> None:
    """Close a sender on its own loop; runs wherever the garbage is collected, so it takes no lock and never waits."""
    if made_in != generation:
        _abandoned.append(sender)
    elif home.is_running():
        asyncio.run_coroutine_threadsafe(sender.close(), home)


def _after_fork() -> None:
    global _loop, _thread, _lock, generation, open_engines  # noqa: PLW0603 - the child has no thread and must not touch the parent's sockets
    _abandoned.append((_loop, list(open_engines)))
    _loop, _thread, _lock, open_engines = None, None, threading.Lock(), weakref.WeakSet()
    generation += 1


_abandoned: list[Any] = []
"""The parent's loop and sockets, kept alive in a child so that nothing there closes them."""

atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
