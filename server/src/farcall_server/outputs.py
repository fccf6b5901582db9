"""What a function returned, as JSON values with a `FileValue` where a file stands."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import mimetypes
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType
from typing import Any, Final

from farcall import background, threads
from farcall.bodies import PathBody
from farcall.errors import FarcallError, FileError, InputError
from farcall.files import File
from farcall.files_async import HERE, AsyncFile
from farcall.wire import UNKNOWN_TYPE, FileValue, base_name, is_media_type
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from farcall_server.spool import Spool
from farcall_server.uploads import Folder

DEEPEST: Final = 100
"""Levels of lists and dictionaries inside each other."""

COPY_BYTES: Final = 1024 * 1024

_LEAVES: Final = frozenset({int, bool, NoneType})
_SEQUENCES: Final = (list, tuple, set, frozenset)


class UnserialisableError(TypeError):
    """A function returned what cannot be sent; the sentence says where it stands and what it is."""

    def __init__(self, why: str, where: str = "") -> None:
        super().__init__(f"The result cannot be sent: result{where} {why}.")
        self.why, self.where = why, where

    def inside(self, step: str) -> UnserialisableError:
        """The same error seen from one level further out."""
        return UnserialisableError(self.why, step + self.where)


class _BlocksError(Exception):
    """There is a file in the value that must be read now, which would hold up the event loop."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the files of a value go that do not last by themselves.

    Args:
        folder: Takes the large ones.
        kept: Whether the value is kept, and not just sent now.
        may_block: Whether they may be read now.
    """

    folder: Folder
    kept: bool
    may_block: bool = True


def plain(value: Any, folder: Folder, *, kept: bool = True) -> Any:
    """A value as JSON values, with a `FileValue` where a file stands.

    NaN and infinities, which JSON cannot say, become None. Numbers and arrays of NumPy, pydantic models and
    dataclasses are taken apart; bytes, open binary files, pictures of Pillow and files of media-toolkit become files.
    A file that is read once, or that only its service may be asked for, is read now, and so is one at a path, which
    may change later; blocks meanwhile.

    Args:
        value: What a function returned.
        folder: Where a large file that is read now is kept.
        kept: Whether the value is kept; False: it is sent now, and a file at a path may stay there.

    Raises:
        UnserialisableError: There is something in it that cannot be sent.
    """
    return _plain(value, _Target(folder, kept), DEEPEST)


async def plain_async(value: Any, folder: Folder, *, kept: bool = True) -> Any:
    """The same on the event loop, which goes on while files are read on a thread."""
    try:
        return _plain(value, _Target(folder, kept, may_block=False), DEEPEST)
    except _BlocksError:
        return await threads.run_alone(plain, value, folder, kept=kept)


def _plain(value: Any, target: _Target, deep: int) -> Any:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is str:
        return _text(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if not deep:
        raise UnserialisableError("holds itself, or more than a hundred levels")
    if isinstance(value, Mapping):
        return _mapping(value, target, deep - 1)
    if isinstance(value, _SEQUENCES):
        return _sequence(value, target, deep - 1)
    return _object(value, target, deep)


def _mapping(value: Mapping[Any, Any], target: _Target, deep: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, inner in value.items():
        try:
            made[_key(key)] = _plain(inner, target, deep)
        except UnserialisableError as error:
            raise error.inside(f"[{key!r}]") from error.__cause__
    return made


def _sequence(value: Iterable[Any], target: _Target, deep: int) -> list[Any]:
    made: list[Any] = []
    for inner in value:
        try:
            made.append(_plain(inner, target, deep))
        except UnserialisableError as error:
            raise error.inside(f"[{len(made)}]") from error.__cause__
    return made


def _object(value: Any, target: _Target, deep: int) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return File.from_bytes(bytes(value)).value
    if isinstance(value, FileValue | File | AsyncFile):
        return _lasting(File(value) if isinstance(value, FileValue) else File.of(value), target)
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(), target, deep - 1)
    if isinstance(value, Enum):
        return _plain(value.value, target, deep)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapping({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, target, deep - 1)
    for module, render in _FOREIGN.items():  # a value of a library's means that it is imported
        if module in sys.modules and (made := render(sys.modules[module], value, target, deep)) is not NotImplemented:
            return made
    if callable(getattr(value, "read", None)):
        return _stream(value, target)
    try:
        return _plain(to_jsonable_python(value, inf_nan_mode="constants"), target, deep - 1)
    except (PydanticSerializationError, ValueError) as error:
        raise UnserialisableError(f"is a {type(value).__name__}, which JSON cannot say") from error


# --- other libraries' values -----------------------------------------------------------------------------------------


def _array(numpy: Any, value: Any, target: _Target, deep: int) -> Any:
    """A number or an array of NumPy's."""
    if not isinstance(value, numpy.ndarray | numpy.generic):
        return NotImplemented
    made = value.tolist()
    if type(made) is type(value):  # a long double stays what it is
        made = float(made)
    return _plain(made, target, deep - 1)


