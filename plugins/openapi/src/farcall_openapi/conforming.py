"""Values held to the document's own schema before they are sent, nested ones too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Union, get_args, get_origin

from farcall.arguments import without_numpy
from farcall.filetypes import mentions_file
from farcall.schemas import resolve
from pydantic import AfterValidator
from pydantic_core import PydanticSerializationError, to_jsonable_python

from farcall_openapi.jsonschema import standard

_TELLS_NOTHING: Final = frozenset(
    {"type", "title", "description", "default", "example", "examples", "deprecated", "nullable", "format", "xml"}
)
_LONGEST: Final = 300


def conforming(kind: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """The type, with all that its schema demands and a Python type cannot say; the type itself if that is nothing.

    Args:
        kind: What `to_type` made of the schema.
        schema: The schema.
        root: The document.
    """
    if isinstance(schema, bool) or mentions_file(kind):
        return kind
    said = resolve(schema, root)
    if not set(said) - _TELLS_NOTHING or (_is_scalar(kind) and "pattern" not in said):
        return kind
    return Annotated[kind, AfterValidator(Conforms(schema, root))]


def _is_scalar(kind: Any) -> bool:
    """Whether a type already says all: numbers, texts, choices of them."""
    if get_origin(kind) is Annotated:
        return _is_scalar(get_args(kind)[0])
    if get_origin(kind) is Union:
        return all(map(_is_scalar, get_args(kind)))
    return kind is not Any and get_origin(kind) not in {list, dict} and kind not in {list, dict}


class Conforms:
    """Refuses a value that a schema refuses; the schema is compiled when the first value comes."""

    def __init__(self, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
        self._schema, self._root = schema, root

    def __call__(self, value: Any) -> Any:
        """The value; raises `ValueError`, naming the place in it, if it does not conform."""
        validator = self._validator
        if validator is None:
            return value
        try:
            plain = to_jsonable_python(value, fallback=_plain)
        except (PydanticSerializationError, ValueError):  # what cannot be sent at all is the core's to say
            return value
        for error in validator(plain):
            place = "".join(f"[{part!r}]" for part in error.instance_path)
            words = error.message if len(error.message) <= _LONGEST else error.message[: _LONGEST - 3] + "..."
            raise ValueError(f"at {place}, {words}" if place else words)
        return value

    def __repr__(self) -> str:
        return "Conforms(…)"

    @cached_property
    def _validator(self) -> Callable[[Any], Any] | None:
        """None where the schema itself is wrong or beyond what can be checked; the service checks then."""
        import jsonschema_rs

        try:
            compiled = jsonschema_rs.Draft202012Validator(
                standard(self._schema, self._root),
                pattern_options=jsonschema_rs.RegexOptions(),  # linear time, whatever the document's patterns are
                retriever=_refuse,
            )
        except (ValueError, RecursionError):
            return None
        return compiled.iter_errors


def _plain(value: Any) -> Any:
    plain = without_numpy(value)
    if plain is value:
        raise ValueError(f"a {type(value).__name__} cannot be written as JSON")
    return plain


def _refuse(address: str) -> Any:
    raise ValueError(f"{address} is not fetched")
