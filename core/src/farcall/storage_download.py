"""A stored file's bytes, fetched when they are wanted, a few ranges ahead, and taken up where a link broke."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from farcall.errors import Busy, FileError, ServerFault, Unreachable
from farcall.storage_driver import StoredFile
from farcall.storage_upload import Hands

RANGE_BYTES: Final = 8 * 1024 * 1024
RANGES_AHEAD: Final = 3
"""How many ranges are on their way while one is read: 32 MiB in memory."""
TRIES: Final = 5
"""How often a link may break in a row, without a byte between, before the download is given up."""


class StoredBody:
    """The bytes of one version of a stored file; if another one takes its place, reading it fails."""

    repeatable = True

    def __init__(self, hands: Hands, file: StoredFile) -> None:
        self._hands = hands
        self._file = file
        self.length = file.size

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes, piece by piece, from the first one.

        Raises:
            FileError: The file is gone, was replaced, or is not whole.
        """
        coming: deque[asyncio.Task[list[bytes]]] = deque()
        try:
            for start in range(0, self.length, RANGE_BYTES):
                end = min(start + RANGE_BYTES, self.length)
                coming.append(asyncio.create_task(self._range(start, end)))
                if len(coming) > RANGES_AHEAD:
                    for piece in await coming.popleft():
                        yield piece
            while coming:
                for piece in await coming.popleft():
                    yield piece
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def _range(self, start: int, end: int) -> list[bytes]:
        """One range, whole, however often the link breaks while bytes still come."""
        pieces: list[bytes] = []
        here, failures = start, 0
        while here < end:
            before = here
            try:
                await self._hands.do(self._read, here, end, pieces)
            except (Unreachable, ServerFault, Busy) as error:
                failures += 1
                if failures == TRIES:
                    raise FileError(f"{self._file.key!r} could not be fetched whole: {error}") from error
            here = start + sum(map(len, pieces))
            if here > before:
                failures = 0
        if here > end:
            raise FileError(f"{self._file.key!r} should have {self.length:,} bytes and came with more.")
        return pieces

    def _read(self, start: int, end: int, into: list[bytes]) -> None:
        before = len(into)
        for piece in self._hands.driver.read(self._file.key, start, end, self._file.etag):
            into.append(piece)  # one by one: those before a link breaks count  # noqa: PERF402
        if len(into) == before:
            raise Unreachable(f"The storage ended {self._file.key!r} after {start:,} bytes.")
