"""Reads HTTP as uvicorn does, but no head that never ends: httptools would hold all of it in memory."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES: Final = 64 * 1024
"""Of a request's head, or a chunk's, that goes on; one that comes whole in a single read (256 kB at most) is taken."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _unread_bytes = 0  # which belong to no body yet, and end no head

    def data_received(self, data: bytes) -> None:
        """Take what has come in; close the connection if it is too much of a head."""
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
        self._unread_bytes = 0
        super().on_message_complete()
