"""Messages between the server and a worker process: a few JSON values each, with a text beside them."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from typing import Any, Final

_SIZES: Final = struct.Struct(">IQ")


class Pipe:
    """One end of the connection. Anybody may send; one thread receives.

    Args:
        connection: A connected socket, which is closed with the pipe.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._source = connection.makefile("rb")
        self._lock = threading.Lock()

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Send a message; blocks while the other end has not read enough of those before.

        Raises:
            EOFError: The other end is gone.
        """
        text = json.dumps(head).encode()
        try:
            with self._lock:
                self._connection.sendall(_SIZES.pack(len(text), len(body)) + text + body)
        except OSError as error:
            raise EOFError from error

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """The next message.

        Raises:
            EOFError: There is none: the other end is gone.
        """
        head, body = _SIZES.unpack(self._exactly(_SIZES.size))
        return json.loads(self._exactly(head)), self._exactly(body)

    def _exactly(self, size: int) -> bytes:
        try:
            read = self._source.read(size)
        except (OSError, ValueError) as error:  # reset, or closed here
            raise EOFError from error
        if len(read) < size:
            raise EOFError
        return read

    def hang_up(self) -> None:
        """Have both ends find that nothing more comes; from any thread."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up; by the thread that receives, or when none does."""
        self._source.close()
        self._connection.close()
