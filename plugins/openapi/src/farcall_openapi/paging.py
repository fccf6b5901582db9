"""Which request brings the page after this one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from farcall.errors import UsageError
from farcall.hookspecs import Call
from farcall.jobs import Snapshot
from farcall.wire import Request, Response, origin, without_query
from pydantic import BaseModel, ConfigDict

from farcall_openapi.polling import inside

# Each name with an API that uses it.
_NEXT: Final = (
    "next",  # Django REST framework
    "links.next",  # JSON:API 1.1
    "links.next.href",  # the same, as a link object
    "_links.next.href",  # HAL
    "@odata.nextLink",  # OData 4.01
    "nextLink",  # Microsoft's REST guidelines
    "next_url",  # Polygon.io
    "next_page_url",  # Laravel
    "paging.next",  # Meta's Graph API
    "pagination.next_url",  # Instagram
)
"""Where bodies have the next page's address."""
_CURSORS: Final = (
    "next_cursor",  # Notion
    "nextCursor",  # Model Context Protocol
    "next_page_token",  # Zoom
    "nextPageToken",  # Google's AIP-158
    "nextToken",  # AWS, CloudWatch Logs
    "NextToken",  # AWS, Systems Manager
    "continuationToken",  # Sonatype Nexus
    "meta.next_cursor",  # OpenAlex
    "meta.next_token",  # X API 2
    "response_metadata.next_cursor",  # Slack
)
"""Where bodies have the next page's cursor."""
_CURSOR_PARAMETERS: Final = (
    "cursor",  # Slack, OpenAlex, Model Context Protocol
    "page_token",  # Google's AIP-158, as written there
    "pageToken",  # the same, in JSON's spelling
    "next_page_token",  # Zoom
    "nextToken",  # AWS
    "NextToken",  # AWS
    "continuationToken",  # Sonatype Nexus
    "start_cursor",  # Notion
    "pagination_token",  # X API 2
)
"""Which parameters take a cursor."""
_OFFSETS: Final = (
    "offset",  # Django REST framework
    "skip",  # FastAPI's tutorial
    "$skip",  # OData 4.01
)
_NUMBERS: Final = (
    "page",  # GitHub, Django REST framework, Spring Data
    "page[number]",  # JSON:API's example
    "page_number",  # Zoom
)
_LIMITS: Final = (
    "limit",  # Django REST framework, FastAPI's tutorial
    "per_page",  # GitHub
    "perPage",  # PocketBase
    "page_size",  # Google's AIP-158
    "pageSize",  # the same, in JSON's spelling
    "page[size]",  # JSON:API's example
    "size",  # Spring Data
    "$top",  # OData 4.01
)
_LINK: Final = re.compile(r'<([^<>]*)>\s*((?:;\s*[^\s;,="]+\s*=\s*(?:"[^"]*"|[^\s;,]*)\s*)*)')
_PARAMETER: Final = re.compile(r';\s*([^\s;,="]+)\s*=\s*(?:"([^"]*)"|([^\s;,]*))')


class Paging(BaseModel):
    """How a service's lists go on, where neither a Link header nor a usual name tells.

    Args:
        items: Where a page has its items, `data.items`; None: it is a list, or has one list.
        next: Where a page has the next one's address.
        cursor: Where a page has the next one's cursor.
        cursor_parameter: Which parameter takes the cursor, by its Python name.
        offset_parameter: Which parameter takes the number of items before the page.
        page_parameter: Which parameter takes the page's number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: str | None = None
    next: str | None = None
    cursor: str | None = None
    cursor_parameter: str | None = None
    offset_parameter: str | None = None
    page_parameter: str | None = None


def remembered(answer: Response) -> dict[str, str]:
    """What of a reply is needed to find the next page: where it came from, and where its Link header leads."""
    at = without_query(answer.url) if answer.url else ""
    link = next_link(answer.headers.get("link", ""))
    return {"at": at, "next": urljoin(at, link)} if link else {"at": at}


def next_link(header: str) -> str:
    """The address that a Link header (RFC 8288) calls `next`; empty if there is none.

    >>> next_link('<https://h/?p=1>; rel="first", </?p=3>; rel=next')
    '/?p=3'
    """
    for match in _LINK.finditer(header):
        said = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(match[2])}
        if "next" in said.get("rel", "").lower().split():
            return match[1]
    return ""


def following(paging: Paging, call: Call, page: Snapshot) -> Call | str | None:
    """The call for the next page, or its address; None if this is the last one.

    Raises:
        UsageError: It cannot be told whether there are more.
    """
    if (link := _address(paging, call, page)) is not None:
        return link
    cursor = _named(call, paging.cursor_parameter, _CURSOR_PARAMETERS)
    fields = (paging.cursor,) if paging.cursor else _CURSORS
    values = [value for field in fields if (value := inside(page.result, field))]
    if cursor is not None and values:
        return _with(call, cursor, values[0])
    offset = _named(call, paging.offset_parameter, _OFFSETS)
    number = _named(call, paging.page_parameter, _NUMBERS)
    if cursor is not None or (offset is None and number is None):
        return None
    count = len(_items(paging, page.result))
    if count == 0 or _was_short(call, count):
        return None
    if offset is not None:
        return _with(call, offset, _current(call, offset, 0) + count)
    return None if number is None else _with(call, number, _current(call, number, 1) + 1)


def request(link: str, base: str, headers: Mapping[str, str]) -> Request:
    """The request for a page that is named by its address; the call's headers stay within the service's origin."""
    kept = headers if origin(link) == origin(base) else {"accept": headers.get("accept", "*/*")}
    return Request(method="GET", url=link, headers=kept, repeatable=True)


def _address(paging: Paging, call: Call, page: Snapshot) -> str | None:
    if call.endpoint.method != "GET":
        return None
    link: Any = page.data.get("next")
    for field in (paging.next,) if paging.next else _NEXT:
        link = link or inside(page.result, field)
    if not isinstance(link, str) or not link.startswith(("http://", "https://", "/", "?")):
        return None
    url = urljoin(page.data.get("at", ""), link)
    return url if urlsplit(url).scheme in {"http", "https"} and urlsplit(url).netloc else None


def _named(call: Call, said: str | None, usual: tuple[str, ...]) -> str | None:
    """The parameter of that Python name, else of a usual name on the wire."""
    if said is not None:
        return said if said in call.endpoint.parameters else None
    wires = {each.alias or name: name for name, each in call.endpoint.parameters.items()}
    return next((wires[name] for name in usual if name in wires), None)


def _with(call: Call, name: str, value: Any) -> Call:
    return replace(call, arguments={**call.arguments, name: value})


def _current(call: Call, name: str, first: int) -> int:
    """The argument in force: as given, else the parameter's default, else the first."""
    for value in (call.arguments.get(name), call.endpoint.parameters[name].default):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return first


def _was_short(call: Call, count: int) -> bool:
    limit = _named(call, None, _LIMITS)
    asked = call.arguments.get(limit) if limit is not None else None
    return isinstance(asked, int) and count < asked


def _items(paging: Paging, result: Any) -> list[Any]:
    found = inside(result, paging.items) if paging.items else result
    if isinstance(found, Mapping) and not paging.items:
        lists = [value for value in found.values() if isinstance(value, list)]
        found = lists[0] if len(lists) == 1 else None
    if not isinstance(found, list):
        raise UsageError("It cannot be told which of the page's values are its items; say so: pages={'items': '…'}.")
    return found
