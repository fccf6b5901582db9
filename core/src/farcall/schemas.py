"""JSON Schema to Python types, so that one checker serves both."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Optional, Union

from pydantic import Field

from farcall.files import File

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
        target: Any = root
        for part in pointer.lstrip("#").strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or key not in target:
                raise ValueError(f"the reference {pointer!r} leads nowhere")
            target = target[key]
        if not isinstance(target, Mapping):
            raise ValueError(f"the reference {pointer!r} leads to no schema")  # noqa: TRY004 - as documented
        schema = target
    return {**schema, **beside} if beside else schema


def is_file(schema: Mapping[str, Any]) -> bool:
    """Whether a schema means a file's bytes, in any of the dialects in use."""
    if schema.get("format") == "binary":
        return True
    media = schema.get("contentMediaType")
    return schema.get("type") == "string" and isinstance(media, str) and media == "application/octet-stream"


def to_type(schema: Mapping[str, Any] | bool, root: Mapping[str, Any], depth: int = 0) -> Any:  # noqa: FBT001 - JSON Schema's own true
    """The Python type (or annotated type) that accepts what a JSON Schema accepts.

    It may accept more: what it cannot say (patterns, conditionals) is left to the service. Deeper than eight levels,
    or inside a recursion, it is `Any`.

    Args:
        schema: The schema; `True` and `{}` accept all.
        root: The document its local references point into.
        depth: Levels above this one.
    """
    if isinstance(schema, bool) or not schema or depth > 8:
        return Any
    schema = resolve(schema, root)
    if is_file(schema):
        return File
    if "const" in schema:
        return _literal([schema["const"]])
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        kind = _literal(schema["enum"])
        return Optional[kind] if schema.get("nullable") else kind  # noqa: UP045
    variants = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(variants, list) and variants:
        return _union([to_type(v, root, depth + 1) for v in variants if isinstance(v, Mapping | bool)])
    if isinstance(schema.get("allOf"), list) and len(schema["allOf"]) == 1 and "type" not in schema:
        return to_type(schema["allOf"][0], root, depth + 1)
    names = schema.get("type")
    if isinstance(names, list):
        return _union([to_type({**schema, "type": name}, root, depth + 1) for name in names])
    kind = _one(names, schema, root, depth)
    return Optional[kind] if schema.get("nullable") is True else kind  # noqa: UP045


def _one(name: Any, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    if name == "array" and isinstance(schema.get("items"), Mapping | bool):
        item = to_type(schema["items"], root, depth + 1)
        kind: Any = list[item]  # type: ignore[valid-type]  # a type made at run time
    elif name == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        value = to_type(schema["additionalProperties"], root, depth + 1)
        kind = dict[str, value]  # type: ignore[valid-type]
    elif name == "string" and schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    else:
        kind = _PLAIN.get(name, Any) if isinstance(name, str) else Any
    return _limited(kind, schema)


def _limited(kind: Any, schema: Mapping[str, Any]) -> Any:
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
    return Annotated[kind, Field(**wanted)] if wanted and kind in _LIMITABLE | {kind} else kind


_LIMITABLE: Final = frozenset({int, float, str})


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
