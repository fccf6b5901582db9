"""Python types with text in the place of files."""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin

from farcall.files import File
from farcall.filetypes import mentions_file


def as_text(kind: Any) -> Any:
    """The type with text wherever it has a file.

    >>> as_text(list[File])
    list[str]
    """
    if kind is File:
        return str
    if not mentions_file(kind):
        return kind
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return Annotated[(as_text(parts[0]), *parts[1:])]
    swapped = tuple(as_text(part) for part in parts)
    if origin in {Union, types.UnionType}:
        return Union[swapped]  # noqa: UP007 - made at run time
    return origin[swapped]
