"""How an endpoint's arguments are laid onto a request: worked out once, used in every call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from farcall.filetypes import mentions_file
from farcall.spec import EndpointSpec, Parameter, Place

from farcall_openapi import media
from farcall_openapi.parameters import Slot, Style, usual

BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_TEMPLATE: Final = re.compile(r"\{([^{}]*)\}")
_LITERAL: Final = "/:@!$&'()*+,;=?%"  # what a path in a document may hold as it is
_IN_BODY: Final = frozenset({Place.JSON, Place.FORM, Place.FILE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An endpoint's layout on the wire.

    Args:
        pieces: The path: encoded texts, and the slots between them.
        query: In order; likewise `headers` and `cookies`.
        fields: The body's properties.
        body: The body's media type; empty: it has none.
        whole: The argument that is the whole body; empty: the body is made of `fields`.
        rest: The argument that holds further properties of the body; empty: none.
        required: Whether an empty body is sent where nothing was given for it.
        accept: The Accept header.
        server: The address this endpoint has for itself; empty: the service's.
    """

    pieces: tuple[str | Slot, ...]
    query: tuple[Slot, ...]
    headers: tuple[Slot, ...]
    cookies: tuple[Slot, ...]
    fields: tuple[Slot, ...]
    body: str
    whole: str
    rest: str
    required: bool
    accept: str
    server: str


@lru_cache(maxsize=4096)
def plan(endpoint: EndpointSpec) -> Plan:
    """The layout, from the endpoint's parameters and from what its description wrote into its traits."""
    traits = endpoint.traits
    styles = {name: Style(**raw) for name, raw in json.loads(traits.get("styles", "{}")).items()}
    places = {name: _place(endpoint, name, each) for name, each in endpoint.parameters.items()}
    special = {traits.get("body_argument"), traits.get("body_rest")}

    def slots(*wanted: Place) -> tuple[Slot, ...]:
        return tuple(
            Slot(name=name, wire=each.alias or name, style=styles.get(name) or usual(places[name]))
            for name, each in endpoint.parameters.items()
            if places[name] in wanted and name not in special
        )

    return Plan(
        pieces=_pieces(endpoint.path, slots(Place.PATH)),
        query=slots(Place.QUERY),
        headers=slots(Place.HEADER),
        cookies=slots(Place.COOKIE),
        fields=slots(*_IN_BODY),
        body=traits.get("body") or _body(places),
        whole=traits.get("body_argument", ""),
        rest=traits.get("body_rest", ""),
        required="body_required" in traits,
        accept=traits.get("accept") or media.accept(()),
        server=traits.get("server", ""),
    )


def _place(endpoint: EndpointSpec, name: str, parameter: Parameter) -> Place:
    if parameter.place is not None:
        return parameter.place
    if "{" + (parameter.alias or name) + "}" in endpoint.path:
        return Place.PATH
    if endpoint.method in BODILESS:
        return Place.QUERY
    return Place.FILE if mentions_file(parameter.type) else Place.JSON


def _body(places: Mapping[str, Place]) -> str:
    """The media type where no document names one: an endpoint that the user wrote."""
    there = set(places.values())
    if Place.FILE in there:
        return "multipart/form-data"
    if Place.FORM in there:
        return "application/x-www-form-urlencoded"
    return "application/json" if Place.JSON in there else ""


def _pieces(path: str, slots: tuple[Slot, ...]) -> tuple[str | Slot, ...]:
    by_wire = {slot.wire: slot for slot in slots}
    parts = _TEMPLATE.split(path)  # every second one is the name of a template
    return tuple(
        by_wire.get(part, "{" + part + "}") if number % 2 else quote(part, safe=_LITERAL)
        for number, part in enumerate(parts)
    )
