"""Carries requests with aiohttp: the default, since it costs a third of what httpx does."""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request
import weakref
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from farcall import threads
from farcall.errors import FarcallError, ProtocolError, Unreachable
from farcall.wire import Request, Response, origin

CONNECT_S: Final = 10.0
SILENCE_S: Final = 60.0
KEEP_ALIVE_S: Final = 3.0
"""Shorter than any server's: a POST lost in the race with a closing server may not be repeated."""
NO_GUESS: Final = ("content-type",)
"""Keeps aiohttp from making up a content type."""
USER_AGENT: Final = "farcall/0.1.0"


class AiohttpSender:
    """A dumb pipe over aiohttp: no retries, redirects, cookies or limits of its own.

    Args:
        ssl_context: Certificates to trust and to show; None: the machine's.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl: ssl.SSLContext | bool = True if ssl_context is None else ssl_context
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._open: weakref.WeakSet[aiohttp.ClientResponse] = weakref.WeakSet()
        self._proxies = urllib.request.getproxies()

    async def send(self, request: Request) -> Response:
        """The reply once its headers are there.

        Raises:
            Unreachable: No reply; `unsent` is true when surely nothing was written.
        """
        body = request.body
        headers = request.headers
        silence_s = request.silence_s or SILENCE_S
        session = self._session(fresh=request.fresh)
        if isinstance(body, bytes):
            data: Any = body or None
            timeout = _timeout(None)
        else:
            data = body.chunks()
            timeout = _timeout(silence_s)  # starts once the body is sent, however long that takes
            if body.length is not None:
                headers = {**headers, "content-length": str(body.length)}
        try:
            async with asyncio.timeout(silence_s if isinstance(body, bytes) else None):
                answer = await session.request(
                    request.method,
                    _url(request.url),
                    data=data,
                    headers=headers,
                    allow_redirects=False,
                    timeout=timeout,
                    skip_auto_headers=None if "content-type" in headers else NO_GUESS,
                    proxy=self._proxy(request.url) if self._proxies else None,
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _lower(error, request) from error
        if answer.connection is not None:  # the body is still to come
            self._open.add(answer)
        return Response(
            status=answer.status,
            headers=answer.headers,
            body=_Reading(answer, request, session.connector),
            url=request.url,
        )

    async def close(self) -> None:
        """Give up every connection."""
        for answer in list(self._open):
            answer.close()
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(fresh)
        if session is None:
            keep: dict[str, Any] = {"force_close": True} if fresh else {"keepalive_timeout": KEEP_ALIVE_S}
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, resolver=_Resolver(), ssl=self._ssl, **keep),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": USER_AGENT},
                read_bufsize=256 * 1024,
            )
            session._retry_connection = False  # noqa: SLF001 - else aiohttp sends GET, PUT and DELETE twice
            self._sessions[fresh] = session
        return session

    def _proxy(self, url: str) -> str | None:
        address = URL(url, encoded=True)
        if urllib.request.proxy_bypass(address.host or ""):
            return None
        return self._proxies.get(address.scheme) or self._proxies.get("all")


class _Reading:
    """A reply's body while it comes in."""

    __slots__ = ("_answer", "_connector", "_request")

    def __init__(
        self, answer: aiohttp.ClientResponse, request: Request, connector: aiohttp.BaseConnector | None
    ) -> None:
        self._answer = answer
        self._request = request
        self._connector = connector

    async def chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self._next():
            yield chunk

    async def read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while chunk := await self._next():
            size += len(chunk)
            if size > limit:
                self.drop()
                raise ProtocolError(
                    f"The reply is larger than the {limit:,} bytes that are read into memory.",
                    request=self._request,
                )
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next(self) -> bytes:
        """The bytes that are there, else the next ones; empty at the end."""
        content = self._answer.content
        try:
            chunk = content.read_nowait()
            if not chunk and not content.at_eof():
                async with asyncio.timeout(self._request.silence_s or SILENCE_S):
                    chunk = await content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._answer.close()
            raise _cut(error, self._request) from error
        except asyncio.CancelledError:
            self._answer.close()
            raise
        return chunk

    def drop(self) -> None:
        self._answer.close()
        protocol = self._answer._protocol  # noqa: SLF001 - a reply read to its end has gone back to the pool
        taken = getattr(self._connector, "_acquired", ())
        if protocol is not None and protocol not in taken:
            protocol.close()


class _Resolver(AbstractResolver):
    """Looks names up on threads of ours; aiohttp's own would use the default executor, which holds up the exit."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await threads.run(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


@lru_cache(maxsize=512)
def _url(url: str) -> URL:
    return URL(url, encoded=True)


@lru_cache(maxsize=64)
def _timeout(silence_s: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silence_s)


def _lower(error: BaseException, request: Request) -> FarcallError:
    """Our error for one of aiohttp's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FarcallError):  # raised while the body was read: a file that shrank
            return cause
        cause = cause.__cause__
    where = origin(request.url)
    if isinstance(error, aiohttp.InvalidURL | ValueError) and not isinstance(error, OSError):
        return Unreachable(f"{where!r} is no address that can be called: {error}", request=request)
    unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        why = "its name does not resolve"
    elif isinstance(error, aiohttp.ClientConnectorError):
        why = f"{error.os_error.strerror or error}".lower()
    elif isinstance(error, TimeoutError):
        why = f"it did not accept within {CONNECT_S:.0f} s" if unsent else "it stayed silent for too long"
    else:
        why = f"the connection broke ({error})"
    return Unreachable(f"{where} gave no reply: {why}. Is the service running there?", request=request, unsent=unsent)


def _cut(error: BaseException, request: Request) -> FarcallError:
    why = "it stayed silent" if isinstance(error, TimeoutError) else "the connection broke"
    return Unreachable(f"The reply of {origin(request.url)} was cut short: {why} ({error}).", request=request)
