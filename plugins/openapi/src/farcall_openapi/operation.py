"""One operation of the document as an endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from farcall.files import File
from farcall.schemas import resolve, to_type
from farcall.spec import REQUIRED, EndpointSpec, Parameter, Place, operation_name

from farcall_openapi import body, media
from farcall_openapi.conforming import conforming
from farcall_openapi.draft import Draft
from farcall_openapi.filetype import as_text
from farcall_openapi.parameters import STYLES, Style, usual
from farcall_openapi.shape import MalformedError, each, members, schema_of, text

_TEMPLATE: Final = re.compile(r"\{([^{}]*)\}")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# OpenAPI 3.1.1, "Parameter Object": these header parameters SHALL be ignored.
_IGNORED_HEADERS: Final = frozenset({"accept", "content-type", "authorization"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation where it stands.

    Args:
        path: `/items/{id}`.
        method: `get`.
        item: The path item it is in.
        content: The operation object.
        root: The document.
        server: The address it has for itself; empty: the service's.
    """

    path: str
    method: str
    item: Mapping[str, Any]
    content: Mapping[str, Any]
    root: Mapping[str, Any]
    server: str = ""


def endpoint(operation: Operation) -> tuple[EndpointSpec, Sequence[str]]:
    """The operation as an endpoint, and what the document asks for that its calls will not do, a sentence each.

    Raises:
        MalformedError: It is malformed; the sentence says where.
    """
    said, draft = operation.content, Draft()
    for parameter in _parameters(operation):
        _add(draft, parameter, operation)
    _add_undeclared(draft, operation.path)
    if "requestBody" in said:
        body.add(draft, said["requestBody"], operation.root)
    replies = _replies(operation)
    draft.traits["accept"] = media.accept(dict.fromkeys(m for content in replies for m in media.declared(content)))
    if "202" in members(said.get("responses", {}), "responses"):
        draft.traits["async"] = "yes"
    if operation.server:
        draft.traits["server"] = operation.server
    made = EndpointSpec(
        path=operation.path,
        name=operation_name(text(said.get("operationId")), operation.method, operation.path),
        method=operation.method,
        parameters=draft.parameters,
        result=_result(replies, operation.root),
        doc="\n\n".join(filter(None, (text(said.get("summary")), text(said.get("description"))))),
        deprecated=said.get("deprecated") is True,
        job=False,
        operation_id=text(said.get("operationId")),
        traits=draft.written(),
    )
    return made, draft.lost


# --- parameters ---------------------------------------------------------------------------------------------


def _parameters(operation: Operation) -> Iterator[Mapping[str, Any]]:
    """The path item's parameters and the operation's, which win, without those that OpenAPI ignores."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for holder in (operation.item, operation.content):
        for raw in each(holder.get("parameters") or [], "parameters"):
            parameter = resolve(members(raw, "a parameter"), operation.root)
            name, place = text(parameter.get("name")), text(parameter.get("in"))
            if not name or place not in {"path", "query", "header", "cookie"}:
                raise MalformedError(
                    f"the parameter {name!r} is in {place!r}; path, query, header and cookie are known"
                )
            found[name, place] = parameter
    for (name, place), parameter in found.items():
        if place != "header" or name.lower() not in _IGNORED_HEADERS:
            yield parameter


def _add(draft: Draft, raw: Mapping[str, Any], operation: Operation) -> None:
    name, place = raw["name"].strip(), Place(raw["in"])
    if place is Place.PATH and "{" + name + "}" not in operation.path:
        raise MalformedError(f"the parameter {name!r} does not occur in the path")
    if place in {Place.HEADER, Place.COOKIE} and not _TOKEN.fullmatch(name):
        raise MalformedError(f"{name!r} is no name for a {place}")
    content = members(raw.get("content", {}), f"the content of {name}")
    holder = members(next(iter(content.values()), {}), f"the content of {name}") if content else raw
    said = schema_of(holder.get("schema", {}), f"the schema of {name}")
    kind = conforming(as_text(to_type(said, operation.root)), said, operation.root)
    must = place is Place.PATH or raw.get("required") is True
    default = REQUIRED if must else _default(said, operation.root)
    parameter = Parameter(kind, default=default, place=place, doc=_doc(raw))
    draft.add(name, parameter, prefix=str(place), style=_style(raw, place, as_json=bool(content)))


def _style(raw: Mapping[str, Any], place: Place, *, as_json: bool) -> Style | None:
    """How it is written; None where that is usual for its place."""
    if as_json:
        return Style(name="json", explode=False)
    name = text(raw.get("style")) or STYLES[place][0]
    if name not in STYLES[place]:
        raise MalformedError(f"the parameter {raw['name']!r} has the style {name!r}, which is none for a {place}")
    explode = raw.get("explode", name == "form") is True
    style = Style(name=name, explode=explode, reserved=raw.get("allowReserved") is True)
    return None if style == usual(place) else style


def _default(said: Any, root: Mapping[str, Any]) -> Any:
    return None if isinstance(said, bool) else resolve(said, root).get("default")


def _doc(raw: Mapping[str, Any]) -> str | None:
    words = text(raw.get("description"))
    return f"Deprecated. {words}".strip() if raw.get("deprecated") is True else words or None


def _add_undeclared(draft: Draft, path: str) -> None:
    """Names that the path holds and no parameter declares: the path itself says that they are wanted."""
    known = {each.alias or name for name, each in draft.parameters.items() if each.place is Place.PATH}
    for name in _TEMPLATE.findall(path):
        if name not in known:
            draft.add(name, Parameter(str, place=Place.PATH), prefix="path")
            known.add(name)


# --- replies ------------------------------------------------------------------------------------------------


def _replies(operation: Operation) -> list[Mapping[str, Any]]:
    """The `content` of each successful reply, by status; of the default one if there is none."""
    raw = members(operation.content.get("responses", {}), "responses")
    codes = sorted(code for code in raw if code.startswith("2")) or [code for code in raw if code == "default"]
    replies = [resolve(members(raw[code], f"the response {code}"), operation.root) for code in codes]
    return [members(reply.get("content", {}), "a response's content") for reply in replies]


def _result(replies: list[Mapping[str, Any]], root: Mapping[str, Any]) -> Any:
    """The type of what comes back; None if it is unknown."""
    for content in replies:
        for media_type in media.declared(content):
            if media.is_json(media_type):
                said = members(content[media_type], media_type).get("schema", {})
                return as_text(to_type(schema_of(said, "a response's schema"), root))
            return str if media_type.startswith("text/") else File
    return None
