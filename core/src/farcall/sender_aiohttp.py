"""Carries requests with aiohttp: the default, since it costs a third of what httpx does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import urllib.request
import weakref
from collections.abc import AsyncIterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from farcall import __version__, threads
from farcall.bodies import CHUNK_BYTES, BytesBody
from farcall.errors import FarcallError, ProtocolError, Unreachable, UsageError
from farcall.wire import Body, Request, Response, origin

CONNECT_S: Final = 10.0
SILENCE_S: Final = 60.0
KEEP_ALIVE_S: Final = 3.0
"""Shorter than any server's: a POST lost in the race with a closing server may not be repeated."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
NO_GUESS: Final = ("content-type",)
"""Keeps aiohttp from making up a content type."""
USER_AGENT: Final = f"farcall/{__version__}"


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
        proxy = self._proxy(request.url) if self._proxies else None
        limit: _Limit | asyncio.Timeout
        data: Any
        streamed: Body | None = None
        if isinstance(body, bytes) and len(body) <= CHUNK_BYTES:
            data = body or None
            limit = _Limit(silence_s)
        else:
            limit = asyncio.timeout(silence_s)
            _taken.set(None)
            streamed = BytesBody(body) if isinstance(body, bytes) else body
            data = _watched(streamed, limit, silence_s)
            if streamed.length is not None:
                headers = {**headers, "content-length": str(streamed.length)}
        fault: FarcallError | None = None
        try:
            async with limit:
                answer = await session.request(
                    request.method,
                    _url(request.url),
                    data=data,
                    headers=headers,
                    allow_redirects=False,
                    timeout=TIMEOUT,
                    skip_auto_headers=None if "content-type" in headers else NO_GUESS,
                    proxy=proxy,
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if streamed is not None:
                _abort()
            fault = _lower(error, request)
        except asyncio.CancelledError:
            if streamed is not None:
                _abort()
            raise
        if fault is not None:
            raise fault  # out here, so that aiohttp's error is not tied to it: that one holds the headers, key and all
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
                connector=_Connector(limit=0, resolver=_Resolver(), ssl=self._ssl, socket_factory=_socket, **keep),
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
        proxy = self._proxies.get(address.scheme) or self._proxies.get("all")
        if proxy is not None and not proxy.startswith(("http://", "https://")):
            raise UsageError(
                f"The proxy set for {origin(url)} is no http proxy, and this sender takes no other; "
                "pass sender=farcall.sender_httpx.HttpxSender(…) with a transport for it."
            )
        return proxy


class _Limit:
    """An `asyncio.timeout` that is never moved, for the many small requests: less to set up and to undo."""

    __slots__ = ("_expired", "_handle", "_task")

    def __init__(self, seconds: float) -> None:
        self._task = asyncio.current_task()
        self._expired = False
        self._handle = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    async def __aenter__(self) -> None:
        """Nothing is left to do."""

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._handle.cancel()
        if self._expired and kind is asyncio.CancelledError and self._task is not None and not self._task.uncancel():
            raise TimeoutError


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
        content = self._answer.content
        while not content.at_eof():
            chunk = await self._next()
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
        fault: FarcallError | None = None
        chunk = b""
        try:
            chunk = content.read_nowait()
            if not chunk and not content.at_eof():
                limit = asyncio.get_running_loop().call_later(
                    self._request.silence_s or SILENCE_S, content.set_exception, TimeoutError("no more bytes came")
                )
                try:
                    chunk = await content.readany()
                finally:
                    limit.cancel()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._answer.close()
            fault = _cut(error, self._request)
        except asyncio.CancelledError:
            self._answer.close()
            raise
        if fault is not None:
            raise fault
        return chunk

    def drop(self) -> None:
        self._answer.close()
        protocol = self._answer._protocol  # noqa: SLF001 - a reply read to its end has gone back to the pool
        taken = getattr(self._connector, "_acquired", ())
        if protocol is not None and protocol not in taken:
            protocol.close()


_taken: ContextVar[asyncio.Transport | None] = ContextVar("taken", default=None)
"""The connection that this task's last streamed body went out on."""


class _Connector(aiohttp.TCPConnector):
    def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        connecting = super().connect(req, traces, timeout)
        return _noted(connecting) if isinstance(req.body, aiohttp.payload.AsyncIterablePayload) else connecting


async def _noted(connecting: Any) -> Any:
    connection = await connecting
    _taken.set(connection.transport)
    return connection


def _abort() -> None:
    """End the connection now; aiohttp would close it only once the host has taken all that was written."""
    if (transport := _taken.get()) is not None:
        transport.abort()


class _Resolver(AbstractResolver):
    """Looks names up on threads of ours; aiohttp's own would use the default executor, which holds up the exit."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await threads.look_up(
            socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
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


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket into which little more is written than the host takes, so that what it takes can be told."""
    family, kind, proto, _, _ = address
    made = socket.socket(family, kind, proto)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, CHUNK_BYTES)
    return made


