"""Bytes that come in piece by piece: in memory while they are few, in a file beyond."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from farcall import unbroken
from farcall.bodies import BytesBody, PathBody

from farcall_server.uploads import IN_MEMORY_BYTES, Folder


class Spool:
    """One file's bytes while they come in.

    Args:
        folder: Where the file goes once it has more than 64 kB; None: it stays in memory.
    """

    def __init__(self, folder: Folder | None) -> None:
        self.size = 0
        self._folder = folder
        self._start = bytearray()
        self._handle: BinaryIO | None = None

    def write(self, piece: bytes) -> None:
        """Add a piece; blocks on the disk once there are many."""
        self.size += len(piece)
        if self._handle is not None:
            self._handle.write(piece)
            return
        self._start += piece
        if self.size > IN_MEMORY_BYTES and self._folder is not None:
            self._handle = self._folder.new()
            self._handle.write(self._start)
            self._start.clear()

    async def fill(self, pieces: AsyncIterator[bytes]) -> None:
        """Add all pieces; the disk is written on a thread."""
        async for piece in pieces:
            if self.size + len(piece) <= IN_MEMORY_BYTES:
                self.write(piece)
            else:
                await unbroken.outcome(unbroken.begin(self.write, piece))

    def end(self) -> BytesBody | PathBody:
        """The bytes, which are all there now."""
        if self._handle is None:
            return BytesBody(bytes(self._start))
        self._handle.close()
        return PathBody(self._handle.name, self.size)

    def drop(self) -> None:
        """Give the bytes up, which will not become whole."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.close()
            Path(self._handle.name).unlink(missing_ok=True)
