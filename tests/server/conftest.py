"""A real server on a real socket for every test, and nothing of it left afterwards."""

import threading

import httpx
import pytest
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from farcall_server import FastTaskAPI
from farcall_server.serving import Server

OWN = {"accept": f"{MEDIA_TYPE}, application/json"}
NOW = {**OWN, "prefer": "wait=30"}


class Running(Server):
    """A server in a thread, which says when it can be reached."""

    def __init__(self, app):
        super().__init__(app, host="127.0.0.1", port=0)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run, name="test-server")

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.ready.set()

    def stop(self):
        self.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture
def serve():
    """`serve(app)` serves it and gives a client for it."""
    servers, clients = [], []

    def start(app) -> httpx.Client:
        server = Running(app)
        servers.append(server)
        server.thread.start()
        assert server.ready.wait(10)
        client = httpx.Client(base_url=server.url, timeout=40)
        client.server = server
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.close()
    for server in servers:
        server.stop()


@pytest.fixture
def app():
    return FastTaskAPI(shutdown_grace_s=0.2)


@pytest.fixture
def call(serve):
    """`call(function)` serves it at /f as a task; the result calls it and gives the job's own form once it ended."""

    def make(function, **options):
        app = FastTaskAPI(
            shutdown_grace_s=0.2, **{k: options.pop(k) for k in ("max_upload_bytes", "fetch_hosts") if k in options}
        )
        app.task_endpoint("/f", **options)(function)
        client = serve(app)

        def send(**request):
            return client.post("/f", headers={**NOW, **request.pop("headers", {})}, **request)

        send.client = client
        return send

    return make


@pytest.fixture
def own():
    """The headers that ask for our own form."""
    return OWN


@pytest.fixture
def gate():
    """What holds functions back: they wait for `gate`, which opens at the latest when the test is over."""
    opened = threading.Event()
    yield opened
    opened.set()
