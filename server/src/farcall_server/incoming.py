"""A file from what a request may hold for one: a part, a `data:` address, base64, a link, or a file object."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

from farcall import intake
from farcall.bodies import Base64Body, BytesBody, PathBody
from farcall.errors import InputError
from farcall.files import READ, File
from farcall.wire import UNKNOWN_TYPE, FileValue, base_name, is_media_type
from pydantic import WithJsonSchema
from pydantic_core import from_json

from farcall_server.spool import Spool
from farcall_server.uploads import Folder, LongText

STEP: Final = 1024 * 1024
"""Characters of base64 decoded at once; a multiple of four."""

SURE: Final = 100
"""Characters from which a text that begins with `/` is base64 and no path."""

HEAD_BYTES: Final = 1024

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}):")
_DATA: Final = re.compile(rb"data:([\w.+/-]{0,160})(?:;[^,;]{1,100}){0,5}?;base64,", re.IGNORECASE)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/\r\n]{%d}" % SURE)

WAYS: Final = (
    "Send the file as a multipart part, or in a text: a data: address (data:image/png;base64,…), base64, "
    'an http(s) address, or {"file_name": …, "content_type": …, "content": base64 or address}.'
)


def context(folder: Folder | None) -> Mapping[str, Any]:
    """What pydantic is told so that each `File` in a function's arguments is read by `incoming`.

    Args:
        folder: Where large files go; None: they stay in memory.
    """
    return {READ: partial(incoming, folder=folder)}


def incoming(value: Any, folder: Folder | None) -> File:
    """A file from a request's value. Nothing is opened on this machine, and nothing is fetched yet.

    Args:
        value: A part, a text, or a file object as media-toolkit writes it.
        folder: Where it goes if it is large; None: it stays in memory.

    Raises:
        ValueError: The value stands for no file; the sentence says what would.
    """
    if isinstance(value, File):
        return value
    if isinstance(value, str) and not value.startswith("{"):
        return File(_from_text(value, folder))
    if isinstance(value, str):
        value = _object(value)
    if isinstance(value, Mapping):
        return File(_from_object(value, folder))
    raise ValueError(f"this is no file. {WAYS}")


IncomingFile = Annotated[File, WithJsonSchema({"type": "string", "format": "binary"})]
"""A file as the documentation shows it: a part, or a text."""


def _from_text(text: str, folder: Folder | None) -> FileValue:
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if scheme == "data":
        return _data("data:" + text[5:], folder)
    if scheme in {"http", "https"}:
        return _link(text)
    if scheme == "file":
        raise ValueError(f"a file:// address names a file of this server, which is never opened. {WAYS}")
    if scheme and text[len(scheme) :].startswith("://"):
        raise ValueError(f"{scheme}:// addresses are not fetched. {WAYS}")
    return _raw(text, folder)


def _raw(text: str, folder: Folder | None) -> FileValue:
    """A text that says nothing of itself: base64, or what looks like a path, which is never opened."""
    path = text.startswith("/") and len(text) < SURE and not text.startswith("/9j/")  # /9j/: how a JPEG begins
    try:
        if path or not text:
            raise ValueError
        body = decoded(text, folder)
    except ValueError:
        shown = "an empty text" if not text else repr(text[:40])
        raise ValueError(f"{shown} is no base64, and a path on this server is never opened. {WAYS}") from None
    return FileValue(name="file", media_type=UNKNOWN_TYPE, body=body, size=body.length)


def _link(text: str) -> FileValue:
    try:
        return File.from_url(text).value
    except InputError as error:
        raise ValueError(str(error)) from error


def _data(text: str, folder: Folder | None) -> FileValue:
    try:
        file = intake.from_url(text)
        if not isinstance(file.body, Base64Body):
            return file
        body = decoded(file.body.text, folder)
    except ValueError as error:
        raise ValueError(f"the data: address cannot be read: {error}") from error
    return replace(file, body=body, size=body.length)


def decoded(text: str, folder: Folder | None) -> BytesBody | PathBody:
    """The bytes that base64 (the standard alphabet, lines allowed) stands for.

    Raises:
        ValueError: It is no base64.
    """
    if "\n" in text:
        text = text.replace("\r", "").replace("\n", "")
    if "=" in text[:-2]:
        raise ValueError("base64 has its padding at the end only")
    spool = Spool(folder)
    try:
        for start in range(0, len(text), STEP):
            spool.write(base64.b64decode(text[start : start + STEP], validate=True))
    except BaseException:
        spool.drop()
        raise
    return spool.end()


def in_long_text(text: LongText, folder: Folder) -> File | None:
    """The file that a long text on the disk holds as base64, decoded piece by piece; None if it holds none.

    Raises:
        ValueError: Its base64 is wrong; the sentence says so.
    """
    with Path(text.path).open("rb") as source:
        head = source.read(HEAD_BYTES)
        found = _DATA.match(head)
        if found is None and not _BASE64.match(head):
            return None
        source.seek(found.end() if found else 0)
        body = _decoded_from(source, folder)
    media_type = found[1].decode("ascii").lower() if found else ""
    media_type = media_type if is_media_type(media_type) else UNKNOWN_TYPE
    name = "file" + (mimetypes.guess_extension(media_type) or "") if found else "file"
    return File(FileValue(name=name, media_type=media_type, body=body, size=body.length))


def _decoded_from(source: BinaryIO, folder: Folder) -> BytesBody | PathBody:
    spool = Spool(folder)
    rest, ended = b"", False
    try:
        while read := source.read(STEP):
            piece = rest + read.translate(None, b"\r\n")
            if ended and piece:
                raise ValueError("base64 has its padding at the end only")
            whole = len(piece) // 4 * 4
            spool.write(base64.b64decode(piece[:whole], validate=True))
            ended, rest = piece[:whole].endswith(b"="), piece[whole:]
        if rest:
            raise ValueError("base64 has a multiple of four characters, and this is cut off")
    except BaseException:
        spool.drop()
        raise
    return spool.end()


# --- file objects ----------------------------------------------------------------------------------------------------


def _object(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError as error:
        raise ValueError(f"the file object is no JSON: {error}. {WAYS}") from error


def _from_object(value: Mapping[Any, Any], folder: Folder | None) -> FileValue:
    """The file of `{"file_name": …, "content_type": …, "content": …}`, as media-toolkit writes it."""
    content, name, media_type = (value.get(key) for key in ("content", "file_name", "content_type"))
    if not isinstance(content, str) or not isinstance(name, str | None) or not isinstance(media_type, str | None):
        raise ValueError(  # noqa: TRY004 - what pydantic reports as the argument's fault
            f"a file object holds content, and may hold file_name and content_type, each a text. {WAYS}"
        )
    file = _content(content, folder)
    known = base_name(name) if name else file.name
    said = media_type if media_type and is_media_type(media_type) else None
    return replace(file, name=known, media_type=said or _type(file, known))


def _content(content: str, folder: Folder | None) -> FileValue:
    if _SCHEME.match(content):
        return _from_text(content, folder)
    try:
        body = decoded(content, folder)
    except ValueError as error:
        raise ValueError(
            f"the file object's content is neither base64 nor an address ({error}), and a path is never opened"
        ) from None
    return FileValue(name="file", media_type=UNKNOWN_TYPE, body=body, size=body.length)


def _type(file: FileValue, name: str) -> str:
    return file.media_type if file.media_type != UNKNOWN_TYPE else mimetypes.guess_type(name)[0] or UNKNOWN_TYPE
