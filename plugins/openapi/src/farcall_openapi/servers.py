"""Which address a service has, by what the user says and what the document says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from farcall.errors import UsageError
from farcall.wire import origin

from farcall_openapi import discovery
from farcall_openapi.options import Options
from farcall_openapi.shape import MalformedError, each, members

_VARIABLE = re.compile(r"\{([^{}]+)\}")


def base(stated: Any, options: Options, document_url: str) -> str:
    """The address that paths are put behind, without a closing slash; empty if nobody says it.

    The user's address wins, unless it is the document's own. An address without a path takes the path of the
    stated server on the same origin (`/api/v3`).

    Args:
        stated: A `servers` list; None if there is none.
        options: The binding's.
        document_url: Where the document was fetched; empty if it was handed over.

    Raises:
        UsageError: The options name a server or a variable that the document does not have.
        MalformedError: The list is malformed.
    """
    given = options.url or ""
    said = _stated(stated, options, document_url or given)
    if not given or given == document_url or discovery.shows_document(given):
        fetched = document_url or given
        return said or (origin(fetched) if fetched else "")
    if said and not urlsplit(given).path and origin(said) == origin(given):
        return said
    return given


def _stated(servers: Any, options: Options, against: str) -> str:
    if not servers:
        if options.server or options.server_variables:
            raise UsageError("The document names no servers for server= and server_variables= to choose from.")
        return ""
    listed = each(servers, "servers")
    if options.server >= len(listed):
        raise UsageError(f"server={options.server}: the document names {len(listed)}, counted from 0.")
    server = members(listed[options.server], "a server")
    url = urljoin(against, _filled(server, options.server_variables)).rstrip("/")
    return url if urlsplit(url).scheme in {"http", "https"} and urlsplit(url).netloc else ""


def _filled(server: Mapping[str, Any], chosen: Mapping[str, str]) -> str:
    template, variables = server.get("url"), members(server.get("variables", {}), "a server's variables")
    if not isinstance(template, str):
        raise MalformedError("a server has no url")
    if unknown := set(chosen) - set(variables):
        known = ", ".join(variables) or "none"
        raise UsageError(f"server_variables: {', '.join(sorted(unknown))} is none of this server's ({known}).")

    def value(match: re.Match[str]) -> str:
        return _value(match[1], members(variables.get(match[1], {}), "a server variable"), chosen)

    return _VARIABLE.sub(value, template)


def _value(name: str, variable: Mapping[str, Any], chosen: Mapping[str, str]) -> str:
    if name not in chosen:
        if "default" not in variable:
            raise MalformedError(f"the server variable {name!r} has no default")
        return str(variable["default"])
    allowed = [str(item) for item in each(variable.get("enum") or [], "a variable's enum")]
    if allowed and chosen[name] not in allowed:
        raise UsageError(f"server_variables: {name} is one of {', '.join(allowed)}, not {chosen[name]!r}.")
    return chosen[name]
