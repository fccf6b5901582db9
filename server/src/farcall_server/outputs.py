"""What a function returned, as JSON values with a `FileValue` where a file stands."""

from __future__ import annotations

import dataclasses
import math
import shutil
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from types import NoneType
from typing import Any, Final

from farcall import media
from farcall.files import File
from farcall.files_async import HERE, AsyncFile
from farcall.wire import BytesBody, FileValue, PathBody
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from farcall_server.uploads import IN_MEMORY_BYTES, Folder

DEEPEST: Final = 100
"""Levels of lists and dictionaries inside each other."""

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


def plain(value: Any, folder: Folder) -> Any:
    """A value as JSON values, with a `FileValue` where a file stands.

    NaN and infinities, which JSON cannot say, become None. Numbers and arrays of NumPy, pydantic models and
    dataclasses are taken apart; bytes become a file. Blocks while a file that can be read only once is read.

    Args:
        value: What a function returned.
        folder: Where a large file that can be read only once is kept.

    Raises:
        UnserialisableError: There is something in it that cannot be sent.
    """
    return _plain(value, folder, DEEPEST)


def _plain(value: Any, folder: Folder, deep: int) -> Any:
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
        return _mapping(value, folder, deep - 1)
    if isinstance(value, _SEQUENCES):
        return _sequence(value, folder, deep - 1)
    return _object(value, folder, deep)


def _mapping(value: Mapping[Any, Any], folder: Folder, deep: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, inner in value.items():
        try:
            made[_key(key)] = _plain(inner, folder, deep)
        except UnserialisableError as error:
            raise error.inside(f"[{key!r}]") from error.__cause__
    return made


def _sequence(value: Any, folder: Folder, deep: int) -> list[Any]:
    made: list[Any] = []
    for inner in value:
        try:
            made.append(_plain(inner, folder, deep))
        except UnserialisableError as error:
            raise error.inside(f"[{len(made)}]") from error.__cause__
    return made


def _object(value: Any, folder: Folder, deep: int) -> Any:
    if (file := _file(value)) is not None:
        return _readable(file, folder)
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(), folder, deep - 1)
    if isinstance(value, Enum):
        return _plain(value.value, folder, deep)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapping({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, folder, deep - 1)
    numpy = sys.modules.get("numpy")  # a value of NumPy's means that it is imported
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return _array(value, folder, deep)
    try:
        return _plain(to_jsonable_python(value, inf_nan_mode="constants"), folder, deep - 1)
    except (PydanticSerializationError, ValueError) as error:
        raise UnserialisableError(f"is a {type(value).__name__}, which JSON cannot say") from error


def _array(value: Any, folder: Folder, deep: int) -> Any:
    made = value.tolist()
    if type(made) is type(value):  # a long double stays what it is
        made = float(made)
    return _plain(made, folder, deep - 1)


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


def _file(value: Any) -> FileValue | None:
    if isinstance(value, FileValue):
        return value
    if isinstance(value, File | AsyncFile):
        return value.value
    if isinstance(value, bytes | bytearray | memoryview):
        return File.from_bytes(bytes(value)).value
    return media.returned(value)


def _readable(file: FileValue, folder: Folder) -> FileValue:
    """The file so that it can be read many times and later: one whose bytes are elsewhere is read now."""
    if file.body is None or isinstance(file.body, HERE):
        return file
    with File(file).open() as source:
        start = source.read(IN_MEMORY_BYTES + 1)
        if len(start) <= IN_MEMORY_BYTES:
            return dataclasses.replace(file, body=BytesBody(start), size=len(start))
        with folder.new() as target:
            target.write(start)
            shutil.copyfileobj(source, target, 1 << 18)
            size = target.tell()
        return dataclasses.replace(file, body=PathBody(target.name, size), size=size)


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
