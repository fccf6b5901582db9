"""Values written into path, query, headers and cookies, by OpenAPI's `style` and `explode`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any, Final
from urllib.parse import quote

from farcall.errors import InputError
from farcall.spec import Place

# OpenAPI 3.1.1 (2024-10-24), "Style Values": the styles of each place, its default first.
STYLES: Final[Mapping[Place, tuple[str, ...]]] = {
    Place.PATH: ("simple", "label", "matrix"),
    Place.QUERY: ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    Place.HEADER: ("simple",),
    Place.COOKIE: ("form",),
}
_DELIMITERS: Final = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}
_RESERVED: Final = "/:?@!$'()*,;"  # those that a query may hold as they are and that mean nothing there
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a parameter is written.

    Args:
        name: `simple form label matrix spaceDelimited pipeDelimited deepObject`, or `json` for JSON text.
        explode: Whether each item of an array or object stands by itself.
        reserved: Whether characters such as `/` stay as they are, in a query.
        media_type: What a part of a multipart body says it is; empty: as is usual.
    """

    name: str
    explode: bool
    reserved: bool = False
    media_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One parameter's place on the wire.

    Args:
        name: The argument's name in Python.
        wire: Its name on the wire.
        style: How its value is written.
    """

    name: str
    wire: str
    style: Style


def usual(place: Place) -> Style:
    """The style of a place where the document names none."""
    name = STYLES.get(place, ("form",))[0]
    return Style(name=name, explode=name == "form")


def plain(value: Any) -> str:
    """A JSON value as text: a scalar as people write it, an array or object as JSON.

    >>> plain(True), plain(1.5), plain("a"), plain({"a": None})
    ('true', '1.5', 'a', '{"a":null}')
    """
    if isinstance(value, str):
        return value
    return "" if value is None else json_text(value)


def json_text(value: Any) -> str:
    """A value as JSON in ASCII, so that it may stand anywhere. NaN raises `InputError`."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise InputError(f"A value cannot be written as JSON: {error}.") from error


def path_text(slot: Slot, value: Any) -> str:
    """A value in a path; one that would make the path another one raises `InputError`."""
    style = slot.style
    items = _items(value, style, _quoted)
    if not any(items) or (style.name == "simple" and ",".join(items) in {".", ".."}):
        raise InputError(f"{slot.name}={value!r} cannot stand in a path.")
    if style.name == "label":
        return "." + ("." if style.explode else ",").join(items)
    if style.name == "matrix":
        return _matrix(slot, value, items)
    return ",".join(items)


def _matrix(slot: Slot, value: Any, items: list[str]) -> str:
    if slot.style.explode and isinstance(value, Mapping):
        return "".join(f";{item}" for item in items)
    if slot.style.explode and isinstance(value, list):
        return "".join(f";{slot.wire}={item}" for item in items)
    return f";{slot.wire}={','.join(items)}"


def query_pairs(slot: Slot, value: Any) -> list[str]:
    """A value as encoded `name=value` pairs; none for None, an empty array or an empty object."""
    style, name = slot.style, _quoted(slot.wire)
    encode = _unreserved if style.reserved else _quoted
    if style.name == "deepObject":
        return [f"{_quoted(key)}={encode(text)}" for key, text in deep_pairs(slot.wire, value)]
    items = _items(value, style, encode)
    if style.explode and isinstance(value, Mapping) and style.name != "json":
        return items
    if style.explode and isinstance(value, list) and style.name != "json":
        return [f"{name}={item}" for item in items]
    return [f"{name}={_DELIMITERS.get(style.name, ',').join(items)}"] if items else []


def deep_pairs(name: str, value: Any) -> list[tuple[str, str]]:
    """A value as `name[key]=value` pairs, not encoded; arrays repeat their name.

    >>> deep_pairs("f", {"a": 1, "b": {"c": [2, 3]}})
    [('f[a]', '1'), ('f[b][c]', '2'), ('f[b][c]', '3')]
    """
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in deep_pairs(f"{name}[{key}]", item)]
    if isinstance(value, list):
        return [pair for item in value for pair in deep_pairs(name, item)]
    return [] if value is None else [(name, plain(value))]


def header_text(slot: Slot, value: Any) -> str:
    """A value in a header; one with a line break or another control character raises `InputError`."""
    text = ",".join(_items(value, slot.style, str))
    if _CONTROL.search(text):
        raise InputError(f"{slot.name} goes into a header, which holds no line breaks or control characters.")
    return text


def cookie_pairs(slot: Slot, value: Any) -> list[str]:
    """A value as `name=value` cookies, quoted where a cookie needs it."""
    items = _items(value, slot.style, str)
    if slot.style.explode and isinstance(value, Mapping):
        return [f"{key}={_cookie(plain(item))}" for key, item in value.items() if item is not None]
    if slot.style.explode and isinstance(value, list):
        return [f"{slot.wire}={_cookie(item)}" for item in items]
    return [f"{slot.wire}={_cookie(','.join(items))}"] if items else []


def _items(value: Any, style: Style, encode: Callable[[str], str]) -> list[str]:
    """The encoded pieces of a value, as RFC 6570 lists them; what is None is left out."""
    if style.name == "json":
        return [encode(json_text(value))]
    if isinstance(value, Mapping):
        pairs = [(encode(str(k)), encode(plain(v))) for k, v in value.items() if v is not None]
        return [f"{k}={v}" for k, v in pairs] if style.explode else [part for pair in pairs for part in pair]
    if isinstance(value, list):
        return [encode(plain(item)) for item in value if item is not None]
    return [] if value is None else [encode(plain(value))]


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _unreserved(text: str) -> str:
    return quote(text, safe=_RESERVED)


def _cookie(text: str) -> str:
    return SimpleCookie().value_encode(text)[1]
