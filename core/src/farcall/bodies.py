"""What requests carry: bytes from memory, a disk, a stream or a text, and the bodies that are made of them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final
from urllib.parse import urlencode

from pydantic_core import to_json

from farcall import errors, threads
from farcall.wire import Body, FileValue

CHUNK_BYTES: Final = 256 * 1024
BATCH_CHUNKS: Final = 4
"""How many pieces of a file one visit to the disk brings: a visit costs more than reading a piece."""


@dataclass(frozen=True, slots=True)
class BytesBody:
    """A body already in memory."""

    content: bytes

    repeatable = True

    @property
    def length(self) -> int:
        """Size in bytes."""
        return len(self.content)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content, in one piece or several."""
        view = memoryview(self.content)
        for start in range(0, len(view), CHUNK_BYTES):
            yield bytes(view[start : start + CHUNK_BYTES])


@dataclass(frozen=True, slots=True)
class PathBody:
    """A local file's content, read on a thread of ours."""

    path: str
    length: int

    repeatable = True

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file's bytes; raises `FileError` if the file no longer has the length it had."""
        if self.length < CHUNK_BYTES:
            if content := await threads.run(self._small):
                yield content
            return
        handle = await threads.opened(self.open, lambda opened: opened.close())
        reading = asyncio.ensure_future(threads.run(_batch, handle, self.length))
        try:
            left = self.length
            while batch := await reading:
                left -= sum(map(len, batch))
                if left < 0:
                    break
                reading = asyncio.ensure_future(threads.run(_batch, handle, left))
                for chunk in batch:  # the next ones are read while these are sent
                    yield chunk
            if left:
                raise self._changed()
        finally:
            reading.add_done_callback(_retrieved)
            threads.later(handle.close)  # a loop that ends waits for nothing more

    def _small(self) -> bytes:
        with self.open() as handle:
            content = handle.read(self.length + 1)
        if len(content) != self.length:
            raise self._changed()
        return content

    def _changed(self) -> errors.FileError:
        return errors.FileError(f"{self.path} changed its size while it was being sent; send it again.")

    def open(self) -> BinaryIO:
        """The file open for reading; raises `FileError` if it can no longer be read."""
        try:
            return open(self.path, "rb")  # noqa: PTH123 - handed to the caller
        except OSError as error:
            raise errors.FileError(f"{self.path} can no longer be read: {error.strerror}.") from error


def _retrieved(reading: asyncio.Future[list[bytes]]) -> None:
    if not reading.cancelled():
        reading.exception()


def _batch(handle: BinaryIO, left: int) -> list[bytes]:
    """The next few pieces of a file, and one byte more than there should be left of it; empty at its end."""
    batch: list[bytes] = []
    for _ in range(BATCH_CHUNKS):
        chunk = handle.read(min(CHUNK_BYTES, left + 1))
        if not chunk:
            break
        batch.append(chunk)
        left -= len(chunk)
        if left < 0:
            break
    return batch


@dataclass(frozen=True, slots=True, repr=False)
class Base64Body:
    """A file that came inside JSON as base64; decoded only when it is read."""

    text: str

    repeatable = True

    @property
    def length(self) -> int:
        """Size in bytes once decoded."""
        return len(self.text) * 3 // 4 - self.text[-2:].count("=")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The decoded bytes; raises `ProtocolError` if the text is not base64."""
        step = CHUNK_BYTES // 3 * 4
        for start in range(0, len(self.text), step):
            try:
                yield base64.b64decode(self.text[start : start + step], validate=True)
            except ValueError as error:  # binascii's own, or a character outside ASCII
                raise errors.ProtocolError(f"The service sent a file that is not base64: {error}.") from error


