"""A multipart body read piece by piece: what is small in memory, the rest on the disk, nothing held whole."""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import shutil
import tempfile
import threading
import weakref
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from farcall import unbroken
from farcall.bodies import BytesBody, PathBody
from farcall.files import File
from farcall.wire import UNKNOWN_TYPE, FileValue, base_name, is_media_type
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException

IN_MEMORY_BYTES: Final = 64 * 1024
"""A file or a text up to this size stays in memory; a larger one goes to disk."""

WRITE_BYTES: Final = 1024 * 1024
"""How much of a part goes to disk at a time, while as much again comes in."""

MOST_PIECES: Final = 1000
"""Of a part that are kept apart in memory: a piece may be one byte."""

MOST_PARTS: Final = 1000
MOST_HEADER_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class LongText:
    """A form's text that lies on the disk.

    Args:
        path: Where.
        size: Bytes.
    """

    path: str
    size: int


Pair = tuple[str, str | LongText | File]


class MultipartError(ValueError):
    """A body is not the multipart it says it is."""


_making: Final = threading.Lock()  # files of one request may come in on several threads


class Folder:
    """The files of one request; on disk only if there is a large one.

    Args:
        place: Where they go and stay until they are discarded; None: to a temporary folder, and they go when it goes,
            at the latest at exit.
        name: Of a new folder within the place, where nobody need look yet; empty: the place itself.
    """

    __slots__ = ("__weakref__", "_count", "_name", "_path", "_place", "_remove")

    def __init__(self, place: Path | None = None, *, name: str = "") -> None:
        self._place, self._name = place, name
        self._path: Path | None = place if place is not None and not name and place.exists() else None
        self._remove: weakref.finalize[..., Folder] | None = None
        self._count = 0

    def __bool__(self) -> bool:
        return self._path is not None

    @property
    def name(self) -> str:
        """What it is called in its store; empty for a temporary one."""
        return self._name or ("" if self._place is None else self._place.name)

    def path(self) -> Path:
        """Where the files are; the folder is made now if it was not."""
        if self._path is None:
            with _making:
                self._path = self._made() if self._path is None else self._path
        return self._path

    def _made(self) -> Path:
        if self._place is not None:
            place = self._place / self._name
            place.mkdir(mode=0o700)
            return place
        made = Path(tempfile.mkdtemp(prefix="farcall-"))
        self._remove = weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        return made

    def new(self) -> BinaryIO:
        """A new file in the folder, open for writing."""
        place = self.path()
        while True:
            self._count += 1
            try:
                return (place / str(self._count)).open("xb")
            except FileExistsError:  # of an earlier run of the same job
                continue

    def relative(self, path: str) -> str:
        """A file's path as it is noted: within the folder, if it lies there."""
        place = Path(path)
        return place.name if self.holds(path) else str(place.absolute())

    def absolute(self, path: str) -> str:
        """The path that was noted as `path`."""
        return str(self.path() / path) if not Path(path).is_absolute() else path

    def holds(self, path: str) -> bool:
        """Whether a file lies in it."""
        return Path(path).parent == self._path

    def others(self, paths: Collection[str]) -> list[Path]:
        """The files in it but these."""
        return [] if self._path is None else [place for place in self._path.iterdir() if str(place) not in paths]

    def keep(self, paths: Collection[str]) -> None:
        """Remove all files but these."""
        for place in self.others(paths):
            place.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove all files."""
        if self._remove is not None:
            self._remove()
        elif self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)


async def multipart(pieces: AsyncIterator[bytes], boundary: bytes, folder: Folder) -> list[Pair]:
    """Every part's name with its text or file, in order.

    Raises:
        MultipartError: The body is no multipart.
        HTTPException: 413, its parts are too many.
    """
    if not boundary:
        raise MultipartError("the content type names no boundary")
    reading = _Reading(folder)
    try:
        parser = MultipartParser(boundary, reading.callbacks())
        async for piece in pieces:
            parser.write(piece)
            await reading.flush()
        parser.finalize()
        if not reading.ended:
            raise MultipartError("its last boundary is missing")
        await reading.written()
    except FormParserError as error:
        raise MultipartError(str(error)) from error
    finally:
        await reading.close()
    return [part.pair() for part in reading.parts]


class _Part:
    """One part while it comes in."""

    def __init__(self) -> None:
        self.headers: dict[str, bytes] = {}
        self.name = ""
        self.filename: str | None = None
        self.unnamed = False
        self.pending: list[bytes] = []
        self.waiting = 0
        self.on_disk = False
        self.whole = False
        self.handle: BinaryIO | None = None
        self.size = 0

    def begin(self) -> None:
        """Read the part's headers, which are complete now."""
        _, options = parse_options_header(self.headers.get("content-disposition"))
        if b"name" not in options:
            raise MultipartError("a part has no name")
        self.name = options[b"name"].decode("utf-8", "replace")
        filename = options.get(b"filename")
        self.unnamed = filename == b""
        self.filename = None if filename is None else base_name(filename.decode("utf-8", "replace"))

    def add(self, piece: bytes) -> None:
        """Take in what came next of it."""
        self.pending.append(piece)
        self.size += len(piece)
        self.waiting += len(piece)
        if len(self.pending) == MOST_PIECES:
            self.pending = [b"".join(self.pending)]

    def due(self, *, ended: bool) -> bool:
        """Whether what has come in so far is to go to disk now."""
        if not self.on_disk:
            return self.waiting > IN_MEMORY_BYTES
        return not self.whole and (ended or self.waiting >= WRITE_BYTES)

    def taken(self, *, ended: bool) -> list[bytes]:
        """What has come in so far, for the disk."""
        self.on_disk, self.whole = True, ended
        taken, self.pending, self.waiting = self.pending, [], 0
        return taken

    def write(self, pieces: list[bytes], folder: Folder) -> None:
        """Write what was taken, and close the file after the last of it; blocks."""
        self.handle = self.handle or folder.new()
        self.handle.writelines(pieces)
        if self.whole:
            self.handle.close()

    def pair(self) -> Pair:
        """The part's name, and its text or file."""
        if self.filename is None and self.handle is not None:
            return self.name, LongText(self.handle.name, self.size)
        if self.filename is None or (self.unnamed and not self.size):  # a browser's empty file field
            return self.name, b"".join(self.pending).decode("utf-8", "replace")
        value = FileValue(name=self.filename, media_type=self.media_type(), body=self.body(), size=self.size)
        return self.name, File(value)

    def body(self) -> BytesBody | PathBody:
        """The part's bytes."""
        if self.handle is None:
            return BytesBody(b"".join(self.pending))
        return PathBody(self.handle.name, self.size)

    def media_type(self) -> str:
        """What the part says it is; by its name where it does not say."""
        said = self.headers.get("content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        if said != UNKNOWN_TYPE and is_media_type(said):
            return said
        return mimetypes.guess_type(self.filename or "")[0] or UNKNOWN_TYPE


class _Reading:
    """What the parser calls as it goes through the body."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.header_left = MOST_HEADER_BYTES
        self.parts: list[_Part] = []
        self.field = bytearray()
        self.value = bytearray()
        self.ended = False
        self.writing: asyncio.Future[None] | None = None

    def callbacks(self) -> Any:
        """The parser's table of callbacks."""
        return {
            "on_part_begin": self.part_begin,
            "on_header_field": self.header_field,
            "on_header_value": self.header_value,
            "on_header_end": self.header_end,
            "on_headers_finished": self.headers_finished,
            "on_part_data": self.part_data,
            "on_end": self.end,
        }

    def part_begin(self) -> None:
        if len(self.parts) == MOST_PARTS:
            raise HTTPException(413, f"The form has more than {MOST_PARTS} parts.")
        self.parts.append(_Part())
        self.header_left = MOST_HEADER_BYTES

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._spend_header(end - start)
        self.field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._spend_header(end - start)
        self.value += data[start:end]

    def _spend_header(self, size: int) -> None:
        self.header_left -= size
        if self.header_left < 0:
            raise MultipartError(f"a part's headers have more than {MOST_HEADER_BYTES} bytes")

    def header_end(self) -> None:
        self.parts[-1].headers[self.field.decode("latin-1").lower()] = bytes(self.value)
        self.field.clear()
        self.value.clear()

    def headers_finished(self) -> None:
        self.parts[-1].begin()

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].add(data[start:end])

    def end(self) -> None:
        self.ended = True

    async def flush(self) -> None:
        """Bring to disk what is too large to stay in memory, while the next bytes come in."""
        for part in self.parts:
            ended = self.ended or part is not self.parts[-1]
            if part.due(ended=ended):
                await self.written()
                self.writing = unbroken.begin(part.write, part.taken(ended=ended), self.folder)

    async def written(self) -> None:
        """Wait until the disk has what it was given."""
        if self.writing is not None:
            await unbroken.outcome(self.writing)

    async def close(self) -> None:
        """Close all files, once nothing is written any more."""
        try:
            if self.writing is not None:
                await unbroken.settled(self.writing)
        finally:
            for part in self.parts:
                if part.handle is not None:
                    with contextlib.suppress(OSError):
                        part.handle.close()
