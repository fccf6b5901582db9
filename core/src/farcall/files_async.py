"""The asynchronous face of a file: its verbs are coroutines, its bytes are read when they are wanted."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast, runtime_checkable

from farcall import arrays, background, loops, media, saving, threads
from farcall.bodies import Base64Body, BytesBody, PathBody
from farcall.downloads import Download
from farcall.errors import FileError, Unreachable, UsageError
from farcall.fetching import Fetch, plain_fetch
from farcall.wire import FileValue

HERE: Final = (BytesBody, PathBody, Base64Body)
"""Bodies that any event loop can read."""
MOST_READ_BYTES: Final = 4 << 30
"""The largest file from elsewhere that `read` takes into memory."""


@runtime_checkable
class Filling(Protocol):
    """A body that writes itself to a file more quickly than its bytes come in order."""

    async def fill(self, stream: BinaryIO, moved: Callable[[int], None]) -> None:
        """Write all bytes to an empty file, and tell how many more are there."""
        ...


class AsyncFile:
    """A file whose bytes are read when they are wanted; the verbs are coroutines.

    Attributes:
        value: The file as a plain value, for providers and storages.
    """

    __module__ = "farcall"  # as it is imported, in signatures too
    __slots__ = ("_expected", "_fetch", "_fetched", "_generation", "_home", "_received", "value")

    def __init__(self, value: FileValue, fetch: Fetch | None = None, fetched: Callable[[], None] | None = None) -> None:
        self.value = value
        self._fetch = fetch or plain_fetch
        self._fetched = fetched
        self._home = None if fetch is None or isinstance(value.body, HERE) else loops.running()
        self._generation = background.generation
        self._received = 0
        self._expected = value.size

    @property
    def name(self) -> str:
        """Base name, without folders: `photo.png`."""
        return self.value.name

    @property
    def media_type(self) -> str:
        """`image/png`; `application/octet-stream` if unknown. What came from elsewhere is what its host says."""
        return self.value.media_type

    @property
    def size(self) -> int | None:
        """Bytes; None if unknown."""
        return self.value.size

    @property
    def url(self) -> str | None:
        """Where it lies; None if it lies in memory or on this machine. It may grant access: do not log it."""
        return self.value.url

    @property
    def progress(self) -> float | None:
        """How much of it has come in when it was last read or saved, 0.0 to 1.0; None if its size is unknown."""
        if self._expected is None:
            return None
        return self._received / self._expected if self._expected else 1.0

    def __repr__(self) -> str:
        size = "size unknown" if self.size is None else f"{self.size:,} bytes"
        return f"<{type(self).__name__} {self.name!r} {self.media_type}, {size}>"

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes, piece by piece; a link that breaks is taken up again where the host can.

        Raises:
            FileError: It cannot be fetched, or is not whole.
            UsageError: Its service was connected before a fork, or its event loop has ended.
        """
        home = self._home
        if home is None or home is loops.running():
            pieces = self._pieces()
        elif self._generation != background.generation:
            raise UsageError("This file's service was connected before the process forked; connect again in the child.")
        else:
            pieces = loops.brought(home, self._pieces())
        async with contextlib.aclosing(pieces):
            async for chunk in pieces:
                yield chunk

    async def _pieces(self) -> AsyncGenerator[bytes]:
        if self.value.body is not None:
            self._moved(0, self.size)
            async for chunk in self._whole(self.value.body.chunks()):
                yield chunk
            return
        async with contextlib.aclosing(Download(self.value, self._fetch, self._moved).chunks()) as pieces:
            async for chunk in pieces:
                yield chunk
        if self._fetched is not None:
            self._fetched()

    def _moved(self, received: int, expected: int | None) -> None:
        self._received, self._expected = received, expected

    async def _whole(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """The bytes; a link that breaks, or brings too few, is told as the file's error."""
        size = 0
        try:
            async for chunk in chunks:
                size += len(chunk)
                self._moved(size, self.size)
                yield chunk
        except Unreachable as error:
            raise FileError(f"The link broke while {self.name!r} was being fetched: {error}") from error
        if self.size is not None and size != self.size:
            raise FileError(f"{self.name!r} should have {self.size:,} bytes and came with {size:,}; fetch it again.")

    async def read(self) -> bytes:
        """All bytes, in memory.

        Raises:
            FileError: It cannot be fetched, is not whole, or comes from elsewhere and has more than 4 GiB.
        """
        parts: list[bytes] = []
        async with contextlib.aclosing(self.chunks()) as pieces:
            async for chunk in pieces:
                self._check_memory()
                parts.append(chunk)
        return b"".join(parts)

    def _check_memory(self) -> None:
        size = max(self._received, self._expected or 0)
        if size > MOST_READ_BYTES and not isinstance(self.value.body, HERE):
            raise FileError(
                f"{self.name!r} is said to have {size:,} bytes; more than {MOST_READ_BYTES:,} are not read into "
                "memory. Save it, or open it."
            )

    async def save(self, target: str | os.PathLike[str]) -> Path:
        """Write the file to a path, or into a folder under its own name; whole or not at all.

        Args:
            target: A path, whose file is replaced; or a folder that exists, in which nothing is: a name that is
                taken gets a number.

        Returns:
            The path written.

        Raises:
            FileError: It cannot be fetched, is not whole, or there is no room for it.
            OSError: The disk refuses.
        """
        return await saving.save(target, self.name, self._write)

    async def open(self) -> BinaryIO:
        """The file open for reading, at its start; a remote one is fetched to a temporary file first.

        Raises:
            FileError: It cannot be fetched, is not whole, or there is no room for it.
        """
        if (local := open_local(self.value)) is not None:
            return local
        spool = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=1 << 20))  # noqa: SIM115 - handed to the caller
        folder = Path(tempfile.gettempdir())
        try:
            await self._write(spool, folder)
        except BaseException:
            spool.close()
            raise
        spool.seek(0)
        return spool

    async def _write(self, stream: BinaryIO, folder: Path) -> None:
        """Write the bytes to an open file in a folder that has room for them."""
        if not isinstance(self.value.body, Filling):
            await saving.spool(stream, self.chunks(), lambda: saving.check_room(folder, self.name, self._expected))
            return
        self._moved(0, self.size)
        saving.check_room(folder, self.name, self._expected)
        await self.value.body.fill(stream, lambda more: self._moved(self._received + more, self.size))

    async def sha256(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal; all of it is read.

        Raises:
            UsageError: It is a stream, which can be read only once.
        """
        if self.value.body is not None and not self.value.body.repeatable:
            raise UsageError(f"{self.name!r} can be read only once, so it is not read for its digest.")
        digest = hashlib.sha256()
        async for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    async def to_media(self) -> Any:
        """The file as media-toolkit's `ImageFile`, `AudioFile`, `VideoFile` or `MediaFile`, by its media type.

        Raises:
            UsageError: media-toolkit is not installed.
            FileError: It cannot be fetched, or is not whole.
        """
        return await media.media_file(self)

    async def to_numpy(self) -> Any:
        """The array an NPY file holds, the samples of a WAV, the pixels of an image.

        Raises:
            UsageError: NumPy, or for an image Pillow, is not installed.
            FileError: It is none of them, is broken, or cannot be fetched.
        """
        with await self.open() as stream:
            return await threads.run(arrays.read, stream, self.name)

    async def to_pil(self) -> Any:
        """The image as a PIL `Image`.

        Raises:
            UsageError: Pillow is not installed.
            FileError: It is no image, is broken, or cannot be fetched.
        """
        with await self.open() as stream:
            return await threads.run(arrays.picture, stream, self.name)


def open_local(value: FileValue) -> BinaryIO | None:
    """The file open for reading, if it is in memory or on this machine; else None."""
    if isinstance(value.body, PathBody):
        return value.body.open()
    if isinstance(value.body, BytesBody):
        return io.BytesIO(value.body.content)
    return None
