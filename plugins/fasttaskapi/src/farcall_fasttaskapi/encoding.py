"""How a call's arguments are written into a request: path, query, headers, and JSON, form or multipart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from farcall import bodies
from farcall.errors import InputError
from farcall.hookspecs import Call
from farcall.spec import Parameter, Place
from farcall.wire import Body, FileValue
from pydantic_core import to_json

from farcall_fasttaskapi.dialects import Dialect

Fields = list[tuple[str, str | FileValue]]

_UNDECLARED: Final = Parameter(Any)
_FORMS: Final = frozenset({Place.FORM, Place.FILE})
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE"})


@dataclass(frozen=True, slots=True)
class Placed:
    """A call's arguments under their names on the wire, sorted by where they travel."""

    path: dict[str, Any] = field(default_factory=dict)
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    places: set[Place | None] = field(default_factory=set)
    """Where the body's arguments were declared to go."""


def placed(call: Call) -> Placed:
    """The arguments, sorted.

    Raises:
        InputError: A header or cookie cannot hold its value.
    """
    sorted_ = Placed()
    endpoint = call.endpoint
    for name, value in call.arguments.items():
        parameter = endpoint.parameters.get(name, _UNDECLARED)
        wire_name = parameter.alias or name
        place = parameter.place
        if place is Place.PATH or (place is None and f"{{{wire_name}}}" in endpoint.path):
            sorted_.path[wire_name] = _scalar(value, name)
        elif place is Place.QUERY:
            sorted_.query.extend((wire_name, _scalar(item, name)) for item in _items(value))
        elif place is Place.HEADER:
            sorted_.headers.update((wire_name, _line(item, name)) for item in _items(value))
        elif place is Place.COOKIE:
            sorted_.cookies.extend(f"{wire_name}={quote(_scalar(i, name))}" for i in _items(value))
        else:
            sorted_.body[wire_name] = value
            sorted_.places.add(place)
    return sorted_


def body(call: Call, sorted_: Placed, dialect: Dialect) -> tuple[Mapping[str, str], bytes | Body]:
    """Headers and content of the body; empty where the endpoint takes none.

    Raises:
        InputError: This host cannot take such a value.
    """
    endpoint, values = call.endpoint, sorted_.body
    wants_json = dialect is Dialect.FARCALL and endpoint.method not in _BODILESS
    if not values and not wants_json:
        return {}, b""
    if Place.JSON in sorted_.places or (wants_json and not _needs_form(sorted_)):
        return bodies.json_body(values[root] if (root := endpoint.traits.get("root")) in values else values)
    fields = form_fields(call, values, dialect)
    texts = [(name, text) for name, text in fields if isinstance(text, str)]
    return bodies.form_body(texts) if len(texts) == len(fields) else bodies.multipart_body(fields, call.token)


def _needs_form(sorted_: Placed) -> bool:
    return not sorted_.places.isdisjoint(_FORMS) or any(map(holds_file, sorted_.body.values()))


def holds_file(value: Any) -> bool:
    """Whether a file stands here, or in this list."""
    return isinstance(value, FileValue) or (
        isinstance(value, list) and any(isinstance(item, FileValue) for item in value)
    )


def form_fields(call: Call, values: Mapping[str, Any], dialect: Dialect) -> Fields:
    """The fields of a form, in order; a list of a dialect that has no JSON in forms is a repeated name.

    Raises:
        InputError: This host cannot take such a value.
    """
    fields: Fields = []
    for name, value in values.items():
        if value is None:
            fields += _nothing(call, name, dialect)
        elif isinstance(value, FileValue | str):
            fields.append((name, value))
        elif isinstance(value, list):
            fields += _list(name, value, dialect)
        else:
            fields.append((name, _form_text(name, value, dialect)))
    return fields


def _nothing(call: Call, name: str, dialect: Dialect) -> Fields:
    """None in a form.

    The older servers give None to an optional parameter that is left out, whatever its own default, and read
    an empty text as an element of a list (apipod 1.0.33, run 2026-11-24); ours reads an empty text as None.
    """
    left_out = dialect in _OLDER or call.endpoint.parameters.get(name, _UNDECLARED).default is None
    return [] if left_out else [(name, "")]


def _list(name: str, items: list[Any], dialect: Dialect) -> Fields:
    if dialect is Dialect.FARCALL and not holds_file(items):
        return [(name, _json_text(items))]
    return [(name, i if isinstance(i, FileValue) else _form_text(name, i, dialect)) for i in items]


_OLDER: Final = frozenset({Dialect.APIPOD, Dialect.FASTTASKAPI})


def _form_text(name: str, value: Any, dialect: Dialect) -> str:
    if isinstance(value, Mapping | list) and dialect in _OLDER:
        what = "a dict" if isinstance(value, Mapping) else "a list of lists"
        raise InputError(
            f"{name} holds {what}, and {_NAMES[dialect]} servers take forms, which cannot say that; "
            "let the endpoint take its parts as parameters, or JSON as text."
        )
    if isinstance(value, str):
        return value
    return _json_text(value)


_NAMES: Final[Mapping[Dialect, str]] = {Dialect.APIPOD: "APIPod", Dialect.FASTTASKAPI: "FastTaskAPI"}


def _json_text(value: Any) -> str:
    return bodies.json_body(value)[1].decode()


def _items(value: Any) -> Iterator[Any]:
    """The values of a repeated name; none for None."""
    if value is not None:
        yield from value if isinstance(value, list) else [value]


def _scalar(value: Any, name: str) -> str:
    if isinstance(value, FileValue):
        raise InputError(f"{name} is a file and is declared outside the body; declare it with place='file'.")
    return value if isinstance(value, str) else to_json(value).decode()


def _line(value: Any, name: str) -> str:
    text = _scalar(value, name)
    if not text.isprintable():
        raise InputError(f"{name} goes into a header, which cannot hold {text[:40]!r}.")
    return text
