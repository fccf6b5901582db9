"""The shapes a document must have where it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class MalformedError(ValueError):
    """The document is not what OpenAPI says; the sentence tells where."""


def members(value: Any, what: str) -> Mapping[str, Any]:
    """A JSON object whose names are text."""
    if not isinstance(value, Mapping):
        raise MalformedError(f"{what} is no object")
    if not all(isinstance(name, str) for name in value):
        raise MalformedError(f"{what} has a name that is no text")
    return value


def schema_of(value: Any, what: str) -> Mapping[str, Any] | bool:
    """A JSON Schema."""
    return value if isinstance(value, bool) else members(value, what)


def each(value: Any, what: str) -> Sequence[Any]:
    """A JSON array."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise MalformedError(f"{what} is no array")
    return value


def text(value: Any) -> str:
    """A text, stripped; empty where the document has something else, or nothing."""
    return value.strip() if isinstance(value, str) else ""


def version(document: Any) -> str:
    """Which OpenAPI or Swagger a document says it is, `3.1.0`; empty: it is none.

    YAML without quotes makes a number of `2.0`.
    """
    said = document.get("openapi", document.get("swagger")) if isinstance(document, Mapping) else None
    return str(said) if isinstance(said, str | float) else ""
