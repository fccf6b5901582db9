"""Swagger 2.0 documents as OpenAPI 3.0 ones, by the library spec2openapi, the extra `farcall-openapi[swagger]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from farcall.errors import UsageError
from farcall.schemas import resolve
from farcall.spec import Problem

from farcall_openapi.bundle import PLACE
from farcall_openapi.shape import version

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_PARAMETERS: Final = ("paths", "parameters", PLACE)
"""Where parameters stand."""
_USUAL: Final = "csv"
_STYLES: Final = {"csv": "form", "ssv": "spaceDelimited", "pipes": "pipeDelimited"}
_KEPT: Final = re.compile(r"collectionFormat '(csv|ssv|pipes|multi)' on formData|inlined at use sites")
"""What the library says it lost, and which is there all the same: `_write_lists`, and in the operations."""
Convert = Callable[[Mapping[str, Any]], dict[str, Any]]


def is_swagger(root: Mapping[str, Any]) -> bool:
    """Whether a document is of the time before OpenAPI 3."""
    return "openapi" not in root and version(root) != ""


def converted(root: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Problem]]:
    """The document as OpenAPI 3.0, and what of it could not be said there.

    Args:
        root: A Swagger 2.0 document whose references are local; it is not changed.

    Raises:
        UsageError: The library is not installed, or the document as a whole is beyond it.
    """
    convert = _library()
    document, problems = root, list[Problem]()
    try:
        made = convert(document)
    except Exception:  # noqa: BLE001 - a stranger's code on a stranger's document
        document, problems = _sound(document, convert)
        made = _whole(document, convert)
    lost = [line for line in made.pop("x-s2o", {}).get("lossy", ()) if not _KEPT.search(line)]
    return made, [*problems, *map(_problem, lost), *_mended(document, made)]


def _library() -> Convert:
    try:
        from spec2openapi import convert_swagger
    except ImportError as error:
        raise UsageError(
            "This is a Swagger 2.0 document, which is converted where spec2openapi is installed: "
            'pip install "./plugins/openapi[swagger]". Or convert it yourself (npx swagger2openapi openapi.json) '
            "and hand the result over as spec=."
        ) from error
    return lambda document: convert_swagger(
        {name: _with_lists(value) if name in _PARAMETERS else value for name, value in document.items()}
    )


def _whole(document: Mapping[str, Any], convert: Convert) -> dict[str, Any]:
    try:
        return convert(document)
    except Exception as error:
        raise UsageError(f"This Swagger 2.0 document cannot be converted: {error}.") from error


def _with_lists(value: Any) -> Any:
    """The value with `csv` said of lists that have no `collectionFormat`, which is what that means in Swagger 2.0."""
    if isinstance(value, list):
        return [_with_lists(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    made = {name: _with_lists(item) for name, item in value.items()}
    if isinstance(made.get("in"), str) and made.get("type") == "array":
        made.setdefault("collectionFormat", _USUAL)
    return made


def _sound(document: Mapping[str, Any], convert: Convert) -> tuple[Mapping[str, Any], list[Problem]]:
    """The document without the paths that cannot be converted, each tried alone."""
    paths = document.get("paths")
    problems = []
    kept = {}
    for path, item in paths.items() if isinstance(paths, Mapping) else ():
        try:
            convert({**document, "definitions": {}, "paths": {path: item}})
        except Exception as error:  # noqa: BLE001 - as above
            problems.append(Problem(str(path), f"it cannot be converted from Swagger 2.0: {error}"))
        else:
            kept[path] = item
    return {**document, "paths": kept}, problems


def _mended(document: Mapping[str, Any], made: Mapping[str, Any]) -> list[Problem]:
    """Put right what the library does its own way, names and lists in forms; and tell which operations it dropped."""
    problems = []
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, Mapping) else ():
        theirs = made["paths"].get(f"/{str(path).removeprefix('/')}", {})
        for method in _METHODS if isinstance(item, Mapping) else ():
            said, operation = item.get(method), theirs.get(method)
            if isinstance(said, Mapping) and operation is not None:
                _name_as_before(said, operation)
                _write_lists(_form(document, item, said), operation)
            elif method in item:
                problems.append(Problem(f"{method.upper()} {path}", "it cannot be converted from Swagger 2.0"))
    return problems


def _name_as_before(said: Mapping[str, Any], operation: dict[str, Any]) -> None:
    """Undo the name that the library gives, so that an operation is called by the rule that all have."""
    operation.pop("operationId", None)
    if "operationId" in said:
        operation["operationId"] = said["operationId"]


def _form(document: Mapping[str, Any], *holders: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and `collectionFormat` of the lists in an operation's form."""
    for holder in holders:
        for raw in holder.get("parameters") or []:
            parameter = _pointed(raw, document)
            if parameter.get("in") == "formData" and parameter.get("type") == "array":
                yield str(parameter.get("name")), parameter.get("collectionFormat", _USUAL)


def _pointed(raw: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return resolve(raw, document) if isinstance(raw, Mapping) else {}
    except ValueError:  # it leads nowhere, which is a problem once the operation is read
        return {}


def _write_lists(lists: Iterator[tuple[str, str]], operation: dict[str, Any]) -> None:
    encoding = {name: {"style": _STYLES[said], "explode": False} for name, said in lists if said in _STYLES}
    for content in operation["requestBody"]["content"].values() if encoding else ():
        content["encoding"] = {**content.get("encoding", {}), **encoding}


def _problem(line: str) -> Problem:
    where, _, why = line.partition(": ")
    return Problem(where, why or "it has no counterpart in OpenAPI 3")
