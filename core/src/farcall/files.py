"""Files that are sent and fetched without being held in memory."""

from __future__ import annotations

import asyncio
import contextlib
import io
import mimetypes
import os
import secrets
import stat
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

from farcall import background, threads
from farcall.errors import FileError, InputError, Unreachable, UsageError
from farcall.wire import (
    Base64Body,
    BytesBody,
    FileValue,
    PathBody,
    Request,
    Response,
    StreamBody,
    base_name,
    without_query,
)

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema

T = TypeVar("T")

Fetch = Callable[[str], Awaitable[Response]]
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
UNKNOWN: Final = "application/octet-stream"
HERE: Final = (BytesBody, PathBody, Base64Body)
"""Bodies that any event loop can read."""


class AsyncFile:
    """A file whose bytes are read when they are wanted; the verbs are coroutines.

    Attributes:
        name: Base name, without folders.
        media_type: `image/png`; `application/octet-stream` if unknown.
        size: Bytes; None if unknown.
        url: Where it lies; None if it lies in memory or on this machine.
    """

    __slots__ = ("_fetch", "_fetched", "_generation", "_home", "value")

    def __init__(self, value: FileValue, fetch: Fetch | None = None, fetched: Callable[[], None] | None = None) -> None:
        self.value = value
        self._fetch = fetch or plain_fetch
        self._fetched = fetched
        self._home = None if fetch is None or isinstance(value.body, HERE) else _running()
        self._generation = background.generation

    @property
    def name(self) -> str:
        """Base name, without folders: `photo.png`."""
        return self.value.name

    @property
    def media_type(self) -> str:
        """`image/png`; `application/octet-stream` if unknown."""
        return self.value.media_type

    @property
    def size(self) -> int | None:
        """Bytes; None if unknown."""
        return self.value.size

    @property
    def url(self) -> str | None:
        """Where it lies; None if it lies in memory or on this machine. It may grant access: do not log it."""
        return self.value.url

    def __repr__(self) -> str:
        size = "size unknown" if self.size is None else f"{self.size:,} bytes"
        return f"<{type(self).__name__} {self.name!r} {self.media_type}, {size}>"

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, piece by piece.

        Raises:
            FileError: It cannot be fetched, or is not whole.
            UsageError: Its service was connected before a fork, or its event loop has ended.
        """
        home = self._home
        if home is None or home is asyncio.get_running_loop():
            pieces = self._pieces()
        elif self._generation != background.generation:
            raise UsageError("This file's service was connected before the process forked; connect again in the child.")
        else:
            pieces = _from(home, self._pieces())
        async with contextlib.aclosing(pieces):
            async for chunk in pieces:
                yield chunk

    async def _pieces(self) -> AsyncGenerator[bytes]:
        if self.value.body is not None:
            async for chunk in self._told(self.value.body.chunks()):
                yield chunk
            return
        response = await self._fetch(self.value.url or "")
        if response.body is None:
            yield response.content
            return
        try:
            async for chunk in self._told(response.body.chunks()):
                yield chunk
        finally:
            response.drop()
        if self._fetched is not None:
            self._fetched()

    async def _told(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """The bytes; a link that breaks is told as the file's error."""
        try:
            async for chunk in chunks:
                yield chunk
        except Unreachable as error:
            raise FileError(f"The link broke while {self.name!r} was being fetched: {error}") from error

    async def read(self) -> bytes:
        """All bytes, in memory.

        Raises:
            FileError: It cannot be fetched, or is not whole.
        """
        content = b"".join([chunk async for chunk in self.chunks()])
        self._check(len(content))
        return content

    async def save(self, target: str | os.PathLike[str]) -> Path:
        """Write the file to a path, or into a folder under its own name; whole or not at all.

        Args:
            target: A path, or a folder that exists.

        Returns:
            The path written.

        Raises:
            FileError: It cannot be fetched, or is not whole.
            OSError: The disk refuses.
        """
        path = await threads.run(_target, target, self.name)
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        stream = await threads.run(part.open, "xb")  # with the mode any new file gets
        try:
            written = 0
            with stream:
                async for chunk in self.chunks():
                    written += await threads.run(stream.write, chunk)
            self._check(written)
            await threads.run(part.replace, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
            raise
        return path

    async def open(self) -> BinaryIO:
        """The file open for reading, at its start; a remote one is fetched to a temporary file first."""
        if (local := _open_local(self.value)) is not None:
            return local
        spool = tempfile.SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115 - handed to the caller
        size = 0
        async for chunk in self.chunks():
            size += await threads.run(spool.write, chunk)
        self._check(size)
        spool.seek(0)
        return spool  # type: ignore[return-value]  # a SpooledTemporaryFile is a BinaryIO in all but name

    def _check(self, size: int) -> None:
        if self.size is not None and size != self.size:
            raise FileError(f"{self.name!r} should have {self.size} bytes and came with {size}; fetch it again.")


class File:
    """A file to send or one that came back; nothing is read before it is asked for.

    Make one with `File.from_path("photo.jpg")`, `from_bytes`, `from_stream` or `from_url`; or hand the path, bytes or
    open file itself to a parameter that is a file.
    """

    __slots__ = ("_async",)

    def __init__(self, value: FileValue, fetch: Fetch | None = None, fetched: Callable[[], None] | None = None) -> None:
        self._async = AsyncFile(value, fetch, fetched)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, media_type: str | None = None) -> File:
        """A file on this machine.

        Raises:
            InputError: There is no such file, it is a folder, a pipe or a device, or it cannot be read.
        """
        place = Path(path)
        try:
            found = place.stat()
            if stat.S_ISDIR(found.st_mode):
                raise InputError(f"{str(path)!r} is a folder; name a file in it.")
            if not stat.S_ISREG(found.st_mode):
                raise InputError(f"{str(path)!r} is no regular file; open it and use File.from_stream.")
            with place.open("rb"):
                pass
        except InputError:
            raise
        except (OSError, ValueError) as error:
            raise InputError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', error)}.") from error
        return cls(_value(place.name, media_type, PathBody(str(place), found.st_size), found.st_size))

    @classmethod
    def from_bytes(cls, content: bytes, *, name: str = "file", media_type: str | None = None) -> File:
        """A file in memory. `name` is what the other side is told."""
        return cls(_value(name, media_type, BytesBody(bytes(content)), len(content)))

    @classmethod
    def from_stream(cls, stream: Any, *, name: str | None = None, media_type: str | None = None) -> File:
        """An open binary file or an iterator of bytes. It is read once, from where it stands, so never sent twice."""
        known = name or (os.path.basename(n) if isinstance(n := getattr(stream, "name", None), str) else "file")
        size = _rest(stream)
        return cls(_value(known, media_type, StreamBody(stream, size), size))

    @classmethod
    def from_url(cls, url: str, *, name: str | None = None, media_type: str | None = None) -> File:
        """A file that lies at an http(s) address, or is written out in a `data:` address.

        Raises:
            InputError: It is no such address.
        """
        if url.startswith("data:"):
            return cls(_from_data_uri(url, name, media_type))
        try:
            parts = urlsplit(url)
            callable_ = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            callable_ = False
        if not callable_:
            raise InputError(f"{url[:80].partition('?')[0]!r} is no http, https or data address.")
        known = base_name(name or parts.path)
        return cls(FileValue(name=known, media_type=media_type or _guess(known), url=url))

    @classmethod
    def of(cls, value: Any) -> File:
        """A file from whatever stands for one: `File`, path, bytes, open binary file, address.

        Raises:
            InputError: The value stands for no file.
        """
        if isinstance(value, File):
            return value
        if isinstance(value, AsyncFile):
            file = cls.__new__(cls)
            file._async = value  # noqa: SLF001 - the same file in the other colour
            return file
        if isinstance(value, bytes | bytearray | memoryview):
            return cls.from_bytes(bytes(value))
        if isinstance(value, str) and value.startswith(("http://", "https://", "data:")):
            return cls.from_url(value)
        if isinstance(value, str | os.PathLike):
            return cls.from_path(value)
        if isinstance(value, io.TextIOBase):
            raise InputError("the file is open as text; open it with mode 'rb'")
        if callable(getattr(value, "read", None)):
            return cls.from_stream(value)
        raise InputError(f"a {type(value).__name__} is no file; give a path, bytes, an open file or an address")

    @property
    def name(self) -> str:
        """Base name, without folders: `photo.png`."""
        return self._async.name

    @property
    def media_type(self) -> str:
        """`image/png`; `application/octet-stream` if unknown."""
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
    def value(self) -> FileValue:
        """The file as a plain value, for providers."""
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
            FileError: It cannot be fetched, or is not whole.
        """
        if (local := _open_local(self.value)) is not None:
            with local:
                return local.read()
        return self._run(self._async.read())

    def open(self) -> BinaryIO:
        """The file open for reading, at its start; a remote one is fetched to a temporary file first."""
        return _open_local(self.value) or self._run(self._async.open())

    def save(self, target: str | os.PathLike[str]) -> Path:
        """Write the file to a path, or into a folder under its own name; whole or not at all.

        Args:
            target: A path, or a folder that exists.

        Returns:
            The path written.

        Raises:
            FileError: It cannot be fetched, or is not whole.
            OSError: The disk refuses.
        """
        return self._run(self._async.save(target))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the engine's thread, unless that would wait for the loop that waits here."""
        if self._async._home is not None and self._async._home is _running():  # noqa: SLF001 - its other half
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


