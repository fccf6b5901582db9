"""Carries requests with httpx: for HTTP/2, SOCKS proxies, or a transport of the user's own.

With HTTP/2, httpx does not notice a refusal that comes while a large body is still being sent, and waits until the
silence limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx

from farcall import __version__
from farcall.errors import FarcallError, ProtocolError, Unreachable, UsageError
from farcall.wire import Body, Request, Response, origin

CONNECT_S: Final = 10.0
SILENCE_S: Final = 60.0


class HttpxSender:
    """A dumb pipe over an httpx transport.

    >>> farcall.connect("https://api.example.com", sender=HttpxSender(httpx.AsyncHTTPTransport(http2=True)))

    Args:
        transport: Any `httpx.AsyncBaseTransport`; None: httpx's own, HTTP/1.1, without connection limits.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        limits = httpx.Limits(max_connections=None, keepalive_expiry=3.0)
        self._transport = transport or httpx.AsyncHTTPTransport(limits=limits)
        self._open: weakref.WeakSet[httpx.Response] = weakref.WeakSet()

    async def send(self, request: Request) -> Response:
        """The reply once its headers are there.

        Raises:
            Unreachable: No reply; `unsent` is true when surely nothing was written.
        """
        fault: FarcallError | None = None
        try:
            answer = await self._transport.handle_async_request(_lowered(request))
        except (httpx.TransportError, httpx.InvalidURL) as error:
            fault = _lower(error, request)
        if fault is not None:
            raise fault  # out here, so that httpx's error is not tied to it: its text may quote a header
        answer.request = httpx.Request(request.method, request.url)
        self._open.add(answer)
        reading = _Reading(answer, request)
        return Response(status=answer.status_code, headers=answer.headers, body=reading, url=request.url)

    async def close(self) -> None:
        """Give up every connection."""
        for answer in list(self._open):
            await answer.aclose()
        await self._transport.aclose()


class _Reading:
    """A reply's body while it comes in."""

    def __init__(self, answer: httpx.Response, request: Request) -> None:
        self._answer = answer
        self._request = request

    async def chunks(self) -> AsyncIterator[bytes]:
        why = ""
        try:
            async for chunk in self._answer.aiter_bytes():
                yield chunk
        except httpx.HTTPError as error:
            why = "it stayed silent" if isinstance(error, httpx.TimeoutException) else "the connection broke"
        finally:
            await self._answer.aclose()
        if why:
            raise Unreachable(
                f"The reply of {origin(self._request.url)} was cut short: {why} before its end.", request=self._request
            )

    async def read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                await self._answer.aclose()
                raise ProtocolError(
                    f"The reply is larger than the {limit:,} bytes that are read into memory.",
                    request=self._request,
                )
            parts.append(chunk)
        return b"".join(parts)

    def drop(self) -> None:
        closing = asyncio.get_running_loop().create_task(self._answer.aclose())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)


_closing: set[Any] = set()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, body: Body) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body.chunks():
            yield chunk


def _lowered(request: Request) -> httpx.Request:
    headers = {"user-agent": f"farcall/{__version__}", "accept-encoding": "gzip, deflate", **request.headers}
    if request.fresh:
        headers["connection"] = "close"
    content: Any = request.body
    if not isinstance(content, bytes):
        content = _Stream(content)
        if request.body.length is not None:  # type: ignore[union-attr]  # it is no bytes
            headers["content-length"] = str(request.body.length)  # type: ignore[union-attr]
    silence = request.silence_s or SILENCE_S
    timeout = {"connect": CONNECT_S, "read": silence, "write": silence, "pool": None}
    return httpx.Request(request.method, request.url, headers=headers, content=content, extensions={"timeout": timeout})


WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (httpx.InvalidURL, "its address cannot be called"),
    (httpx.UnsupportedProtocol, "its address cannot be called"),
    (httpx.ConnectTimeout, f"it did not accept within {CONNECT_S:.0f} s"),
    (httpx.TimeoutException, "it stayed silent for too long"),
    (httpx.ConnectError, "it cannot be connected to"),
    (httpx.ProxyError, "its proxy refused"),
    (httpx.LocalProtocolError, "the request is not HTTP: is there a line break in a header?"),
    (httpx.RemoteProtocolError, "it closed the connection before it answered, or answered what is not HTTP"),
)
"""Ours, since httpx's may quote a header or the whole address."""


def _lower(error: Exception, request: Request) -> FarcallError:
    where = "The address"
    with contextlib.suppress(ValueError, UsageError):
        where = origin(request.url)
    why = next((words for kind, words in WORDS if isinstance(error, kind)), "the connection broke")
    unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol | httpx.InvalidURL)
    return Unreachable(f"{where} gave no reply: {why}. Is the service running there?", request=request, unsent=unsent)
