"""Files that are sent and fetched without being held in memory: the blocking face."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from farcall import background, intake, loops
from farcall.errors import UsageError
from farcall.fetching import Fetch, plain_fetch
from farcall.files_async import AsyncFile, open_local
from farcall.wire import FileValue

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema

T = TypeVar("T")


class File:
    """A file to send or one that came back; nothing is read before it is asked for.

    Make one with `File.from_path("photo.jpg")`, `from_bytes`, `from_stream` or `from_url`; or hand the path, bytes or
    open file itself to a parameter that is a file.
    """

    __module__ = "farcall"  # as it is imported, in signatures too
    __slots__ = ("_async",)

    def __init__(self, value: FileValue, fetch: Fetch | None = None, fetched: Callable[[], None] | None = None) -> None:
        self._async = AsyncFile(value, fetch, fetched)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, media_type: str | None = None) -> File:
        """A file on this machine.

        Args:
            path: Where it lies.
            media_type: `image/png`; None: told by its name, else by how it begins.

        Raises:
            InputError: There is no such file, it is a folder, a pipe or a device, or it cannot be read; or the media
                type is none.
        """
        return cls(intake.from_path(path, media_type))

    @classmethod
    def from_bytes(cls, content: bytes, *, name: str = "file", media_type: str | None = None) -> File:
        """A file in memory. `name` is what the other side is told.

        Raises:
            InputError: It is something else than bytes, or the media type is none.
        """
        return cls(intake.from_bytes(content, name, media_type))

    @classmethod
    def from_stream(cls, stream: Any, *, name: str | None = None, media_type: str | None = None) -> File:
        """An open binary file or an iterator of bytes. It is read once, from where it stands, so never sent twice.

        Raises:
            InputError: It is no stream, closed, open as text or for writing only, or stands at its end; or the media
                type is none.
        """
        return cls(intake.from_stream(stream, name, media_type))

    @classmethod
    def from_url(cls, url: str, *, name: str | None = None, media_type: str | None = None) -> File:
        """A file that lies at an http(s) address, or is written out in a `data:` address.

        Raises:
            InputError: It is no such address, or its base64 cannot be read; or the media type is none.
        """
        return cls(intake.decodable(intake.from_url(url, name, media_type)))

    @classmethod
    def of(cls, value: Any) -> File:
        """A file from whatever stands for one: `File`, path, bytes, open binary file, address, array, image, media.

        Raises:
            InputError: The value stands for no file.
        """
        if isinstance(value, File):
            return value
        if isinstance(value, AsyncFile):
            file = cls.__new__(cls)
            file._async = value  # noqa: SLF001 - the same file in the other colour
            return file
        return cls(intake.of(value))

    @property
    def name(self) -> str:
        """Base name, without folders: `photo.png`."""
        return self._async.name

    @property
    def media_type(self) -> str:
        """`image/png`; `application/octet-stream` if unknown. What came from elsewhere is what its host says."""
        return self._async.media_type

    @property
    def size(self) -> int | None:
        """Bytes; None if unknown."""
        return self._async.size

    @property
    def url(self) -> str | None:
        """Where it lies; None if it lies in memory or on this machine. It may grant access: do not log it."""
        return self._async.url

    @property
    def progress(self) -> float | None:
        """How much of it has come in when it was last read or saved, 0.0 to 1.0; None if its size is unknown."""
        return self._async.progress

    @property
    def value(self) -> FileValue:
        """The file as a plain value, for providers and storages."""
        return self._async.value

    @property
    def public(self) -> bool:
        """Whether it lies at an address that anybody may fetch, as far as we know."""
        return self.value.body is None and self._async._fetch is plain_fetch  # noqa: SLF001 - its other half

    def carried(self) -> FileValue:
        """The file with its bytes within reach: one that lies elsewhere is fetched while it is sent."""
        value = self.value
        return value if value.body is not None else replace(value, body=_Fetched(self._async))

    def read(self) -> bytes:
        """All bytes, in memory.

        Raises:
            FileError: It cannot be fetched, is not whole, or comes from elsewhere and has more than 4 GiB.
        """
        if (local := open_local(self.value)) is not None:
            with local:
                return local.read()
        return self._run(self._async.read())

    def open(self) -> BinaryIO:
        """The file open for reading, at its start; a remote one is fetched to a temporary file first.

        Raises:
            FileError: It cannot be fetched, is not whole, or there is no room for it.
        """
        return open_local(self.value) or self._run(self._async.open())

    def save(self, target: str | os.PathLike[str]) -> Path:
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
        return self._run(self._async.save(target))

    def sha256(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal; all of it is read.

        Raises:
            UsageError: It is a stream, which can be read only once.
        """
        return self._run(self._async.sha256())

    def to_media(self) -> Any:
        """The file as media-toolkit's `ImageFile`, `AudioFile`, `VideoFile` or `MediaFile`, by its media type.

        Raises:
            UsageError: media-toolkit is not installed.
            FileError: It cannot be fetched, or is not whole.
        """
        return self._run(self._async.to_media())

    def to_numpy(self) -> Any:
        """The array an NPY file holds, the samples of a WAV, the pixels of an image.

        Raises:
            UsageError: NumPy, or for an image Pillow, is not installed.
            FileError: It is none of them, is broken, or cannot be fetched.
        """
        return self._run(self._async.to_numpy())

    def to_pil(self) -> Any:
        """The image as a PIL `Image`.

        Raises:
            UsageError: Pillow is not installed.
            FileError: It is no image, is broken, or cannot be fetched.
        """
        return self._run(self._async.to_pil())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the engine's thread, unless that would wait for the loop that waits here."""
        if self._async._home is not None and self._async._home is loops.running():  # noqa: SLF001 - its other half
            coroutine.close()
            raise UsageError("This file comes in on the event loop that runs here; await its asynchronous verb.")
        return background.run(coroutine)

    def __repr__(self) -> str:
        return repr(self._async).replace("AsyncFile", "File")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.with_info_plain_validator_function(
            _checked, serialization=core_schema.plain_serializer_function_ser_schema(lambda file: file)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "format": "data-url"}


LOCAL: Final[Mapping[str, bool]] = {"farcall_local_files": True}
"""The validation context in which a text may name a file of this machine: a caller's, never a server's."""


READ: Final = "farcall_read_file"
"""The key in a validation context under which a server says how it reads what came in: `(value) -> File`."""


def _checked(value: Any, info: ValidationInfo) -> File:
    """A file, for pydantic; without the caller's context no path and no address, since it may come from anybody."""
    if info.context is not None and READ in info.context:
        read: Callable[[Any], File] = info.context[READ]
        return read(value)
    if isinstance(value, str | os.PathLike) and info.context != LOCAL and not str(value).startswith("data:"):
        raise ValueError("a file is a data: address here")
    return File.of(value)


class _Fetched:
    """A file that lies elsewhere, fetched anew each time it is read."""

    repeatable = True

    def __init__(self, file: AsyncFile) -> None:
        self.length = file.size
        self._file = file

    def chunks(self) -> AsyncIterator[bytes]:
        return self._file.chunks()