async def plain_fetch(url: str) -> Response:
    """Fetch an address with no credential and a connection of its own; redirects are followed."""
    from farcall.sender_aiohttp import AiohttpSender

    sender = AiohttpSender()
    try:
        response = await follow(sender.send, Request(method="GET", url=url, repeatable=True))
    except BaseException:
        await sender.close()
        raise
    return Response(
        status=response.status,
        headers=response.headers,
        body=None if response.body is None else _Closing(response.body, sender),
    )


async def follow(send: Callable[[Request], Awaitable[Response]], request: Request, hops: int = 5) -> Response:
    """Send a GET and follow its redirects.

    Raises:
        FileError: The answer is no success, or leads round in circles.
    """
    from urllib.parse import urljoin

    for _ in range(hops + 1):
        response = await send(request)
        place = response.headers.get("location", "")
        if response.status not in REDIRECTS or not place:
            break
        response.drop()
        try:
            onward = urljoin(request.url, place)
        except ValueError:
            onward = ""
        if onward.startswith(("http://", "https://")):
            request = Request(method="GET", url=onward, repeatable=True)
        else:
            raise FileError(f"The file's address leads to {place[:40]!r}, which is not fetched.", request=request)
    if response.ok:
        return response
    response.drop()
    raise FileError(
        f"{without_query(request.url)} answered {response.status} instead of the file.",
        request=request,
        response=response,
    )


