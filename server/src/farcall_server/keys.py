"""Who may use the server: callers that show one of its keys."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Collection
from typing import Final

from farcall.errors import ConfigError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

VARIABLE: Final = "FTAPI_API_KEYS"
SCHEME: Final = "bearer"

_UNAUTHENTICATED: Final = {
    "detail": "This server takes calls with one of its keys only: Authorization: Bearer <key>. "
    "A farcall client is given it as api_key=."
}


def configured(keys: Collection[str] | None) -> tuple[str, ...]:
    """The server's keys; none: everybody may use it.

    Args:
        keys: As given by the program; None: those of `FTAPI_API_KEYS`, separated by commas.

    Raises:
        ConfigError: A key is empty, or holds what a header cannot.
    """
    if keys is None:
        keys = [key.strip() for key in os.environ.get(VARIABLE, "").split(",") if key.strip()]
    if isinstance(keys, str):
        raise ConfigError('api_keys is a text; it must be a list of keys: api_keys=["…"].')
    for key in keys:
        if not key or not key.isascii() or not key.isprintable() or key != key.strip():
            raise ConfigError("An API key must be printable ASCII, not empty, without blanks around it.")
    return tuple(keys)


class KeyCheck:
    """Refuses requests that show none of the keys.

    Args:
        app: What is protected.
        keys: Any one of them opens it.
        open_paths: What needs no key: the health check and the documentation.
    """

    def __init__(self, app: ASGIApp, keys: Collection[str], open_paths: Collection[str] = ()) -> None:
        self.app = app
        self.open_paths = frozenset(open_paths)
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 401."""
        if scope["type"] == "lifespan" or self._is_open(scope) or self._knows(Headers(scope=scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "no key"})
        else:
            await JSONResponse(_UNAUTHENTICATED, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
        return path in self.open_paths

    def _knows(self, headers: Headers) -> bool:
        """Compare with every key, each in constant time, so that the time taken tells nothing of them."""
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        digest = _digest(shown.strip().encode("latin-1", "replace"))
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        return scheme.lower() == SCHEME and any(found)


def _digest(key: bytes) -> bytes:
    """Of one length whatever the key's is."""
    return hashlib.sha256(key).digest()
