"""Bytes of a document as JSON values: JSON, or YAML of which only what JSON can say is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from farcall.errors import UsageError
from pydantic_core import from_json

LARGEST_YAML_BYTES: Final = 16 * 1024 * 1024
MOST_NODES: Final = 1_000_000
"""How many values a YAML document may have, also once its aliases are written out."""
DEEPEST: Final = 200


class UnreadableError(ValueError):
    """The bytes are neither JSON nor YAML that is read here; the sentence says why."""


def parse(content: bytes) -> Any:
    """JSON values.

    Raises:
        UnreadableError: It is neither JSON nor YAML, or more than is read.
    """
    try:
        return from_json(content)
    except ValueError as error:
        fault = f"it is no JSON: {error}" if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["} else ""
    if fault and len(content) > LARGEST_YAML_BYTES:
        raise UnreadableError(fault)
    return _yaml(content, fault)


def _yaml(content: bytes, fault: str) -> Any:
    """The values of YAML; where it cannot be read either, the fault that JSON found in what looks like JSON is told."""
    import yaml

    if len(content) > LARGEST_YAML_BYTES:
        raise UnreadableError(f"it has {len(content):,} bytes; YAML is read up to {LARGEST_YAML_BYTES:,}")
    loader = _loader()(content)
    try:
        _flat(content)
        node = loader.get_single_node()
        if node is None:
            raise UnreadableError("it is empty")
        _measure(node)
        return _Builder().value(node)
    except yaml.YAMLError as error:
        raise UnreadableError(fault or f"it is neither JSON nor YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()


_TAG: Final = "tag:yaml.org,2002:"
# YAML 1.2.2 (2021-10-01), "Core Schema": what stands without quotes and is no text. Dates, `no` and `1:30` are text.
_PLAIN: Final = (
    ("null", r"(?:~|null|Null|NULL|)\Z", ("~", "n", "N", "")),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    ("int", r"(?:[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400})\Z", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", "-+.0123456789"),
    ("merge", r"(?:<<)\Z", "<"),
)


@cache
def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]  # the C loader where PyYAML was built with it
        yaml_implicit_resolvers: dict[str | None, list[Any]] = {}  # noqa: RUF012 - PyYAML's own way to say it

    for tag, pattern, first in _PLAIN:
        Loader.add_implicit_resolver(_TAG + tag, re.compile(pattern), list(first))
    return Loader


class _Builder:
    """Makes JSON values of YAML's nodes; what an alias names again is the same value again."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def value(self, node: Any) -> Any:
        if id(node) not in self._made:
            self._made[id(node)] = self._of(node)
        return self._made[id(node)]

    def _of(self, node: Any) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if (node.id, kind) not in _KINDS:
            raise UnreadableError(f"it has a value of the type {node.tag!r}, which JSON does not know")
        if node.id == "mapping":
            return self._object(node)
        if node.id == "sequence":
            return [self.value(part) for part in node.value]
        return _scalar(kind, node.value)

    def _object(self, node: Any) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            if key.id != "scalar":
                raise UnreadableError("it has a name that is no text")
            if key.tag == _TAG + "merge":
                merged = {**self._merged(value), **merged}
            else:
                own[key.value] = self.value(value)
        return {**merged, **own}

    def _merged(self, node: Any) -> dict[str, Any]:
        parts = node.value if node.id == "sequence" else [node]
        values = [self.value(part) for part in parts]
        if not all(isinstance(value, dict) for value in values):
            raise UnreadableError("a << in it names something that is no object")
        return {name: value for each in reversed(values) for name, value in each.items()}


_KINDS: Final = frozenset(
    {("mapping", "map"), ("sequence", "seq"), *(("scalar", kind) for kind in ("str", "null", "bool", "int", "float"))}
)


def _scalar(kind: str, text: str) -> Any:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "str":
        return text
    try:
        return _whole(text) if kind == "int" else float(text)
    except ValueError as error:
        raise UnreadableError(f"it has {text[:80]!r} where a number stands") from error


def _whole(text: str) -> int:
    for prefix, base in (("0o", 8), ("0x", 16)):
        if text.startswith(prefix):
            return int(text[2:], base)
    return int(text)


def _flat(content: bytes) -> None:
    """Refuse what is nested too deep before a tree is made of it: libyaml up to 0.2.5 makes one by recursion in C.

    What has too many values is refused here, too, since a tree of them takes 400 bytes and 5 µs for each.
    """
    import yaml

    depth = 0
    for number, event in enumerate(yaml.parse(content, Loader=_loader())):
        if number > 2 * MOST_NODES:  # at most a start and an end for each
            raise UnreadableError(f"it has more than {MOST_NODES:,} values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise UnreadableError(f"it is nested more than {DEEPEST} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _measure(root: Any) -> None:
    """Refuse a tree whose aliases make it huge, endless or too deep, before any of it is built."""
    sizes: dict[int, int] = {}
    path: set[int] = set()
    stack: list[tuple[Any, Iterator[Any]]] = [(root, _parts(root))]
    path.add(id(root))
    while stack:
        node, parts = stack[-1]
        part = next((p for p in parts if id(p) not in sizes), None)
        if part is None:
            stack.pop()
            path.discard(id(node))
            sizes[id(node)] = size = 1 + sum(sizes[id(p)] for p in _parts(node))
            if size > MOST_NODES:
                raise UnreadableError(f"it has more than {MOST_NODES:,} values once its aliases are written out")
            continue
        if id(part) in path:
            raise UnreadableError("an alias in it leads back into itself")
        if len(stack) >= DEEPEST:
            raise UnreadableError(f"it is nested more than {DEEPEST} deep")
        path.add(id(part))
        stack.append((part, _parts(part)))


def _parts(node: Any) -> Iterator[Any]:
    if node.id == "mapping":
        for key, value in node.value:
            yield key
            yield value
    elif node.id == "sequence":
        yield from node.value


def document_of(content: Any) -> Any:
    """A document that may still be text, as JSON values.

    Raises:
        UsageError: It cannot be read.
    """
    if not isinstance(content, str | bytes):
        return content
    try:
        return parse(content.encode() if isinstance(content, str) else content)
    except UnreadableError as error:
        raise UsageError(f"The OpenAPI document cannot be read: {error}.") from error
