"""Files inside Python types: whether one is there, and the type with text in its place."""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin

from farcall.files import File


def holds_file(kind: Any) -> bool:
    """Whether a value of this type is or holds a file.

    >>> holds_file(list[File]), holds_file(list[str])
    (True, False)
    """
    return kind is File or any(holds_file(part) for part in get_args(kind))


def as_text(kind: Any) -> Any:
    """The type with text wherever it has a file.

    >>> as_text(list[File])
    list[str]
    """
    if kind is File:
        return str
    if not holds_file(kind):
        return kind
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return Annotated[(as_text(parts[0]), *parts[1:])]
    swapped = tuple(as_text(part) for part in parts)
    if origin in {Union, types.UnionType}:
        return Union[swapped]  # noqa: UP007 - made at run time
    return origin[swapped]