@lru_cache(maxsize=512)
def _url(url: str) -> URL:
    return URL(url, encoded=True)


async def _watched(body: Body, limit: asyncio.Timeout, silence_s: float) -> AsyncIterator[bytes]:
    """A body's bytes; the wait for the host begins anew with each piece it takes, and rests while we wait for one."""
    loop = asyncio.get_running_loop()

    def set_limit(seconds: float | None) -> None:
        with contextlib.suppress(RuntimeError):  # the reply is there, or the wait has just ended
            limit.reschedule(None if seconds is None else loop.time() + seconds)

    set_limit(None)
    async for chunk in body.chunks():
        set_limit(silence_s)
        yield chunk
        set_limit(None)
    set_limit(silence_s)


def _lower(error: BaseException, request: Request) -> FarcallError:
    """Our error for one of aiohttp's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FarcallError):  # raised while the body was read: a file that shrank
            return cause
        cause = cause.__cause__
    where = "The address"
    with contextlib.suppress(ValueError, UsageError):
        where = origin(request.url)
    if isinstance(error, aiohttp.InvalidURL | ValueError) and not isinstance(error, OSError):
        return Unreachable(f"{where} cannot be called: the address or a header is not valid.", request=request)
    unsent = isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.ClientHttpProxyError
    )
    return Unreachable(
        f"{where} gave no reply: {_why(error)}. Is the service running there?", request=request, unsent=unsent
    )


WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (aiohttp.ClientHttpProxyError, "its proxy refused to reach it"),
    (aiohttp.ClientProxyConnectionError, "its proxy cannot be reached"),
    (aiohttp.ClientConnectorDNSError, "its name does not resolve"),
    (aiohttp.ConnectionTimeoutError, f"it did not accept within {CONNECT_S:.0f} s"),
    (TimeoutError, "it stayed silent for too long"),
    (aiohttp.ServerDisconnectedError, "it closed the connection before it answered"),
    (aiohttp.ClientResponseError, "the connection broke, since what came back is not HTTP"),
)
"""Ours, since aiohttp's may hold the whole address or a header."""


def _why(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
        said = inner.verify_message if isinstance(inner, ssl.SSLCertVerificationError) else "its name does not fit"
        return f"its certificate is not trusted ({said})"
    if (words := next((words for kind, words in WORDS if isinstance(error, kind)), None)) is not None:
        return words
    if isinstance(error, aiohttp.ClientConnectorError):
        return _system(error)
    return f"the connection broke ({_system(error)})" if isinstance(error, OSError) else "the connection broke"


def _system(error: OSError) -> str:
    """The operating system's words for an error, without what the library added."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    said = os.strerror(inner.errno) if inner.errno is not None and inner.errno > 0 else type(inner).__name__
    return said.lower()


def _cut(error: BaseException, request: Request) -> FarcallError:
    why = "it stayed silent" if isinstance(error, TimeoutError) else "the connection broke before its end"
    return Unreachable(f"The reply of {origin(request.url)} was cut short: {why}.", request=request)
