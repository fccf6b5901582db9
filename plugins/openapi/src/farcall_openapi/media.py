"""Media types: how a body of each is written and read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, Final

_WELL_FORMED: Final = re.compile(r"[\w.!#$&^+*-]+/[\w.!#$&^+*-]+( *;[\x20-\x7e]*)?", re.ASCII)


class Form(IntEnum):
    """How a body is put together, the best understood one first."""

    JSON = 0
    MULTIPART = 1
    URLENCODED = 2
    RAW = 3


def bare(media_type: str) -> str:
    """Without parameters, in lower case."""
    return media_type.partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    """Whether it is JSON, also under a name of its own.

    >>> is_json("application/vnd.api+json; charset=utf-8"), is_json("text/csv")
    (True, False)
    """
    plain = bare(media_type)
    return plain in {"application/json", "text/json"} or plain.endswith("+json")


def is_one(media_type: str) -> bool:
    """Whether it names one type, not several or a range of them.

    >>> is_one("text/csv; header=present"), is_one("image/png, image/jpeg"), is_one("image/*")
    (True, False, False)
    """
    return "," not in media_type and "*" not in media_type and _WELL_FORMED.fullmatch(media_type) is not None


def form(media_type: str) -> Form:
    """How a body of this type is put together."""
    if is_json(media_type):
        return Form.JSON
    known = {"multipart/form-data": Form.MULTIPART, "application/x-www-form-urlencoded": Form.URLENCODED}
    return known.get(bare(media_type), Form.RAW)


def declared(content: Mapping[str, Any]) -> list[str]:
    """The well-formed types of a `content` object, JSON first, else in its order."""
    return sorted((m for m in content if _WELL_FORMED.fullmatch(m)), key=lambda m: not is_json(m))


def accept(types: Iterable[str]) -> str:
    """An Accept header that prefers these in order and refuses nothing.

    >>> accept(["application/json", "image/png"]), accept([])
    ('application/json, image/png;q=0.9, */*;q=0.1', 'application/json, */*;q=0.1')
    """
    wanted = [bare(each) for each in types if bare(each) != "*/*"] or ["application/json"]
    ranked = [wanted[0], *(f"{media};q=0.9" for media in wanted[1:])]
    return ", ".join([*ranked, "*/*;q=0.1"])
