"""Makes a file of whatever stands for one: a path, bytes, an open file, an address, an image, an array."""

from __future__ import annotations

import base64
import io
import mimetypes
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from farcall.bodies import Base64Body, BytesBody, PathBody, StreamBody
from farcall.errors import FileError, InputError
from farcall.wire import UNKNOWN_TYPE, Body, FileValue, base_name, is_media_type, sendable

HEAD_BYTES: Final = 1024
"""How much of a file is looked at to tell what it is."""
SURE: Final = 0.3
"""How sure puremagic must be: three bytes that fit; two fit by chance too often."""
PACKED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
"""What `a.tar.gz` is, which mimetypes calls a tar."""
ADDRESS: Final = re.compile(r"https?://|data:", re.IGNORECASE)


def of(value: Any) -> FileValue:
    """A file from whatever stands for one.

    Raises:
        InputError: The value stands for no file.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return from_bytes(bytes(value))
    if isinstance(value, str):
        return decodable(from_url(value)) if ADDRESS.match(value) else from_path(value)
    if isinstance(value, os.PathLike):
        return from_path(value)
    from farcall import media

    if (made := media.taken(value, None)) is not None:
        return made
    if callable(getattr(value, "read", None)):
        return from_stream(value)
    kind = type(value).__name__
    raise InputError(f"a value of the type {kind} is no file; give a path, bytes, an open file or an address")


def from_path(path: str | os.PathLike[str], media_type: str | None = None) -> FileValue:
    """See `File.from_path`."""
    place = Path(_must_be(path, "a path", str, os.PathLike))
    try:
        found = place.stat()
        if stat.S_ISDIR(found.st_mode):
            raise InputError(f"{str(path)!r} is a folder; name a file in it.")
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{str(path)!r} is no regular file; open it and use File.from_stream.")
        with place.open("rb") as stream:
            media = _said(media_type) or _by_name(place.name) or _by_content(stream.read(HEAD_BYTES))
    except InputError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        if "://" in str(path):
            why = f"{why}; and only http, https and data addresses are fetched"
        raise InputError(f"{str(path)!r} cannot be read: {why}.") from error
    return _value(place.name, media, PathBody(str(place), found.st_size), found.st_size)


def from_bytes(content: bytes, name: str = "file", media_type: str | None = None) -> FileValue:
    """See `File.from_bytes`."""
    held = bytes(_must_be(content, "bytes", bytes, bytearray, memoryview))
    media = _said(media_type) or _by_name(name) or _by_content(held[:HEAD_BYTES])
    return _value(name, media, BytesBody(held), len(held))


def from_stream(stream: Any, name: str | None = None, media_type: str | None = None) -> FileValue:
    """See `File.from_stream`."""
    _check_open(stream)
    known = name or (os.path.basename(n) if isinstance(n := getattr(stream, "name", None), str) else "file")
    size = _rest(stream)
    return _value(known, _said(media_type) or _by_name(known) or UNKNOWN_TYPE, StreamBody(stream, size), size)


def from_url(url: str, name: str | None = None, media_type: str | None = None) -> FileValue:
    """See `File.from_url`."""
    if _must_be(url, "an address", str)[:5].lower() == "data:":
        return _from_data_uri(url, name, media_type)
    try:
        sent = sendable(url) if url.isprintable() and ADDRESS.match(url) else None
    except FileError:
        sent = None
    if sent is None:
        raise InputError(f"{url[:80].partition('?')[0]!r} is no http, https or data address.")
    known = name or unquote(urlsplit(url).path)
    return replace(_value(known, _said(media_type) or _by_name(known) or UNKNOWN_TYPE, None, None), url=sent)


def decodable(file: FileValue) -> FileValue:
    """The file, once it is sure that base64 it was written out in can be read.

    Raises:
        InputError: It is no base64.
    """
    if isinstance(file.body, Base64Body):
        try:
            base64.b64decode(file.body.text, validate=True)
        except ValueError as error:  # binascii's own, or a character outside ASCII
            raise InputError(f"the data address is said to be base64 and is none: {error}") from error
    return file


def folder(path: str | os.PathLike[str]) -> list[FileValue]:
    """The files that lie in a folder, by name; not what begins with a dot, and not those in folders inside it.

    Raises:
        InputError: It cannot be read, or there is no such file in it.
    """
    try:
        places = sorted(place for place in Path(path).iterdir() if place.is_file() and not place.name.startswith("."))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    if not places:
        raise InputError(f"the folder {str(path)!r} holds no file")
    return [from_path(place) for place in places]


def _from_data_uri(url: str, name: str | None, media_type: str | None) -> FileValue:
    head, comma, text = url[5:].partition(",")
    if not comma:
        raise InputError("The data address has no comma between its type and its content.")
    kind, *options = head.split(";")
    media = _said(media_type) or kind or "text/plain"
    known = name or "file" + (mimetypes.guess_extension(media) or "")
    body: Base64Body | BytesBody
    if "base64" in (option.strip().lower() for option in options):
        body = Base64Body(unquote_to_bytes(text).decode("latin-1") if "%" in text else text)
    else:
        body = BytesBody(unquote_to_bytes(text))
    return _value(known, media, body, body.length)


def _must_be(value: Any, what: str, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        raise InputError(f"give {what}, not {type(value).__name__}")
    return value


def _said(media_type: str | None) -> str | None:
    """The media type that the user named; None if none."""
    if media_type and not is_media_type(_must_be(media_type, "a media type", str)):
        raise InputError(f"{media_type[:80]!r} is no media type; one is like 'image/png'")
    return media_type


def _value(name: str, media_type: str, body: Body | None, size: int | None) -> FileValue:
    return FileValue(name=base_name(name), media_type=media_type, body=body, size=size)


def _by_name(name: str) -> str | None:
    media_type, packed = mimetypes.guess_type(base_name(name))
    return media_type if packed is None else PACKED.get(packed)


def _by_content(head: bytes) -> str:
    """The media type by a file's first bytes."""
    if head.startswith(b"PK\x03\x04"):  # puremagic takes any archive for an office document
        return "application/zip"
    import puremagic

    try:
        best = puremagic.magic_string(head)[0]
    except (puremagic.PureError, ValueError, IndexError):
        return UNKNOWN_TYPE
    return best.mime_type if best.confidence >= SURE and best.mime_type else UNKNOWN_TYPE


def _check_open(stream: Any) -> None:
    if isinstance(stream, io.TextIOBase):
        raise InputError("the file is open as text; open it with mode 'rb'")
    if not isinstance(stream, io.IOBase):
        readable = callable(getattr(stream, "read", None)) or isinstance(stream, Iterable)
        if not readable or isinstance(stream, str | bytes | bytearray | memoryview):
            raise InputError(f"give an open binary file or an iterator of bytes, not {type(stream).__name__}")
        return
    if stream.closed:
        raise InputError("the file is closed; open it again, with mode 'rb'")
    if not stream.readable():
        raise InputError("the file is open for writing only; open it with mode 'rb'")


def _rest(stream: Any) -> int | None:
    """Bytes from where a stream stands to its end; None if it cannot tell."""
    try:
        here = int(stream.tell())
        end = int(stream.seek(0, io.SEEK_END))
        stream.seek(here)
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    if 0 < here >= end:  # an empty file stands at its beginning
        raise InputError("the open file stands at its end, so nothing of it would be sent; call its seek(0) first")
    return end - here
