"""One request put to an ASGI app in this process, and its whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from farcall.wire import Headers, Response
from starlette.types import ASGIApp

HOST: Final = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request.

    Args:
        response: The app's reply; None if it raised before there was one.
        error: What it raised, before or after.
    """

    response: Response | None
    error: BaseException | None = None


async def ask(  # noqa: PLR0913 - the parts of a request, each by name
    app: ASGIApp,
    method: str,
    path: str,
    *,
    query: str = "",
    headers: Mapping[str, str],
    body: bytes = b"",
    state: Mapping[str, Any] | None = None,
) -> Answer:
    """Put a request to an app as a server on the loopback would.

    Args:
        app: It has been started.
        method: In capitals.
        path: Percent-encoded.
        query: Percent-encoded, without the question mark.
        headers: Their names in lower case.
        body: The whole of it.
        state: What the app's lifespan gave.
    """
    made = _Reply(body)
    scope = _scope(method, path, query, {"host": HOST, "content-length": str(len(body)), **headers})
    error: BaseException | None = None
    try:
        await app({**scope, "state": dict(state or {})}, made.receive, made.send)
    except Exception as raised:  # noqa: BLE001 - what the app raises is its answer, as it is for a server
        error = raised
    return Answer(response=made.response(), error=error)


class _Reply:
    """The app's side of the exchange."""

    def __init__(self, body: bytes) -> None:
        self._unread: bytes | None = body
        self._head: MutableMapping[str, Any] | None = None
        self._pieces: list[bytes] = []

    async def receive(self) -> MutableMapping[str, Any]:
        if self._unread is None:
            await _never()  # the caller stays until it has its answer
        body, self._unread = self._unread, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._head = message
        elif message["type"] == "http.response.body":
            self._pieces.append(bytes(message.get("body", b"")))

    def response(self) -> Response | None:
        if self._head is None:
            return None
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._head.get("headers", [])]
        return Response(status=self._head["status"], headers=Headers(pairs), content=b"".join(self._pieces))


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


def _scope(method: str, path: str, query: str, headers: Mapping[str, str]) -> dict[str, Any]:
    encoded: Callable[[str], bytes] = lambda text: text.encode("latin-1")  # noqa: E731 - HTTP's own encoding
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii", "replace"),
        "query_string": query.encode("ascii", "replace"),
        "root_path": "",
        "headers": [(encoded(name), encoded(value)) for name, value in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": (HOST, 80),
    }
