"""Swagger 2.0 documents as OpenAPI 3.0 ones, by the library spec2openapi, the extra `farcall-openapi[swagger]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from farcall.errors import UsageError
from farcall.schemas import resolve
from farcall.spec import Problem

Convert = Callable[[Mapping[str, Any]], dict[str, Any]]


def is_swagger(root: Mapping[str, Any]) -> bool:
    """Whether a document is of the time before OpenAPI 3."""
    return "openapi" not in root and isinstance(root.get("swagger"), str)


def converted(root: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Problem]]:
    """The document as OpenAPI 3.0, and what of it could not be said there.

    Args:
        root: A Swagger 2.0 document whose references are local; it is not changed.

    Raises:
        UsageError: The library is not installed, or the document as a whole is beyond it.
    """
    convert = _library()
    problems: list[Problem] = []
    try:
        made = convert(root)
    except Exception:  # noqa: BLE001 - a stranger's code on a stranger's document
        root, problems = _sound(root, convert)
        made = _whole(root, convert)
    lost = made.pop("x-s2o", {}).get("lossy", ())
    _name_as_before(root, made)
    return made, [*problems, *map(_problem, lost)]


def _library() -> Convert:
    try:
        from spec2openapi import convert_swagger
    except ImportError as error:
        raise UsageError(
            "This is a Swagger 2.0 document, which is converted where spec2openapi is installed: "
            'pip install "./plugins/openapi[swagger]". Or convert it yourself (npx swagger2openapi openapi.json) '
            "and hand the result over as spec=."
        ) from error
    return lambda document: convert_swagger(dict(document))


def _whole(document: Mapping[str, Any], convert: Convert) -> dict[str, Any]:
    try:
        return convert(document)
    except Exception as error:
        raise UsageError(f"This Swagger 2.0 document cannot be converted: {error}.") from error


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


def _name_as_before(document: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """Undo the names that the library gives operations, so that they are called by the rule that all have."""
    for path, item in made["paths"].items():
        before = resolve(document["paths"].get(path, {}), document)
        for method, operation in item.items():
            if isinstance(operation, dict) and operation.pop("operationId", None) is not None:
                said = before.get(method, {}).get("operationId")
                operation.update({} if said is None else {"operationId": said})


def _problem(line: str) -> Problem:
    where, _, why = line.partition(": ")
    return Problem(where, why or "it has no counterpart in OpenAPI 3")
