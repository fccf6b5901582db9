"""A stored file's bytes, fetched when they are wanted, and taken up where a link broke."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Final

from farcall import threads
from farcall.errors import Busy, FileError, ServerFault, Unreachable
from farcall.storage_driver import StoredFile
from farcall.storage_upload import Hands

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
        read, failures = 0, 0
        while read < self.length:
            try:
                pieces = await self._hands.do(self._hands.driver.read, self._file.key, read, self._file.etag)
                while (piece := await threads.store(_next, pieces)) is not None:
                    read, failures = read + len(piece), 0
                    yield piece
                if read < self.length:
                    raise Unreachable(f"The storage ended {self._file.key!r} after {read:,} bytes.")
            except (Unreachable, ServerFault, Busy) as error:
                failures += 1
                if failures == TRIES:
                    raise FileError(f"{self._file.key!r} could not be fetched whole: {error}") from error
        if read > self.length:
            raise FileError(f"{self._file.key!r} should have {self.length:,} bytes and came with {read:,}.")


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)
