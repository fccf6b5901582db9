"""A stored file's bytes, fetched when they are wanted, a few ranges ahead, and taken up where a link broke."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from farcall.errors import Busy, FileError, ServerFault, Unreachable
from farcall.storage_driver import StoredFile
from farcall.storage_upload import Hands

RANGE_BYTES: Final = 4 * 1024 * 1024
RANGES_AHEAD: Final = 4
"""How many ranges are on their way, or wait for the reader, at once: 16 MiB in memory."""
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
        coming: deque[asyncio.Task[bytes]] = deque()
        try:
            for start in range(0, self.length, RANGE_BYTES):
                if len(coming) == RANGES_AHEAD:
                    yield await coming.popleft()
                end = min(start + RANGE_BYTES, self.length)
                coming.append(asyncio.create_task(self._range(start, end)))
            while coming:
                yield await coming.popleft()
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def _range(self, start: int, end: int) -> bytes:
        """One range, whole, however often the link breaks while bytes still come."""
        got, failures = bytearray(), 0
        while len(got) < end - start:
            before = len(got)
            try:
                await self._hands.do(self._read, start + before, end, got)
                if len(got) == before:
                    raise Unreachable(f"The storage ended {self._file.key!r} after {start + before:,} bytes.")
            except (Unreachable, ServerFault, Busy) as error:
                failures = 1 if len(got) > before else failures + 1
                if failures == TRIES:
                    raise FileError(f"{self._file.key!r} could not be fetched whole: {error}") from error
        if len(got) > end - start:
            raise FileError(f"{self._file.key!r} should have {self.length:,} bytes and came with more.")
        return bytes(got)

    def _read(self, start: int, end: int, into: bytearray) -> None:
        for piece in self._hands.driver.read(self._file.key, start, end, self._file.etag):
            into += piece
