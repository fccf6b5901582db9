"""Files inside Python types: whether one is there, which kind of media it is, and folders in the place of lists."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo

from farcall import intake, media
from farcall.errors import InputError
from farcall.files import LOCAL, File
from farcall.files_async import AsyncFile


def mentions_file(kind: Any) -> bool:
    """Whether a type is a file, or a list or option of files.

    >>> mentions_file(list[File]), mentions_file(list[str])
    (True, False)
    """
    return kind is File or kind is AsyncFile or any(mentions_file(part) for part in typing.get_args(kind))


def file_type(written: Any) -> Any:
    """The type of a file parameter from what users write in `file_params`.

    Args:
        written: `File`, a media type (`ImageFile`), a list of one of them, or the name of a media type, for a file.

    Raises:
        ValueError: It is none of them.
    """
    if isinstance(written, str) and written in set(media.Kind):
        return Annotated[File, media.Taking(media.Kind(written))]
    kind = File if written == "File" else media.as_files(written)
    if isinstance(kind, str) or not mentions_file(kind):
        names = ", ".join(["File", *media.Kind])
        raise ValueError(f"{written!r} is no type of a file; it is one of {names}, or a list of one")
    return kind


def with_folders(kind: Any) -> Any:
    """A type that takes a folder where it takes a list of files."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is list and mentions_file(kind):
        return Annotated[kind, BeforeValidator(_opened)]
    if origin is Annotated:
        return Annotated[(with_folders(parts[0]), *parts[1:])]
    if origin in {typing.Union, types.UnionType} and mentions_file(kind):
        return typing.Union[tuple(with_folders(part) for part in parts)]  # noqa: UP007 - made at run time
    return kind


def _opened(value: Any, info: ValidationInfo) -> Any:
    """The files of a folder, where a folder was given; a text from elsewhere is never one."""
    if not isinstance(value, str | os.PathLike) or info.context != LOCAL:
        return value
    if not Path(value).is_dir():
        raise InputError(f"{str(value)!r} is no folder; give a folder, or a list of files")
    return [File(file) for file in intake.folder(value)]


def with_file_params(parameters: Mapping[str, Any], file_params: Mapping[str, Any]) -> dict[str, Any]:
    """The types of an endpoint's parameters, with those that were said to be files.

    Args:
        parameters: Name to `Parameter`.
        file_params: Name to what users write.
    """
    from farcall.spec import Parameter  # which needs this module

    made = dict(parameters)
    for name, written in file_params.items():
        old = made.get(name)
        kind = file_type(written)
        made[name] = Parameter(kind) if old is None else old.typed(kind)
    return made
