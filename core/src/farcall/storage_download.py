"""A stored file's bytes, fetched in ranges side by side, and taken up where a link broke."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

from farcall.errors import Busy, FileError, ServerFault, Unreachable
from farcall.storage_driver import StoredFile
from farcall.storage_upload import Hands, first_error

RANGE_BYTES: Final = 8 * 1024 * 1024
RANGES_AT_ONCE: Final = 8
"""How many ranges of a file are on their way at a time, where each piece is written to its place as it comes."""
RANGES_AHEAD: Final = 4
"""The same where they are read in order, and so wait in memory: 32 MiB."""
TRIES: Final = 5
"""How often a link may break in a row, without a byte between, before the download is given up."""


@dataclass(slots=True)
class _Range:
    """The bytes from `here` to `end`, each piece handed to `take` with its place."""

    here: int
    end: int
    take: Callable[[int, bytes], object]

    def taken(self, piece: bytes) -> None:
        self.take(self.here, piece)
        self.here += len(piece)


class StoredBody:
    """The bytes of one version of a stored file; if another one takes its place, reading it fails."""

    repeatable = True

    def __init__(self, hands: Hands, file: StoredFile) -> None:
        self._hands = hands
        self._file = file
        self.length = file.size

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes, piece by piece, from the first one; the next ranges come while one is read.

        Raises:
            FileError: The file is gone, was replaced, or is not whole.
        """
        coming: deque[asyncio.Task[list[bytes]]] = deque()
        try:
            for start in self._starts():
                coming.append(asyncio.create_task(self._pieces(start)))
                if len(coming) == RANGES_AHEAD:
                    for piece in await coming.popleft():
                        yield piece
            while coming:
                for piece in await coming.popleft():
                    yield piece
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def fill(self, stream: BinaryIO, moved: Callable[[int], None]) -> None:
        """Write the bytes into an empty file, each range to its place as it comes.

        Args:
            stream: Open for writing.
            moved: Told how many bytes more are there.

        Raises:
            FileError: The file is gone, was replaced, or is not whole.
            OSError: The disk refuses.
        """
        places = self._starts()
        starts, lock = iter(places), threading.Lock()

        def write(place: int, piece: bytes) -> None:
            with lock:
                stream.seek(place)
                stream.write(piece)

        async def work() -> None:
            for start in starts:
                end = self._end(start)
                await self._whole(_Range(start, end, write))
                moved(end - start)

        with first_error():
            async with asyncio.TaskGroup() as group:
                for _ in places[:RANGES_AT_ONCE]:
                    group.create_task(work())

    def _starts(self) -> range:
        return range(0, self.length, RANGE_BYTES)

    def _end(self, start: int) -> int:
        return min(start + RANGE_BYTES, self.length)

    async def _pieces(self, start: int) -> list[bytes]:
        pieces: list[bytes] = []
        await self._whole(_Range(start, self._end(start), lambda _, piece: pieces.append(piece)))
        return pieces

    async def _whole(self, part: _Range) -> None:
        """One range, whole, however often the link breaks while bytes still come."""
        failures = 0
        while part.here < part.end:
            before = part.here
            try:
                await self._hands.fetch(self._read, part)
            except (Unreachable, ServerFault, Busy) as error:
                failures = failures + 1 if part.here == before else 1
                if failures == TRIES:
                    raise FileError(f"{self._file.key!r} could not be fetched whole: {error}") from error

    def _read(self, part: _Range) -> None:
        start = part.here
        for piece in self._hands.driver.read(self._file.key, start, part.end, self._file.etag):
            if part.here + len(piece) > part.end:
                raise FileError(f"{self._file.key!r} should have {self.length:,} bytes and came with more.")
            part.taken(piece)  # one by one: those before a link breaks count
        if part.here == start:
            raise Unreachable(f"The storage ended {self._file.key!r} after {start:,} bytes.")
