"""Asks an address for the file that lies there, over redirects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urljoin

from farcall import signed
from farcall.errors import FileError
from farcall.wire import Request, Response, sendable, without_query

Fetch = Callable[[str, Mapping[str, str]], Awaitable[Response]]
"""Asks for an address with headers that hold no secret; the answer is a success, its body still to come."""

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
HOPS: Final = 5


async def plain_fetch(url: str, headers: Mapping[str, str]) -> Response:
    """Fetch an address with no credential and a connection of its own; redirects are followed."""
    from farcall.sender_aiohttp import AiohttpSender

    sender = AiohttpSender()
    try:
        response = await follow(sender.send, Request(method="GET", url=url, headers=headers, repeatable=True))
    except BaseException:
        await sender.close()
        raise
    return Response(
        status=response.status,
        headers=response.headers,
        body=None if response.body is None else _Closing(response.body, sender),
    )


async def follow(send: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    """Send a GET and follow its redirects.

    Raises:
        FileError: The answer is no success, or leads round in circles.
    """
    request = replace(request, url=sendable(request.url))
    for _ in range(HOPS + 1):
        response = await send(request)
        place = response.headers.get("location", "")
        if response.status not in REDIRECTS or not place:
            break
        response.drop()
        request = replace(request, url=_onward(request, place))
    if response.ok:
        return response
    response.drop()
    why = signed.has_ended(request.url, datetime.now(UTC)) if 400 <= response.status < 500 else ""
    raise FileError(
        f"{without_query(request.url)} answered {response.status} instead of the file.{why}",
        request=request,
        response=response,
    )


async def give_up(response: Response) -> None:
    """Read nothing more of a reply, and end the connection that was opened for it alone."""
    response.drop()
    if isinstance(response.body, _Closing):
        await response.body.sender.close()


def _onward(request: Request, place: str) -> str:
    try:
        onward = urljoin(request.url, place)
    except ValueError:
        onward = ""
    if onward.startswith(("http://", "https://")):
        return sendable(onward)
    raise FileError(f"The file's address leads to {place[:40]!r}, which is not fetched.", request=request)


class _Closing:
    """A reply whose connection was opened for it alone and ends with it."""

    def __init__(self, body: Any, sender: Any) -> None:
        self.body, self.sender = body, sender

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self.body.chunks():
            yield chunk

    async def read(self, limit: int) -> bytes:
        try:
            content: bytes = await self.body.read(limit)
        finally:
            await self.sender.close()
        return content

    def drop(self) -> None:
        self.body.drop()
