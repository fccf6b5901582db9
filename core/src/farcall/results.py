"""Turns what a host returned into Python values; files stay lazy until they are opened."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from farcall import digests
from farcall.bodies import BytesBody
from farcall.errors import FileError
from farcall.wire import UNKNOWN_TYPE, FileValue, Reading, Response, base_name

SMALL_BYTES: Final = 1024 * 1024
"""A reply that is a file up to this size is read at once, so that its connection is free again."""


def to_python(value: Any, make_file: Callable[[FileValue], Any]) -> Any:
    """The value with a file object wherever a file stands.

    Args:
        value: JSON values, with a `FileValue` or a `Response` where a file stands.
        make_file: `File` or `AsyncFile`, bound to the service.
    """
    kind = type(value)
    if kind is dict:
        return {key: to_python(item, make_file) for key, item in value.items()}
    if kind is list:
        return [to_python(item, make_file) for item in value]
    if isinstance(value, FileValue):
        return make_file(value)
    return value


async def settled(response: Response, read: Callable[[str], None]) -> FileValue:
    """A reply that is itself the result, as a file: read if it is small, else left to come in when it is wanted.

    Args:
        response: The reply.
        read: Called with the file's name once all of it has come in.
    """
    name = _name(response)
    media = response.media_type or UNKNOWN_TYPE
    size = _size(response)
    body = response.body
    if body is None:
        content = response.content
        read(name)
        return FileValue(name=name, media_type=media, body=BytesBody(content), size=len(content))
    promise = digests.promised(response.headers)
    if size is not None and size <= SMALL_BYTES:
        content = await body.read(SMALL_BYTES)
        if promise is not None:
            promise.update(content)
            promise.check(name)
        read(name)
        return FileValue(name=name, media_type=media, body=BytesBody(content), size=len(content))
    coming = _ReplyBody(body, size, name, promise, read)
    return FileValue(name=name, media_type=media, body=coming, size=size)


class _ReplyBody:
    """A reply's bytes, still to come over the connection it was asked on; there once."""

    repeatable = False

    def __init__(
        self,
        reading: Reading,
        length: int | None,
        name: str,
        promise: digests.Promise | None,
        read: Callable[[str], None],
    ) -> None:
        self.length = length
        self._name = name
        self._promise = promise
        self._read = read
        self._reading: Reading | None = reading

    async def chunks(self) -> AsyncIterator[bytes]:
        reading, self._reading = self._reading, None
        if reading is None:
            raise FileError("This file came with the reply and has been read already; keep what was read.")
        try:
            async for chunk in reading.chunks():
                if self._promise is not None:
                    self._promise.update(chunk)
                yield chunk
        finally:
            reading.drop()
        if self._promise is not None:
            self._promise.check(self._name)
        self._read(self._name)


def _size(response: Response) -> int | None:
    length = response.headers.get("content-length", "")
    encoded = response.headers.get("content-encoding", "identity") != "identity"
    return int(length) if length.isdigit() and not encoded else None


_QUOTED: Final = re.compile(r'filename="((?:[^"\\]|\\.)*)"|filename=([^;\s]+)', re.IGNORECASE)
_EXTENDED: Final = re.compile(r"filename\*=utf-8''([^;\s]+)", re.IGNORECASE)


def _name(response: Response) -> str:
    """The name the service gave (RFC 6266), else the address's last part."""
    said = response.headers.get("content-disposition", "")
    if found := _EXTENDED.search(said):
        return base_name(unquote(found[1]))
    if found := _QUOTED.search(said):
        return base_name(found[1] or found[2])
    return base_name(unquote(urlsplit(response.url).path))
