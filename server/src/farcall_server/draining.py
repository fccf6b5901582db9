"""What a function returned, with a generator's pieces told one by one as they come."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any, Final, Protocol

from farcall import threads
from farcall.errors import JobCancelled

from farcall_server.chunks import Chunks, line_of
from farcall_server.job import Job
from farcall_server.outputs import plain, plain_async
from farcall_server.queue import Store
from farcall_server.uploads import Folder

BREATH_S: Final = 0.005
"""Seconds after which a generator that never waits lets the event loop do something else."""


class Output(Protocol):
    """Where a generator's pieces go."""

    @property
    def folder(self) -> Folder:
        """Where files among them are kept."""
        ...

    @property
    def cancelling(self) -> bool:
        """Whether somebody asked for the end."""
        ...

    @property
    def heavy(self) -> bool:
        """Whether `spill` is due before another piece comes."""
        ...

    def begin(self) -> None:
        """The first piece may come in a moment."""
        ...

    def put(self, line: bytes) -> None:
        """Take a piece."""
        ...

    def spill(self) -> None:
        """Make room. Blocks."""
        ...

    def close(self) -> None:
        """No more comes. Blocks."""
        ...

    def whole(self) -> Any:
        """All pieces as one result."""
        ...


class JobOutput:
    """Carries a function's pieces to its job."""

    __slots__ = ("chunks", "folder", "job", "store")

    chunks: Chunks  # from `begin` on

    def __init__(self, store: Store, job: Job) -> None:
        self.store, self.job, self.folder = store, job, job.folder

    @property
    def cancelling(self) -> bool:
        """Whether somebody asked for the end."""
        return self.job.cancelling

    @property
    def heavy(self) -> bool:
        """Whether so much is in memory that it has to go to the disk."""
        return self.chunks.heavy

    def begin(self) -> None:
        """Have readers look at the job's chunks, also of a function that was not known to be a generator."""
        self.chunks = Chunks(self.folder) if self.job.chunks is None else self.job.chunks
        self.chunks.begin()
        if self.job.chunks is None:
            self.job.chunks = self.chunks
            self.store.update(self.job)

    def put(self, line: bytes) -> None:
        """Add a piece."""
        self.chunks.append(line)

    def spill(self) -> None:
        """Bring what is in memory to the disk."""
        self.chunks.spill()

    def close(self) -> None:
        """Bring the rest to the disk, where that outlives the process."""
        self.chunks.close()

    def whole(self) -> Any:
        """All pieces as one result."""
        return self.chunks.whole()


def drained(result: Any, output: Output) -> Any:
    """What a synchronous function returned; of a generator all its pieces, each told as it comes.

    Raises:
        JobCancelled: Somebody asked for the job's end between two pieces.
    """
    if not inspect.isgenerator(result):
        return result
    output.begin()
    try:
        for value in result:
            output.put(line_of(plain(value, output.folder), output.folder))
            if output.heavy:
                output.spill()
            _go_on(output)
    finally:
        result.close()  # its own `finally` runs now, not when it is collected
        output.close()
    return output.whole()


async def awaited(result: Any, output: Output) -> Any:
    """What an asynchronous function returned, awaited; of a generator all its pieces, each told as it comes.

    Raises:
        JobCancelled: Somebody asked for the job's end between two pieces.
    """
    if inspect.isawaitable(result):
        result = await result
    if not inspect.isasyncgen(result):
        return result
    output.begin()
    breath = time.monotonic()
    try:
        async for value in result:
            output.put(line_of(await plain_async(value, output.folder), output.folder))
            if output.heavy:
                await threads.run(output.spill)
            elif time.monotonic() - breath > BREATH_S:
                await asyncio.sleep(0)
                breath = time.monotonic()
            _go_on(output)
    finally:
        await result.aclose()
        await threads.run(output.close)
    return await threads.run(output.whole)


def _go_on(output: Output) -> None:
    if output.cancelling:
        raise JobCancelled("The job was cancelled.")
