"""JSON Schema becomes Python types that accept at least what the schema accepts."""

from typing import Any, Literal

import pytest
from farcall.files import File
from farcall.schemas import is_file, resolve, to_type
from pydantic import TypeAdapter, ValidationError


def accepts(schema, value, root=None):
    try:
        TypeAdapter(to_type(schema, root or {})).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 1, "x"),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 3, 4),
        ({"type": "number", "exclusiveMinimum": 0}, 0.1, 0),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, 0.1, 0),
        ({"type": "string", "minLength": 2}, "ab", "a"),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, [1, 2], [1, 2, 3]),
        ({"type": ["integer", "null"], "minimum": 1}, None, 0),
        ({"type": "integer", "nullable": True}, None, "x"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, None, "x"),
        ({"enum": ["a", "b"]}, "a", "c"),
        ({"enum": ["a", None]}, None, "c"),
        ({"const": 3}, 3, 4),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": "x"}),
        ({"type": "boolean"}, True, "perhaps"),
    ],
)
def test_what_the_schema_accepts_is_told_from_what_it_does_not(schema, good, bad):
    assert accepts(schema, good)
    assert not accepts(schema, bad)


def test_files_are_known_in_every_dialect():
    assert to_type({"type": "string", "format": "binary"}, {}) is File
    assert to_type({"type": "string", "contentMediaType": "application/octet-stream"}, {}) is File
    assert to_type({"anyOf": [{"type": "string", "format": "binary"}, {"type": "string"}]}, {}) is File
    assert to_type({"type": "array", "items": {"type": "string", "format": "binary"}}, {}) == list[File]
    assert not is_file({"type": "string", "contentMediaType": "application/octet-stream", "contentEncoding": "base64"})


def test_references_are_followed_inside_the_document_only():
    root = {"a b": {"x/y": [{"enum": ["v"]}]}, "loop": {"$ref": "#/loop"}}
    assert to_type({"$ref": "#/a%20b/x~1y/0"}, root) == Literal["v"]
    assert resolve({"$ref": "#/a%20b/x~1y/0", "description": "d"}, root) == {"enum": ["v"], "description": "d"}
    for pointer in ("#/nothing", "#/loop", "https://h/x", "file:///etc/passwd"):
        with pytest.raises(ValueError, match="reference"):
            to_type({"$ref": pointer}, root)
    with pytest.raises(ValueError, match="no schema"):
        to_type(7, {})


def test_an_anchor_is_called_one():
    with pytest.raises(ValueError, match="names an anchor"):
        resolve({"$ref": "#Pet"}, {"components": {"schemas": {"Pet": {"$anchor": "Pet"}}}})


def test_a_recursive_or_branching_schema_ends():
    tree = {"type": "object", "additionalProperties": {"$ref": "#/t"}}
    assert accepts({"$ref": "#/t"}, {"a": {"b": {}}}, {"t": tree})
    wide = {"anyOf": [{"type": "array", "items": {"$ref": "#/w"}} for _ in range(10)]}
    to_type(wide, {"w": wide})  # ten to the eighth parts, were each read


def test_what_cannot_be_said_is_anything():
    assert to_type({}, {}) is Any
    assert to_type(True, {}) is Any
    assert to_type({"type": "nonsense"}, {}) is Any