def _picture(pillow: Any, value: Any, target: _Target, deep: int) -> Any:  # noqa: ARG001 - as its neighbours
    """A picture of Pillow's, in the format it came in; else, and where that cannot be written, as PNG."""
    if not isinstance(value, pillow.Image):
        return NotImplemented
    _may_block(target)
    kind = value.format if value.format in pillow.SAVE else "PNG"
    written = io.BytesIO()
    try:
        value.save(written, format=kind)
    except (OSError, ValueError, KeyError) as error:
        raise UnserialisableError(f"is a picture that cannot be written as {kind}: {error}") from error
    name = f"image{_ENDINGS.get(kind, '.' + kind.lower())}"
    return File.from_bytes(written.getvalue(), name=name, media_type=pillow.MIME.get(kind)).value


def _media(toolkit: Any, value: Any, target: _Target, deep: int) -> Any:
    """A file of media-toolkit's, read piece by piece, or a list or table with some in it."""
    if isinstance(value, toolkit.MediaDict):
        return _mapping(dict(value.items()), target, deep - 1)
    if isinstance(value, toolkit.MediaList):
        return _sequence(value, target, deep - 1)
    if not isinstance(value, toolkit.MediaFile):
        return NotImplemented
    _may_block(target)
    spool = Spool(target.folder)
    try:
        for piece in value.chunks():
            spool.write(piece)
    except (OSError, ValueError) as error:
        spool.drop()
        raise UnserialisableError(f"is a file that cannot be read: {error}") from error
    media_type = value.content_type if is_media_type(value.content_type or "") else UNKNOWN_TYPE
    name = _named(base_name(value.file_name or "file"), media_type)
    return FileValue(name=name, media_type=media_type, body=spool.end(), size=spool.size)


def _named(name: str, media_type: str) -> str:
    """The name with an ending that tells what the file is: media-toolkit calls a new picture `imagefile`."""
    return name if "." in name else name + (mimetypes.guess_extension(media_type) or "")


_ENDINGS: Final = {"JPEG": ".jpg", "TIFF": ".tif"}
_FOREIGN: Final[Mapping[str, Callable[[Any, Any, _Target, int], Any]]] = {
    "numpy": _array,
    "PIL.Image": _picture,
    "media_toolkit": _media,
}


# --- texts -----------------------------------------------------------------------------------------------------------


def _text(value: str) -> str:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UnserialisableError(f"is a text that is no Unicode ({error.reason})") from error
    return value


def _key(key: Any) -> str:
    if isinstance(key, str):
        return _text(str(key))
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    try:
        made = to_jsonable_python({key: None})
    except (PydanticSerializationError, ValueError, TypeError) as error:
        raise UnserialisableError(f"has a key that is a {type(key).__name__}, which JSON cannot say") from error
    return str(next(iter(made)))


# --- files -----------------------------------------------------------------------------------------------------------


def _may_block(target: _Target) -> None:
    if not target.may_block:
        raise _BlocksError


def _lasting(file: File, target: _Target) -> FileValue:
    """The file so that it can be read many times and by everybody who may ask for the result.

    One at an address that anybody may fetch stays a link. One that is read once, that lies with a service that gives
    it to us alone, or at a path where the next call may write its own, is read now.
    """
    value = file.value
    if _lasts(value, target) or file.public:
        return value
    _may_block(target)
    spool = Spool(target.folder)
    try:
        if isinstance(value.body, PathBody):
            _copy(value.body, spool)
        else:
            background.run(_fill(spool, file.carried()))
        if value.size not in {None, spool.size}:
            raise FileError(f"{value.name!r} should have {value.size} bytes and came with {spool.size}.")
    except FarcallError as error:
        spool.drop()
        raise UnserialisableError(f"is a file that cannot be read: {error}") from error
    return dataclasses.replace(value, body=spool.end(), url=None, size=spool.size)


def _stream(stream: Any, target: _Target) -> FileValue:
    """An open file, read from where it stands and closed, as nobody else will."""
    if isinstance(getattr(stream, "file", stream), io.TextIOBase):  # tempfile's are around another
        raise UnserialisableError("is a file open as text; open it with mode 'rb', or return what read() gives")
    _may_block(target)
    with contextlib.closing(stream):
        try:
            file = File.from_stream(stream)
        except InputError as error:
            raise UnserialisableError(f"is an open file that cannot be sent: {error}") from error
        return _lasting(file, target)


def _lasts(file: FileValue, target: _Target) -> bool:
    if isinstance(file.body, PathBody):
        return not target.kept or target.folder.holds(file.body.path)
    return isinstance(file.body, HERE)


def _copy(body: PathBody, spool: Spool) -> None:
    with body.open() as source:
        while piece := source.read(COPY_BYTES):
            spool.write(piece)


async def _fill(spool: Spool, file: FileValue) -> None:
    if file.body is not None:
        await spool.fill(file.body.chunks())


def files_of(value: Any) -> tuple[FileValue, ...]:
    """The files in a plain value, in the order in which they stand in it."""
    found: list[FileValue] = []

    def note(file: FileValue) -> FileValue:
        found.append(file)
        return file

    with_files(value, note)
    return tuple(found)


def with_files(value: Any, change: Callable[[FileValue], Any]) -> Any:
    """A copy of a plain value with each file changed, in order."""
    if isinstance(value, FileValue):
        return change(value)
    if isinstance(value, dict):
        return {k: with_files(v, change) for k, v in value.items()}
    if isinstance(value, list):
        return [with_files(v, change) for v in value]
    return value


def paths_of(files: tuple[FileValue, ...]) -> frozenset[str]:
    """The paths on this machine at which files lie."""
    return frozenset(file.body.path for file in files if isinstance(file.body, PathBody))
