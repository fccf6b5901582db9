"""A document's schema as plain JSON Schema 2020-12, self-contained, as it holds for requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from farcall.schemas import is_file, resolve

MOST_SCHEMAS: Final = 20_000

_VALUES: Final = (
    "const", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minContains", "maxContains", "minProperties",
    "maxProperties", "dependentRequired",
)  # fmt: skip
_ONE: Final = (
    "additionalProperties", "items", "contains", "propertyNames", "not", "if", "then", "else",
    "unevaluatedProperties", "unevaluatedItems",
)  # fmt: skip
_NAMED: Final = ("properties", "patternProperties", "dependentSchemas")
_LISTED: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_TYPES: Final = frozenset({"string", "integer", "number", "boolean", "null", "object", "array"})


def standard(schema: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """The schema, with what it refers to in `$defs`.

    OpenAPI 3.0's spellings are translated; `readOnly` properties are not demanded; a `discriminator` chooses among
    its variants; what is no schema accepts all.

    Raises:
        ValueError: It refers to more than 20,000 schemas, or to nothing.
    """
    return _Standard(root).whole(schema)


class _Standard:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._names: dict[str, str] = {}
        self._waiting: list[str] = []
        self._budget = MOST_SCHEMAS

    def whole(self, schema: Any) -> dict[str, Any]:
        made = self._of(schema)
        definitions: dict[str, Any] = {}
        while self._waiting:
            pointer = self._waiting.pop()
            definitions[self._names[pointer]] = self._of(resolve({"$ref": pointer}, self._root))
        plain = made if isinstance(made, dict) else {} if made else {"not": {}}
        return {**plain, "$defs": definitions}

    def _of(self, schema: Any) -> Any:
        self._budget -= 1
        if self._budget < 0:
            raise ValueError(f"it refers to more than {MOST_SCHEMAS:,} schemas")
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping) or is_file(schema):
            return {}
        made = self._members(schema)
        if isinstance(pointer := schema.get("$ref"), str):
            made["$ref"] = self._pointed(pointer)
        _say_limits(made)
        if (chosen := self._chosen(schema)) is not None:
            made.pop("oneOf", None)
            made.pop("anyOf", None)
            made = {"allOf": [made, chosen]}
        return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") is True else made

    def _members(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {name: schema[name] for name in _VALUES if name in schema}
        made.update({name: self._of(schema[name]) for name in _ONE if name in schema})
        for name in _NAMED:
            if isinstance(schema.get(name), Mapping):
                made[name] = {key: self._of(value) for key, value in schema[name].items()}
        for name in _LISTED:
            if isinstance(schema.get(name), list) and schema[name]:
                made[name] = [self._of(value) for value in schema[name]]
        if (kinds := _types(schema.get("type"))) is not None:
            made["type"] = kinds
        if isinstance(schema.get("required"), list):
            made["required"] = self._required(schema)
        return made

    def _required(self, schema: Mapping[str, Any]) -> list[str]:
        properties = schema.get("properties")
        known = properties if isinstance(properties, Mapping) else {}
        names = dict.fromkeys(name for name in schema["required"] if isinstance(name, str))
        return [name for name in names if not self._read_only(known.get(name))]

    def _read_only(self, schema: Any) -> bool:
        return isinstance(schema, Mapping) and resolve(schema, self._root).get("readOnly") is True

    def _pointed(self, pointer: str) -> str:
        if pointer not in self._names:
            self._names[pointer] = str(len(self._names))
            self._waiting.append(pointer)
        return f"#/$defs/{self._names[pointer]}"

    def _chosen(self, schema: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a `discriminator` says: the variant that a property names, and no other."""
        said, variants = schema.get("discriminator"), schema.get("oneOf") or schema.get("anyOf")
        name = said.get("propertyName") if isinstance(said, Mapping) else None
        if not isinstance(name, str) or not isinstance(variants, list):
            return None
        pointers = [v.get("$ref") if isinstance(v, Mapping) else None for v in variants]
        if not all(isinstance(pointer, str) and pointer.startswith("#") for pointer in pointers):
            return None
        table = _mapping(said, pointers)
        choices = [
            {
                "if": {"properties": {name: {"const": word}}, "required": [name]},
                "then": {"$ref": self._pointed(pointer)},
            }
            for word, pointer in table.items()
        ]
        return {"required": [name], "properties": {name: {"enum": list(table)}}, "allOf": choices}


def _mapping(said: Any, pointers: list[Any]) -> dict[str, str]:
    """Each word with its variant; a variant that no word is given for has its schema's name."""
    raw = said.get("mapping")
    given = raw if isinstance(raw, Mapping) else {}
    table = {
        str(word): place if "#" in place else f"#/components/schemas/{place}"
        for word, place in given.items()
        if isinstance(place, str)
    }
    rest = {pointer.rpartition("/")[2]: pointer for pointer in pointers if pointer not in table.values()}
    return {**rest, **{word: place for word, place in table.items() if place in pointers}}


def _types(said: Any) -> Any:
    if isinstance(said, list):
        kinds = [kind for kind in said if isinstance(kind, str) and kind in _TYPES]
        return kinds if len(kinds) == len(said) and kinds else None
    return said if isinstance(said, str) and said in _TYPES else None


def _say_limits(made: dict[str, Any]) -> None:
    """OpenAPI 3.0's `exclusiveMinimum: true` beside a `minimum`, in today's spelling."""
    for ours, theirs in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(ours), bool):
            exclusive = made.pop(ours)
            if exclusive and theirs in made:
                made[ours] = made.pop(theirs)
