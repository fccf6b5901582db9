"""Where the bytes of an upload come from, cut into parts: a file that can be read anywhere, or a stream."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Container
from typing import BinaryIO, Final, Protocol

from farcall import threads
from farcall.bodies import BytesBody, PathBody
from farcall.errors import FileError
from farcall.wire import Body, FileValue

READ_BYTES: Final = 1024 * 1024

Part = tuple[int, Callable[[], bytes]]
"""A part's number, from 1, and what gives its bytes on the thread that sends it."""


class PartSource(Protocol):
    """A file's bytes on their way into a storage."""

    @property
    def size(self) -> int | None:
        """Bytes; None if unknown."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether the parts can be asked for again."""
        ...

    async def digest(self) -> str | None:
        """SHA-256 of all bytes in hexadecimal; None where that would read a stream up."""
        ...

    def parts(self, part_bytes: int, skip: Container[int] = ()) -> AsyncGenerator[Part]:
        """The parts in order, without those in `skip`; at least one, which may be empty.

        Raises:
            FileError: The file is no longer what it was, or the stream ends too early or too late.
        """
        ...

    async def unchanged(self) -> None:
        """Make sure that what was sent is what was hashed.

        Raises:
            FileError: The file was written to meanwhile.
        """
        ...


def source_of(value: FileValue) -> PartSource:
    """The source for a file with its bytes within reach."""
    body = value.body
    if isinstance(body, BytesBody):
        return BytesSource(body.content)
    if isinstance(body, PathBody):
        return PathSource(body)
    if body is None:
        raise FileError(f"{value.name!r} has no bytes to store.")
    return StreamSource(body, value.name)


class BytesSource:
    """Bytes in memory."""

    repeatable = True

    def __init__(self, content: bytes) -> None:
        self._view = memoryview(content)
        self.size = len(content)

    async def digest(self) -> str:
        """SHA-256 of all bytes in hexadecimal."""
        return (await threads.run(hashlib.sha256, self._view)).hexdigest()

    async def parts(self, part_bytes: int, skip: Container[int] = ()) -> AsyncGenerator[Part]:
        """The parts in order."""
        for number, start in enumerate(range(0, max(self.size, 1), part_bytes), 1):
            if number not in skip:
                piece = self._view[start : start + part_bytes]
                yield number, piece.tobytes

    async def unchanged(self) -> None:
        """Bytes stay what they are."""


class PathSource:
    """A local file, each part read on the thread that sends it."""

    repeatable = True

    def __init__(self, body: PathBody) -> None:
        self._body = body
        self.size = body.length
        self._stamp: tuple[int, ...] | None = None

    async def digest(self) -> str:
        """SHA-256 of all bytes in hexadecimal; raises `FileError` if the file has changed its size."""
        return await threads.run(self._hashed)

    def _hashed(self) -> str:
        with self._body.open() as file:
            self._stamp = _stamp(file)
            if self._stamp[0] != self.size:
                raise self._changed()
            hashed = hashlib.sha256()
            while piece := file.read(READ_BYTES):
                hashed.update(piece)
        return hashed.hexdigest()

    async def parts(self, part_bytes: int, skip: Container[int] = ()) -> AsyncGenerator[Part]:
        """The parts in order."""
        for number, start in enumerate(range(0, max(self.size, 1), part_bytes), 1):
            if number not in skip:
                yield number, self._reader(start, min(part_bytes, self.size - start))

    def _reader(self, start: int, length: int) -> Callable[[], bytes]:
        def read() -> bytes:
            with self._body.open() as file:
                file.seek(start)
                piece = file.read(length)
            if len(piece) != length:
                raise self._changed()
            return piece

        return read

    async def unchanged(self) -> None:
        """Make sure that the file was not written to; raises `FileError` if it was."""
        if self._stamp is not None and await threads.run(self._stamp_now) != self._stamp:
            raise self._changed()

    def _stamp_now(self) -> tuple[int, ...]:
        with self._body.open() as file:
            return _stamp(file)

    def _changed(self) -> FileError:
        return FileError(f"{self._body.path} was changed while it was being uploaded; upload it again.")


class StreamSource:
    """Bytes that come once, gathered into parts as they come."""

    repeatable = False

    def __init__(self, body: Body, name: str) -> None:
        self._body = body
        self._name = name
        self.size = body.length

    async def digest(self) -> None:
        """A stream is not read up to learn what is in it."""
        return

    async def parts(self, part_bytes: int, skip: Container[int] = ()) -> AsyncGenerator[Part]:  # noqa: ARG002
        """The parts in order, as they come, none skipped; raises `FileError` if they sum up to another size."""
        number, gathered, total = 1, bytearray(), 0
        async for chunk in self._body.chunks():
            gathered += chunk
            total += len(chunk)
            while len(gathered) > part_bytes:
                yield number, _given(bytes(memoryview(gathered)[:part_bytes]))
                del gathered[:part_bytes]
                number += 1
        if self.size is not None and total != self.size:
            raise FileError(f"{self._name!r} should have {self.size:,} bytes and came with {total:,}.")
        yield number, _given(bytes(gathered))

    async def unchanged(self) -> None:
        """A stream is sent as it came."""


def _given(piece: bytes) -> Callable[[], bytes]:
    return lambda: piece


def _stamp(file: BinaryIO) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
