"""Carries requests to an ASGI app in this process: streamed, with its lifespan, and told when we hang up."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from farcall.bodies import BytesBody
from farcall.errors import FarcallError, ProtocolError, Unreachable
from farcall.wire import Headers, Request, Response

Message = MutableMapping[str, Any]
App = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class AsgiSender:
    """A dumb pipe into an app. The app starts up at the first request and shuts down at `close`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lifespan: _Lifespan | None = None
        self._starting = asyncio.Lock()
        self._failed: str | None = None
        self._exchanges: set[_Exchange] = set()

    async def send(self, request: Request) -> Response:
        """The reply once its headers are there.

        Raises:
            Unreachable: The app could not start, or raised before it answered.
        """
        async with self._starting:
            lifespan = self._lifespan or await self._started(request)
        exchange = _Exchange(self._app, request, lifespan.state)
        self._exchanges.add(exchange)
        exchange.task.add_done_callback(lambda _: self._exchanges.discard(exchange))
        return await exchange.answer()

    async def _started(self, request: Request) -> _Lifespan:
        """The app, started; one that could not start once is not asked anything."""
        lifespan = _Lifespan(self._app)
        if self._failed is None:
            self._failed = await lifespan.start()
        if self._failed is not None:
            raise Unreachable(f"The app could not start: {self._failed}", request=request)
        self._lifespan = lifespan
        return lifespan

    async def close(self) -> None:
        """Hang up on what is still going on, and shut the app down."""
        for exchange in list(self._exchanges):
            exchange.drop()
        await asyncio.gather(*(e.task for e in self._exchanges), return_exceptions=True)
        if self._lifespan is not None:
            lifespan, self._lifespan = self._lifespan, None
            await lifespan.stop()


class _Exchange:
    """One request and its reply."""

    def __init__(self, app: App, request: Request, state: dict[str, Any]) -> None:
        self._request = request
        body = BytesBody(request.body) if isinstance(request.body, bytes) else request.body
        self._upload = body.chunks()
        self._more = True
        self._gone = asyncio.Event()
        self._head: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(16)
        self._failure: BaseException | None = None
        self.task = asyncio.ensure_future(self._run(app, _scope(request, state)))

    async def answer(self) -> Response:
        try:
            head = await self._head
        except BaseException:
            self.drop()
            raise
        pairs = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in head.get("headers", [])]
        return Response(status=head["status"], headers=Headers(pairs), body=self, url=self._request.url)

    async def _run(self, app: App, scope: Message) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - the app's fault is the caller's answer, as a socket would have it
            self._failure = error
        if not self._head.done():
            why = f"raised {self._failure!r}" if self._failure else "ended"
            self._head.set_exception(Unreachable(f"The app {why} before it answered.", request=self._request))
            self._head.exception()
        await self._put(None)

    async def _receive(self) -> Message:
        if self._more and not self._gone.is_set():
            try:
                return {"type": "http.request", "body": await anext(self._upload), "more_body": True}
            except FarcallError as error:  # a file that shrank, say: the caller's own fault, not the app's
                if not self._head.done():
                    self._head.set_exception(error)
                self._gone.set()
            except StopAsyncIteration:
                self._more = False
                return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone.is_set():
            raise OSError("the caller has hung up")  # what ASGI asks servers to raise
        if message["type"] == "http.response.start":
            if not self._head.done():
                self._head.set_result(message)
        elif message["type"] == "http.response.body":
            if message.get("body"):
                await self._put(bytes(message["body"]))
            if not message.get("more_body"):
                await self._put(None)

    async def _put(self, piece: bytes | None) -> None:
        """Hand a piece over, unless the caller hangs up meanwhile."""
        if self._gone.is_set():
            return
        if not self._pieces.full():
            self._pieces.put_nowait(piece)
            return
        putting = asyncio.ensure_future(self._pieces.put(piece))
        gone = asyncio.ensure_future(self._gone.wait())
        await asyncio.wait({putting, gone}, return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()
        gone.cancel()

    async def chunks(self) -> AsyncIterator[bytes]:
        head = self._head.result()
        encodings = [v for k, v in head.get("headers", []) if k.lower() == b"content-encoding"]
        inflate = zlib.decompressobj(47) if encodings and encodings[0] in {b"gzip", b"deflate"} else None
        while (piece := await self._pieces.get()) is not None:
            yield piece if inflate is None else inflate.decompress(piece)
        if self._failure is not None:
            raise Unreachable(f"The app raised {self._failure!r} in the middle of its reply.", request=self._request)
        self._gone.set()

    async def read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                self.drop()
                raise ProtocolError(
                    f"The reply is larger than the {limit:,} bytes that are read into memory.",
                    request=self._request,
                )
            parts.append(chunk)
        return b"".join(parts)

    def drop(self) -> None:
        self._gone.set()


class _Lifespan:
    """The app's start and end; an app that knows no lifespan is simply used."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Future[None] | None = None

    async def start(self) -> str | None:
        """Start the app; why it could not, in its own words, else None."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.ensure_future(self._app(scope, self._inbox.get, self._said.put))
        if (said := await self._ask("lifespan.startup")) and said["type"] == "lifespan.startup.failed":
            await asyncio.gather(self._task, return_exceptions=True)
            return str(said.get("message", "")).strip() or "it did not say why"
        return None

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            await self._ask("lifespan.shutdown")
            self._task.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _ask(self, kind: str) -> Message | None:
        if self._task is None:
            return None
        await self._inbox.put({"type": kind})
        said = asyncio.ensure_future(self._said.get())
        await asyncio.wait((said, self._task), return_when=asyncio.FIRST_COMPLETED)
        if said.done():
            return said.result()
        said.cancel()
        return None


def _scope(request: Request, state: dict[str, Any]) -> Message:
    parts = urlsplit(request.url)
    headers = {"host": parts.netloc.rpartition("@")[2], **request.headers}
    length = len(request.body) if isinstance(request.body, bytes) else request.body.length
    if length:
        headers["content-length"] = str(length)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": parts.scheme,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode("ascii", "replace"),
        "query_string": parts.query.encode("ascii", "replace"),
        "root_path": "",
        "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": (parts.hostname or "localhost", port),
        "state": dict(state),
    }
