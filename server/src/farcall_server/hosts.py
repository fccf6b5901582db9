"""Whom a server on the loopback answers: a web page elsewhere must not reach it by a name that points here."""

from __future__ import annotations

import functools
import ipaddress
import os
import sys
from collections.abc import Collection, Iterable
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

UNLOCKED: Final = (
    "WARNING: this server can be reached from other machines, and everybody who reaches it may run its functions.\n"
    "         Set FTAPI_API_KEYS (or FastTaskAPI(api_keys=[…])), or listen on 127.0.0.1.\n"
)

_NAMES: Final = frozenset({"localhost", "ip6-localhost"})


def named(names: Collection[str] | None) -> Collection[str]:
    """As `FastTaskAPI(allowed_hosts=…)` says; None: as `FTAPI_ALLOWED_HOSTS` says, separated by commas."""
    if names is not None:
        return names
    return [name.strip() for name in os.environ.get("FTAPI_ALLOWED_HOSTS", "").split(",") if name.strip()]


class OpenDoor:
    """Says once, and loudly, that everybody who reaches the server may use it, if that is so.

    Args:
        locked: Whether a caller must show a key; then nothing is said.
    """

    def __init__(self, *, locked: bool) -> None:
        self.silent = locked

    def warn(self) -> None:
        """The server can be reached from other machines."""
        if not self.silent:
            self.silent = True
            sys.stderr.write(UNLOCKED)
            sys.stderr.flush()


class HostCheck:
    """Refuses requests that came in over the loopback under a foreign name (DNS rebinding) or from a foreign page.

    Args:
        app: What is protected.
        allowed: More names that may stand in Host and Origin; `*` allows all.
        door: Told when a request has come in at an address of this machine that others reach.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str] = (), door: OpenDoor | None = None) -> None:
        self.app, self.door = app, door
        self.allowed = frozenset(name.lower() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 403."""
        if self.door is not None and not self.door.silent and _over_network(scope):
            self.door.warn()
        if scope["type"] in {"http", "websocket"} and "*" not in self.allowed and _over_loopback(scope):
            for name, value in _named(scope["headers"]):
                if not self._known(value):
                    await _refuse(name, value, scope, receive, send)
                    return
        await self.app(scope, receive, send)

    def _known(self, value: str) -> bool:
        host = _host(value)
        return is_loopback(host) or host in self.allowed


async def _refuse(name: str, value: str, scope: Scope, receive: Receive, send: Send) -> None:
    detail = (
        f"This server listens on the loopback and does not know the {name} {value[:200]!r}. If it stands behind a "
        "proxy or serves that page, name the host: FastTaskAPI(allowed_hosts=[…]) or FTAPI_ALLOWED_HOSTS."
    )
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "unknown host"})
        return
    await JSONResponse({"detail": detail}, 403)(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host in _NAMES or host.endswith(".localhost"):
        return True
    return _loopback_address(host) is True


@functools.lru_cache(maxsize=64)  # asked for each request, of the same few names
def _loopback_address(host: str) -> bool | None:
    """Whether an address is of the loopback; None: it is none."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return None


def _over_loopback(scope: Scope) -> bool:
    server = scope.get("server")
    return server is not None and (server[0] == "127.0.0.1" or is_loopback(server[0]))


def _over_network(scope: Scope) -> bool:
    """Whether the request came in at an address of this machine that is not the loopback's."""
    host, port = scope.get("server") or ("", None)
    return port is not None and _loopback_address(host) is False


def _named(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        if name in {b"host", b"origin"}:
            yield name.decode().capitalize(), value.decode("latin-1")


def _host(value: str) -> str:
    """The bare host of `host:port`, `[v6]:port` or an origin, in lower case."""
    netloc = value.partition("://")[2] or value
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0].lower()
    return netloc.partition(":")[0].rstrip(".").lower()