class _Fetched:
    """A file that lies elsewhere, fetched anew each time it is read."""

    repeatable = True

    def __init__(self, file: AsyncFile) -> None:
        self.length = file.size
        self._file = file

    def chunks(self) -> AsyncIterator[bytes]:
        return self._file.chunks()


class _Closing:
    """A reply whose connection was opened for it alone and ends with it."""

    def __init__(self, body: Any, sender: Any) -> None:
        self.body, self.sender = body, sender

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.body.chunks():
                yield chunk
        finally:
            self.body.drop()
            await self.sender.close()

    async def read(self, limit: int) -> bytes:
        try:
            content: bytes = await self.body.read(limit)
        finally:
            await self.sender.close()
        return content

    def drop(self) -> None:
        self.body.drop()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _from(home: asyncio.AbstractEventLoop, pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Pieces that come in on another event loop."""

    async def following() -> bytes | None:
        return await anext(pieces, None)

    try:
        while (piece := await _there(home, following())) is not None:
            yield piece
    finally:
        if home.is_running():
            await _there(home, pieces.aclose())


async def _there(home: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on another event loop."""
    if not home.is_running():
        coroutine.close()
        raise UsageError("The event loop that this file's service was connected on has ended; connect again.")
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, home))


def _guess(name: str) -> str:
    return mimetypes.guess_type(name)[0] or UNKNOWN


def _value(name: str, media_type: str | None, body: Any, size: int | None) -> FileValue:
    known = base_name(name)
    return FileValue(name=known, media_type=media_type or _guess(known), body=body, size=size)


def _rest(stream: Any) -> int | None:
    """Bytes from where a stream stands to its end; None if it cannot tell."""
    try:
        here = stream.tell()
        end = stream.seek(0, io.SEEK_END)
        stream.seek(here)
    except (AttributeError, OSError, ValueError):
        return None
    return int(end) - int(here)


def _from_data_uri(url: str, name: str | None, media_type: str | None) -> FileValue:
    head, comma, text = url[5:].partition(",")
    if not comma:
        raise InputError("The data address has no comma between its type and its content.")
    kind, *options = head.split(";")
    media = media_type or kind or "text/plain"
    known = base_name(name or "file" + (mimetypes.guess_extension(media) or ""))
    body: Base64Body | BytesBody
    if "base64" in (option.strip().lower() for option in options):
        body = Base64Body(unquote_to_bytes(text).decode("latin-1") if "%" in text else text)
    else:
        body = BytesBody(unquote_to_bytes(text))
    return FileValue(name=known, media_type=media, body=body, size=body.length)


def _open_local(value: FileValue) -> BinaryIO | None:
    if isinstance(value.body, PathBody):
        return value.body.open()
    if isinstance(value.body, BytesBody):
        return io.BytesIO(value.body.content)
    return None


def _target(target: str | os.PathLike[str], name: str) -> Path:
    path = Path(target)
    return path / base_name(name) if path.is_dir() else path
