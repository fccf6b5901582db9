"""What a generator has yielded so far: kept in order, so that a reader who comes late or again misses nothing."""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any

from farcall.errors import JobCancelled

from farcall_server.outputs import plain

if TYPE_CHECKING:
    from farcall_server.queue import Job, Listener, Store


class Chunks:
    """One job's output in pieces. Written by the function's thread, read on the event loop."""

    __slots__ = ("_listeners", "_lock", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()

    def append(self, value: Any) -> None:
        """Add a piece, a plain value, and tell those who wait for it."""
        with self._lock:
            self.values.append(value)
            listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            listener.tell()

    def listen(self, listener: Listener, seen: int) -> None:
        """Tell this listener once there are more pieces than those seen; at once if there are."""
        with self._lock:
            waits = len(self.values) <= seen
            if waits:
                self._listeners.add(listener)
        if not waits:
            listener.settle()

    def forget(self, listener: Listener) -> None:
        """Tell this listener nothing any more."""
        with self._lock:
            self._listeners.discard(listener)

    def whole(self) -> Any:
        """All pieces as one result: texts put together, else the list of them."""
        if self.values and all(isinstance(value, str) for value in self.values):
            return "".join(self.values)
        return list(self.values)


def is_generator(function: Any) -> bool:
    """Whether a function, decorated or not, yields its output."""
    bare = inspect.unwrap(function)
    return inspect.isgeneratorfunction(bare) or inspect.isasyncgenfunction(bare)


def drained(result: Any, store: Store, job: Job) -> Any:
    """What a synchronous function returned; of a generator all its pieces, each told as it comes.

    Raises:
        JobCancelled: Somebody asked for the job's end between two pieces.
    """
    if not inspect.isgenerator(result):
        return result
    chunks = _opened(store, job)
    try:
        for value in result:
            chunks.append(plain(value, job.folder))
            _go_on(job)
    finally:
        result.close()  # its own `finally` runs now, not when it is collected
    return chunks.whole()


async def awaited(result: Any, store: Store, job: Job) -> Any:
    """What an asynchronous function returned, awaited; of a generator all its pieces, each told as it comes.

    Raises:
        JobCancelled: Somebody asked for the job's end between two pieces.
    """
    if inspect.isawaitable(result):
        result = await result
    if not inspect.isasyncgen(result):
        return result
    chunks = _opened(store, job)
    try:
        async for value in result:
            chunks.append(plain(value, job.folder))
            _go_on(job)
    finally:
        await result.aclose()
    return chunks.whole()


def _opened(store: Store, job: Job) -> Chunks:
    """The job's chunks; made now for a function that returned a generator it was not known to be."""
    if job.chunks is None:
        job.chunks = Chunks()
        store.update(job)
    return job.chunks


def _go_on(job: Job) -> None:
    if job.cancelling:
        raise JobCancelled("The job was cancelled.")
