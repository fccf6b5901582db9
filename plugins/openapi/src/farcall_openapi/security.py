"""How a document says that a key is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from farcall.schemas import resolve
from farcall.spec import Problem, SecurityScheme

from farcall_openapi.polling import inside
from farcall_openapi.shape import MalformedError, members, text


def schemes(document: Mapping[str, Any]) -> tuple[tuple[SecurityScheme, ...], list[Problem]]:
    """The ways a service takes a key, the ones it demands first, and those that cannot be used."""
    components = document.get("components")
    declared = components.get("securitySchemes") if isinstance(components, Mapping) else None
    if not isinstance(declared, Mapping):
        return (), []
    found: dict[SecurityScheme, None] = {}
    problems = []
    for name in dict.fromkeys([*_demanded(document, declared), *declared]):
        try:
            found[_scheme(resolve(members(declared[name], "it"), document))] = None
        except ValueError as error:
            problems.append(Problem(f"securitySchemes {name}", str(error)))
    return tuple(found), [*problems, *_together(document, declared)]


def client_credentials(document: Mapping[str, Any]) -> tuple[str, str]:
    """The token address and the scopes of OAuth 2 client credentials; both empty where the first usable way is another.

    The scopes are those that the document's first demand names, else all that are declared.
    """
    declared = inside(document, "components.securitySchemes")
    if not isinstance(declared, Mapping):
        return "", ""
    for name in dict.fromkeys([*_demanded(document, declared), *declared]):
        try:
            scheme = resolve(members(declared[name], "it"), document)
            _scheme(scheme)
        except ValueError:
            continue
        flow = inside(scheme, "flows.clientCredentials")
        if scheme.get("type") != "oauth2" or not isinstance(flow, Mapping):
            return "", ""
        known = flow.get("scopes")
        scopes = _scopes(document, name) or (list(known) if isinstance(known, Mapping) else [])
        return text(flow.get("tokenUrl")), " ".join(scope for scope in scopes if isinstance(scope, str))
    return "", ""


def _scopes(document: Mapping[str, Any], name: str) -> list[Any]:
    demands = document.get("security")
    for demand in demands if isinstance(demands, list) else []:
        if isinstance(demand, Mapping) and isinstance(demand.get(name), list):
            return list(demand[name])
    return []


def _demanded(document: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[str]:
    """Names in the document's own `security`, then in its operations'; of several ways the shortest first."""
    for ways in _demands(document, declared):
        for names in sorted(ways, key=len):
            yield from names


def _together(document: Mapping[str, Any], declared: Mapping[str, Any]) -> list[Problem]:
    """The keys that are wanted at once, where no way does with one."""
    fewest = dict.fromkeys(min(ways, key=len) for ways in _demands(document, declared) if ways)
    return [
        Problem(
            f"security {' + '.join(names)}",
            "they are wanted at once, and one key is sent; give the others with each call: .options(headers={…})",
        )
        for names in fewest
        if len(names) > 1
    ]


def _demands(document: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[list[tuple[str, ...]]]:
    """Each `security`, the document's own first: the ways it leaves, each with the schemes that it wants together."""
    items = document.get("paths")
    paths = [item for item in items.values() if isinstance(item, Mapping)] if isinstance(items, Mapping) else []
    operations = [value for item in paths for value in item.values() if isinstance(value, Mapping)]
    for holder in (document, *operations):
        said = holder.get("security")
        if isinstance(said, list):
            yield [tuple(name for name in way if name in declared) for way in said if isinstance(way, Mapping)]


def _scheme(scheme: Mapping[str, Any]) -> SecurityScheme:
    kind, name, place = scheme.get("type"), text(scheme.get("name")), scheme.get("in")
    if kind in {"oauth2", "openIdConnect"}:
        return SecurityScheme(kind="bearer")
    if kind == "http":
        word = text(scheme.get("scheme")).lower()
        if word == "bearer":
            return SecurityScheme(kind="bearer")
        if word == "basic":
            return SecurityScheme(kind="basic")
        raise MalformedError(f"the HTTP scheme {word!r} is not supported; bearer and basic are")
    if kind != "apiKey":
        raise MalformedError(f"the type {kind!r} is not supported; apiKey, http, oauth2 and openIdConnect are")
    if not name or place not in {"header", "query", "cookie"}:
        raise MalformedError("an apiKey needs a name and is in header, query or cookie")
    return SecurityScheme(kind=place, name=name)
