"""The types that stand for a file in an annotation, and how each is made from the file that came in."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from farcall.files import File
from farcall.wire import UNKNOWN_TYPE
from starlette.datastructures import Headers, UploadFile


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """A type whose parameters are files.

    Args:
        type: What the function's annotation says.
        make: Makes one from a file whose bytes are on this machine; may read from the disk.
    """

    type: type
    make: Callable[[File], Any]


def of(kind: Any) -> FileKind | None:
    """The kind of file an annotation names; None if it names none.

    media-toolkit is not imported for this: whoever names one of its types has done that.
    """
    if kind is File:
        return PLAIN
    if not isinstance(kind, type):
        return None
    if issubclass(kind, UploadFile):
        return FileKind(type=kind, make=partial(_upload, kind))
    toolkit = sys.modules.get("media_toolkit")
    if toolkit is not None and issubclass(kind, toolkit.MediaFile):
        return FileKind(type=kind, make=partial(_media, kind))
    return None


def container_of_media(kind: Any) -> bool:
    """Whether it is one of media-toolkit's containers, which open paths and fetch addresses of their own accord."""
    toolkit = sys.modules.get("media_toolkit")
    return toolkit is not None and isinstance(kind, type) and issubclass(kind, toolkit.MediaList | toolkit.MediaDict)


def _same(file: File) -> File:
    return file


PLAIN: Final = FileKind(type=File, make=_same)


def _upload(kind: type[UploadFile], file: File) -> UploadFile:
    """An upload as FastAPI hands it over; its bytes stay until the job has ended."""
    handle = file.open()
    upload = kind(handle, size=file.size, filename=file.name, headers=Headers({"content-type": file.media_type}))
    weakref.finalize(upload, handle.close)
    return upload


def _media(kind: Any, file: File) -> Any:
    """One of media-toolkit's files; its bytes are read when they are wanted, and stay until the job has ended."""
    said = None if file.media_type == UNKNOWN_TYPE else file.media_type  # None: it looks at the bytes
    handle = file.open()
    made = kind(file_name=file.name, content_type=said)
    weakref.finalize(made, handle.close)
    made.from_bytesio_or_handle(handle, copy=False)
    made.file_name = file.name  # not that of our file on the disk
    return made
