"""Arguments in, the request out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from farcall.binding import Binding
from farcall.errors import InputError, UsageError
from farcall.hookspecs import Call, ProviderFacts
from farcall.jobs import Snapshot
from farcall.spec import EndpointSpec, Place
from farcall.wire import FilePolicy, Request

from farcall_openapi import content, paging
from farcall_openapi.parameters import cookie_pairs, header_text, path_text, query_pairs
from farcall_openapi.plan import Plan, plan

LARGEST_DOCUMENT_BYTES: Final = 32 * 1024 * 1024
LARGEST_REPLY_BYTES: Final = 64 * 1024 * 1024


def facts(binding: Binding) -> ProviderFacts:
    """A reply is the result, or names its job.

    Raises:
        UsageError: Once the document was read: neither it nor the user says where the service is.
    """
    url = address(binding)
    if not url and binding.service is not None:
        raise UsageError('The document names no server; say where the service is: url="https://…".')
    jobs = binding.options.job is not None or any(endpoint.job is not False for endpoint in offered(binding))
    return ProviderFacts(url=url, result_in_reply=not jobs, max_envelope_bytes=_largest(binding))


def offered(binding: Binding) -> Sequence[EndpointSpec]:
    """What the service offers, as far as it is known."""
    return binding.endpoints if binding.service is None else binding.service.endpoints


def _largest(binding: Binding) -> int:
    return LARGEST_DOCUMENT_BYTES if binding.service is None else LARGEST_REPLY_BYTES


def address(binding: Binding) -> str:
    """The service's base address: what its description worked out, else the user's; empty if unknown."""
    return binding.traits.get("url") or binding.options.url or ""


def request(binding: Binding, call: Call) -> Request:
    """The request that starts a call.

    Raises:
        InputError: An argument cannot stand where it has to.
    """
    layout = plan(call.endpoint)
    body_headers, body = content.write(layout, call)
    method = call.endpoint.method
    return Request(
        method=method,
        url=(layout.server or address(binding)) + _path(layout, call.arguments) + _query(layout, call.arguments),
        headers={"accept": layout.accept, **_prefer(call), **_headers(layout, call.arguments), **body_headers},
        body=body,
    )


def file_policy(endpoint: EndpointSpec, parameter: str) -> FilePolicy:
    """How a file travels: where the document says binary, itself, since a text there is refused.

    What the user described by hand takes an address, too: nobody else says that it does not.
    """
    declared = endpoint.parameters.get(parameter)
    binary = "body" in endpoint.traits and declared is not None and declared.place is Place.FILE
    return FilePolicy(storable=not binary)


def next_page(binding: Binding, call: Call, page: Snapshot) -> Call | Request | None:
    """What asks for the page after this one; None: this is the last."""
    onward = paging.following(binding.options.pages, call, page)
    if not isinstance(onward, str):
        return onward
    layout = plan(call.endpoint)
    headers = {"accept": layout.accept, **_headers(layout, call.arguments)}
    return paging.request(onward, address(binding), headers)


def _prefer(call: Call) -> dict[str, str]:
    """RFC 7240: a service that can make a job of this call shall do so, unless it is done within our wait."""
    if "async" not in call.endpoint.traits:
        return {}
    return {"prefer": "respond-async" if call.wait_s is None else f"respond-async, wait={math.ceil(call.wait_s)}"}


def _path(layout: Plan, arguments: Mapping[str, Any]) -> str:
    parts = []
    for piece in layout.pieces:
        if isinstance(piece, str):
            parts.append(piece)
        elif piece.name in arguments:
            parts.append(path_text(piece, arguments[piece.name]))
        else:
            raise InputError(f"{piece.name} stands in the path, so it must be given.")
    return "".join(parts)


def _query(layout: Plan, arguments: Mapping[str, Any]) -> str:
    given = [slot for slot in layout.query if slot.name in arguments]
    pairs = [pair for slot in given for pair in query_pairs(slot, arguments[slot.name])]
    start = "&" if any("?" in piece for piece in layout.pieces if isinstance(piece, str)) else "?"
    return start + "&".join(pairs) if pairs else ""


def _headers(layout: Plan, arguments: Mapping[str, Any]) -> dict[str, str]:
    headers = {
        slot.wire: header_text(slot, arguments[slot.name])
        for slot in layout.headers
        if arguments.get(slot.name) is not None
    }
    given = [slot for slot in layout.cookies if slot.name in arguments]
    cookies = [pair for slot in given for pair in cookie_pairs(slot, arguments[slot.name])]
    return {**headers, "cookie": "; ".join(cookies)} if cookies else headers
