"""What every test needs: a home of its own, and real servers on free ports that leave nothing behind."""

import asyncio
import contextlib
import os
import socket
import threading
import time

import pytest
import uvicorn
from farcall import settings

pytest_plugins = ["farcall_runpod.testing"]


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """No test sees or touches the user's home, configuration or keys."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    for name in list(os.environ):
        if name.startswith(("FARCALL_", "FTAPI_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(home)
    yield home
    settings.api_keys.clear()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    """An ASGI app on a real socket, in a thread."""

    def __init__(self, app, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(app, host="127.0.0.1", port=self.port, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        end = time.monotonic() + 20
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise RuntimeError("the test server did not start")
            time.sleep(0.005)

    def stop(self):
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive(), "the test server did not stop"


@pytest.fixture
def serve():
    """Serve ASGI apps: `serve(app).url`."""
    with contextlib.ExitStack() as stack:

        def start(app, port=None):
            served = Served(app, port)
            stack.callback(served.stop)
            return served

        yield start


class RawServer:
    """A TCP server that answers as a coroutine function says; for replies no framework would send."""

    def __init__(self, handler):
        self.requests = []
        self._handler = handler
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._connected, "127.0.0.1", 0), self._loop
        ).result(5)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def _connected(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                request = await self._read(reader)
                self.requests.append(request)
                if not await self._handler(request, writer):
                    break
        writer.close()

    async def _read(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return method, path, headers, body

    def stop(self):
        async def end():
            self._server.close()
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def raw_server():
    """A server that answers with exact bytes: `raw_server(handler).url`."""
    with contextlib.ExitStack() as stack:

        def start(handler):
            server = RawServer(handler)
            stack.callback(server.stop)
            return server

        yield start
