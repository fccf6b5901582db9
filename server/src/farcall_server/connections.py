"""Reads HTTP as uvicorn does, but gives up a client that sends a head without end, or falls silent in a request."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES: Final = 64 * 1024
"""Of a request's head, or a chunk's, that goes on; one that comes whole in a single read (256 kB at most) is taken."""

SILENCE_S: Final = 60.0
"""Seconds in which something must come of a request that is not whole; up to twice as many go until it is noticed."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _unread_bytes = 0  # which belong to no body yet, and end no head; httptools holds them in memory
    _awaited = True  # there is no request yet, or one that is not whole
    _heard = True  # something has come since `_listen` looked last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A client has connected."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(SILENCE_S, self._listen)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._timer.cancel()  # it would keep all of this in memory
        super().connection_lost(exc)

    def _listen(self) -> None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:  # a websocket by now
            return
        if self._awaited and not (self._heard or self.flow.read_paused):
            self.transport.close()
            return
        self._heard = False
        self._timer = self.loop.call_later(SILENCE_S, self._listen)

    def data_received(self, data: bytes) -> None:
        """Take what has come in; close the connection if it is too much of a head."""
        self._heard = self._awaited = True
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > MOST_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request's head is larger than {MOST_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._unread_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body has come."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has ended."""
        self._unread_bytes, self._awaited = 0, False
        super().on_message_complete()
