"""A proxy under a test's control, which cuts the link in the middle of an answer."""

import asyncio
import contextlib
import socket
import struct
import threading


class CuttingProxy:
    """Passes bytes between a caller and a server on this machine, and resets the caller's connection when told to.

    Attributes:
        cuts: How many connections are still to be cut.
        after: How many bytes of answers a connection carries before it is cut.
        asked: The `Range` header of each request that went through, None where there was none.
    """

    def __init__(self, port, *, cuts=0, after=0):
        self.cuts, self.after = cuts, after
        self.asked = []
        self._serving = set()
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _connected(self, reader, writer):
        self._serving.add(asyncio.current_task())  # which a caller who has gone would let be collected as it waits
        with contextlib.suppress(OSError, asyncio.CancelledError):
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._target)
            up = asyncio.ensure_future(self._up(reader, their_writer))
            try:
                await self._down(their_reader, writer)
            finally:
                up.cancel()
                their_writer.close()
        writer.close()
        self._serving.discard(asyncio.current_task())

    async def _up(self, reader, writer):
        while data := await reader.read(65536):
            head = data.partition(b"\r\n\r\n")[0].decode("latin-1")
            if head.startswith("GET "):
                lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                self.asked.append(lines.get("range"))
            writer.write(data)
            await writer.drain()

    async def _down(self, reader, writer):
        carried = 0
        while data := await reader.read(65536):
            carried += len(data)
            if self.cuts and carried > self.after:
                self.cuts -= 1
                writer.write(data[: max(0, len(data) - (carried - self.after))])
                await writer.drain()
                await asyncio.sleep(0)
                reset = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                writer.transport.abort()
                return
            writer.write(data)
            await writer.drain()

    def stop(self):
        async def end():
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(5)
        self._loop.close()


@contextlib.contextmanager
def cutting(port, **how):
    """A proxy before the server at a port."""
    proxy = CuttingProxy(port, **how)
    try:
        yield proxy
    finally:
        proxy.stop()