@dataclass(slots=True, repr=False, eq=False)
class StreamBody:
    """An open binary file or an iterator of bytes; read once, so never sent twice."""

    source: Any
    length: int | None = None
    _read: bool = field(default=False, init=False)

    repeatable = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The source's bytes, each piece read on a thread of its own, since the source may stay silent for ever.

        Raises:
            InputError: The source was read before, raised, gave something else than bytes, or has another length than
                it said.
        """
        if self._read:
            raise errors.InputError("A stream can be read only once, and this one was; give its path or its bytes.")
        self._read = True
        size = 0
        async for chunk in self._pieces():
            size += len(chunk)
            if self.length is not None and size > self.length:
                break
            yield chunk
        if self.length is not None and size != self.length:
            raise errors.InputError(
                f"The stream to send had {self.length:,} bytes and now has {'more' if size > self.length else size}; "
                "it was written to while it was being sent."
            )

    async def _pieces(self) -> AsyncIterator[bytes]:
        if hasattr(self.source, "read"):
            while chunk := await self._piece(self.source.read, CHUNK_BYTES):
                yield chunk
            return
        iterator: Iterator[bytes] = iter(self.source)
        while (chunk := await self._piece(next, iterator, None)) is not None:
            yield chunk

    async def _piece(self, read: Callable[..., Any], *args: Any) -> Any:
        try:
            piece = await threads.run_alone(read, *args)
        except Exception as error:  # the caller's own code, whatever it raises
            raise errors.InputError(f"The stream to send broke: {type(error).__name__}: {error}") from error
        if piece is None or isinstance(piece, bytes):
            return piece
        if isinstance(piece, bytearray | memoryview):
            return bytes(piece)
        raise errors.InputError(f"The stream to send gave a {type(piece).__name__} where bytes are wanted.")


def json_body(value: Any) -> tuple[Mapping[str, str], bytes]:
    """Headers and bytes of a JSON body. A number that JSON cannot say (NaN) raises `InputError`."""
    try:
        content = to_json(value, inf_nan_mode="constants")
        if b"NaN" in content or b"Infinity" in content:
            json.dumps(value, allow_nan=False)  # tells a number from a text that says so
        return {"content-type": "application/json"}, content
    except ValueError as error:
        culprits = [name for name, part in value.items() if not _is_json(part)] if isinstance(value, Mapping) else []
        what = ", ".join(map(repr, culprits)) or "a value"
        raise errors.InputError(f"{what} cannot be written as JSON: {error}.") from error


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return False
    return True


def form_body(fields: Sequence[tuple[str, str]]) -> tuple[Mapping[str, str], bytes]:
    """Headers and bytes of a form body; a name may come several times."""
    return {"content-type": "application/x-www-form-urlencoded"}, urlencode(fields).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """A text in a multipart body that says what it is.

    Args:
        text: What is sent.
        media_type: Of this part, `application/json`.
    """

    text: str
    media_type: str


def multipart_body(
    parts: Sequence[tuple[str, str | TextPart | FileValue]], boundary: str
) -> tuple[Mapping[str, str], bytes | Body]:
    """Headers and a streamed body of multipart/form-data (RFC 7578).

    Args:
        parts: Name and text or file, in order; a name may come several times. A file needs its `body`.
        boundary: A line that occurs in no part: the call's `token`.
    """
    pieces: list[bytes | Body] = []
    for name, value in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if isinstance(value, str):
            pieces += [f"{head}\r\n\r\n{value}\r\n".encode()]
        elif isinstance(value, TextPart):
            pieces += [f"{head}\r\nContent-Type: {value.media_type}\r\n\r\n{value.text}\r\n".encode()]
        else:
            if value.body is None:
                raise errors.PluginError(f"multipart_body was given {value.name!r} without its bytes.")
            head += f'; filename="{_quoted(value.name)}"\r\nContent-Type: {value.media_type}\r\n\r\n'
            pieces += [head.encode(), _in_memory(value.body), b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    if all(isinstance(piece, bytes) for piece in pieces):
        return headers, b"".join(piece for piece in pieces if isinstance(piece, bytes))
    return headers, JoinedBody(tuple(pieces))


def _in_memory(body: Body) -> bytes | Body:
    """A small body that is in memory as its bytes, so that a small request goes out in one piece."""
    return body.content if isinstance(body, BytesBody) and body.length < CHUNK_BYTES else body


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


@dataclass(frozen=True, slots=True)
class JoinedBody:
    """Several pieces sent one after the other."""

    pieces: tuple[bytes | Body, ...]

    @property
    def length(self) -> int | None:
        """Size in bytes; None if a piece does not know its own."""
        lengths = [len(piece) if isinstance(piece, bytes) else piece.length for piece in self.pieces]
        return None if None in lengths else sum(length or 0 for length in lengths)

    @property
    def repeatable(self) -> bool:
        """Whether every piece can be read again."""
        return all(isinstance(piece, bytes) or piece.repeatable for piece in self.pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The pieces' bytes, in order."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                if piece:  # an empty one would be the end of a chunked body
                    yield piece
            else:
                async for chunk in piece.chunks():
                    yield chunk
