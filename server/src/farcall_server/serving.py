"""The server process: where it listens, what it says when it is up, and how it stops."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import uvicorn
from farcall.errors import ConfigError

from farcall_server import cutting, descriptors
from farcall_server.connections import BoundedProtocol
from farcall_server.hosts import is_loopback

if TYPE_CHECKING:
    from farcall_server.app import FastTaskAPI

HOST: Final = "127.0.0.1"
PORT: Final = 8000
GRACE_S: Final = 10
"""Seconds that open requests have to end once the server is told to stop; jobs have the app's."""


def serve(app: FastTaskAPI, *, host: str | None = None, port: int | None = None) -> None:
    """Serve an app until it is told to stop (Ctrl-C, SIGTERM).

    Args:
        app: What is served.
        host: Where it listens; None: `FTAPI_HOST`, else 127.0.0.1.
        port: On which port, 0 for a free one; None: `FTAPI_PORT`, else 8000.

    Raises:
        ConfigError: `FTAPI_PORT` is no port number.
        SystemExit: It could not start; the log says why.
    """
    descriptors.allow_many()
    server = Server(
        app,
        host=host or os.environ.get("FTAPI_HOST") or HOST,
        port=_port() if port is None else port,
        kept_in=app.kept_in,
    )
    with contextlib.suppress(KeyboardInterrupt), _heeded():  # Ctrl-C has done its work by now
        server.run()
    if not server.started:
        raise SystemExit(3)


@contextlib.contextmanager
def _heeded() -> Iterator[None]:
    """Exit with 0 on SIGTERM, which uvicorn raises once more when it has stopped because of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _port() -> int:
    text = os.environ.get("FTAPI_PORT") or str(PORT)
    if not text.isdecimal() or int(text) > 65535:
        raise ConfigError(f"FTAPI_PORT is {text!r}; it must be a port number, 0 to 65535.")
    return int(text)


class Server(uvicorn.Server):
    """uvicorn, saying where the app is found, and letting waiting clients go before it stops."""

    def __init__(self, app: FastTaskAPI, *, host: str, port: int, kept_in: str = "") -> None:
        super().__init__(
            uvicorn.Config(
                cutting.answering(app, lambda: self.should_exit),
                host=host,
                port=port,
                http=BoundedProtocol,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self.served, self.kept_in = app, kept_in

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say where."""
        await super().startup(sockets)
        if self.started:
            gc.collect()
            gc.freeze()  # what is there by now stays: it need not be searched for garbage again and again
            sys.stdout.write(self.greeting() + "\n")
            if self.kept_in:
                sys.stdout.write(f"Its jobs are kept in {self.kept_in}\n")
            sys.stdout.flush()
            if not is_loopback(self.bound[0]):
                self.served.open_door.warn()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer everybody who waits, then stop."""
        self.served.release()
        await super().shutdown(sockets)
        gc.unfreeze()  # a program that goes on, as a notebook does, may forget the app and its models

    @property
    def url(self) -> str:
        """The address under which the app is found, once it is."""
        bound, port = self.bound
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)  # noqa: S104 - not bound to, shown
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def bound(self) -> tuple[str, int]:
        """The address and the port it listens on, once it does."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return host, port

    def greeting(self) -> str:
        """One line: what is served where, and where its documentation is."""
        docs = self.served.docs_url
        said = f"{self.served.title} serves at {self.url}"
        return f"{said} (docs: {self.url}{docs}); Ctrl-C stops it." if docs else f"{said}; Ctrl-C stops it."
