"""JSON Schema to Python types, so that one checker serves both."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Optional, Union
from urllib.parse import unquote

from pydantic import Field

from farcall.files import File

DEEPEST: Final = 8
MOST_PARTS: Final = 1000

_PLAIN: Final[Mapping[str, Any]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": None,
    "object": dict[str, Any],
    "array": list[Any],
}
_FORMATS: Final[Mapping[str, Any]] = {
    "binary": File,
    "date-time": Union[str, dt.datetime],  # noqa: UP007 - a value, not an annotation
    "date": Union[str, dt.date],  # noqa: UP007
    "time": Union[str, dt.time],  # noqa: UP007
    "uuid": Union[str, uuid.UUID],  # noqa: UP007
}
_LIMITS: Final[Mapping[str, str]] = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
}


def resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema a local `$ref` (`#/components/schemas/X`) points at; the schema itself if it has none.

    Keywords beside the `$ref` are kept and win. A reference that leads nowhere or round in a circle, or out of the
    document, raises `ValueError`.
    """
    seen: set[str] = set()
    beside: dict[str, Any] = {}
    while isinstance(pointer := schema.get("$ref"), str):
        if pointer in seen:
            raise ValueError(f"the reference {pointer!r} leads back to itself")
        seen.add(pointer)
        beside = {**{k: v for k, v in schema.items() if k != "$ref"}, **beside}
        if not pointer.startswith("#"):
            raise ValueError(f"the reference {pointer!r} leaves the document")
        if pointer[1:2] not in {"", "/"}:
            raise ValueError(f"the reference {pointer!r} names an anchor, and only JSON pointers are followed")
        target = _pointed(pointer, root)
        if not isinstance(target, Mapping):
            raise ValueError(f"the reference {pointer!r} leads to no schema")  # noqa: TRY004 - as documented
        schema = target
    return {**schema, **beside} if beside else schema


def _pointed(pointer: str, root: Mapping[str, Any]) -> Any:
    """What a JSON pointer in a URI fragment (RFC 6901) points at."""
    target: Any = root
    for part in unquote(pointer).lstrip("#").strip("/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list) and key.isdigit() and int(key) < len(target):
            target = target[int(key)]
        elif isinstance(target, Mapping) and key in target:
            target = target[key]
        else:
            raise ValueError(f"the reference {pointer!r} leads nowhere")
    return target


def is_file(schema: Mapping[str, Any]) -> bool:
    """Whether a schema means a file's bytes, in any of the dialects in use."""
    if schema.get("format") == "binary":
        return True
    if schema.get("contentEncoding"):  # the bytes written out as text, which is a text
        return False
    media = schema.get("contentMediaType")
    return schema.get("type") == "string" and isinstance(media, str) and media == "application/octet-stream"


def to_type(schema: Any, root: Mapping[str, Any]) -> Any:
    """The Python type (or annotated type) that accepts what a JSON Schema accepts.

    It may accept more: what it cannot say (patterns, conditionals) is left to the service. Deeper than eight levels,
    inside a recursion, or beyond a thousand parts it is `Any`.

    Args:
        schema: The schema; `True` and `{}` accept all.
        root: The document its local references point into.

    Raises:
        ValueError: It is no schema, or a reference in it leads nowhere.
    """
    return _Types(root).of(schema, 0)


class _Types:
    """Reads one schema, with a budget, since a few references that branch can stand for millions of parts."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._budget = MOST_PARTS

    def of(self, schema: Any, depth: int) -> Any:
        self._budget -= 1
        if schema is True or schema == {} or depth > DEEPEST or self._budget < 0:
            return Any
        if not isinstance(schema, Mapping):
            raise ValueError(f"{schema!r} is no schema")  # noqa: TRY004 - as documented
        schema = resolve(schema, self._root)
        if is_file(schema):
            return File
        if "const" in schema:
            return _literal([schema["const"]])
        kind = self._combined(schema, depth)
        return Optional[kind] if schema.get("nullable") is True else kind  # noqa: UP045

    def _combined(self, schema: Mapping[str, Any], depth: int) -> Any:
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return _literal(schema["enum"])
        variants = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(variants, list) and variants:
            return _union([self.of(variant, depth + 1) for variant in variants])
        parts = schema.get("allOf")
        if isinstance(parts, list) and len(parts) == 1 and "type" not in schema:
            return self.of(parts[0], depth + 1)
        names = schema.get("type")
        if isinstance(names, list):
            return _union([self.of({**schema, "type": name}, depth + 1) for name in names])
        return self._one(names, schema, depth)

    def _one(self, name: Any, schema: Mapping[str, Any], depth: int) -> Any:
        if name == "array" and "items" in schema:
            item = self.of(schema["items"], depth + 1)
            kind: Any = list[item]  # type: ignore[valid-type]  # a type made at run time
        elif name == "object" and isinstance(schema.get("additionalProperties"), Mapping):
            value = self.of(schema["additionalProperties"], depth + 1)
            kind = dict[str, value]  # type: ignore[valid-type]
        elif name == "string" and schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        else:
            kind = _PLAIN.get(name, Any) if isinstance(name, str) else Any
        return _limited(kind, schema)


def _limited(kind: Any, schema: Mapping[str, Any]) -> Any:
    if kind is None or kind is Any:
        return kind
    limits: dict[str, Any] = {
        ours: schema[theirs]
        for theirs, ours in _LIMITS.items()
        if isinstance(schema.get(theirs), int | float) and not isinstance(schema[theirs], bool)
    }
    if schema.get("exclusiveMinimum") is True and "ge" in limits:  # OpenAPI 3.0's spelling
        limits["gt"] = limits.pop("ge")
    if schema.get("exclusiveMaximum") is True and "le" in limits:
        limits["lt"] = limits.pop("le")
    sized = kind is str or getattr(kind, "__origin__", kind) in {list, dict}
    wanted = {k: v for k, v in limits.items() if k.endswith("length") == sized}
    return Annotated[kind, Field(**wanted)] if wanted and kind is not bool else kind


def _literal(values: list[Any]) -> Any:
    if all(isinstance(value, str | int | bool | None) for value in values):
        return Literal[tuple(values)]
    return Any


def _union(kinds: list[Any]) -> Any:
    if list[File] in kinds or File in kinds:  # beside a file, "a text" and "an object" are ways to write one
        kind = list[File] if list[File] in kinds else File
        return Optional[kind] if None in kinds else kind  # noqa: UP045
    if not kinds or Any in kinds:
        return Any
    return Union[tuple(kinds)]  # noqa: UP007 - made at run time
