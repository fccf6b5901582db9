"""A client whose request never ends is given up, and no other is."""

import socket

import httpx
import pytest
from farcall_server import File, connections
from farcall_server.connections import MOST_BYTES, BoundedProtocol


def taken(url, start, more):
    """How many bytes of a request that goes on and on were sent until the server hung up."""
    with socket.create_connection((url.host, url.port), timeout=20) as there:
        there.sendall(start)
        sent = 0
        try:
            while sent < 100 * MOST_BYTES:
                sent += there.send(more)
        except OSError:  # it has hung up
            return sent
    return sent


CHUNKED = b"POST /f HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n" * 1000),
        (CHUNKED + b"1;a=", b"a" * 10_000),
        (CHUNKED + b"0\r\nX: ", b"a" * 10_000),
    ],
)
def test_a_head_that_never_ends_is_given_up(serve, app, start, more):
    app.task_endpoint("/f")(lambda: None)
    client = serve(app)
    assert taken(client.base_url, start, more) < 100 * MOST_BYTES
    assert client.get("/health").status_code == 200


def test_bodies_and_many_requests_on_one_connection_may_be_as_long_as_they_like(serve, app):
    @app.endpoint("/size")
    def size(file: File) -> int | None:
        return file.size

    client = serve(app)
    for _ in range(3):
        assert client.post("/size", files={"file": b"x" * 30 * MOST_BYTES}).json() == 30 * MOST_BYTES

    def slowly():
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        yield from (part, *[b"x" * 1000] * 3 * (MOST_BYTES // 1000), b"\r\n--b--\r\n")

    reply = client.post("/size", content=slowly(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert reply.json() == 3 * (MOST_BYTES // 1000) * 1000
    assert httpx.get(client.base_url.join("/health"), headers={"x": "y" * (MOST_BYTES - 1000)}).status_code == 200


@pytest.mark.parametrize(
    "start", [b"", b"GET /hea", b"POST /f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_client_that_falls_silent_in_a_request_is_given_up(serve, app, monkeypatch, start):
    monkeypatch.setattr(connections, "SILENCE_S", 0.05)
    app.task_endpoint("/f")(lambda: None)
    url = serve(app).base_url
    with socket.create_connection((url.host, url.port), timeout=20) as there:
        there.sendall(start)
        assert there.recv(1) == b""


def test_a_client_that_waits_for_an_answer_is_not(serve, app, monkeypatch, gate):
    monkeypatch.setattr(connections, "SILENCE_S", 0.05)
    silences = []
    listen = BoundedProtocol._listen

    def note(self):
        silences.append(self)
        if len(silences) == 5:
            gate.set()
        listen(self)

    monkeypatch.setattr(BoundedProtocol, "_listen", note)
    app.task_endpoint("/f")(lambda: gate.wait(20))
    reply = serve(app).post("/f", headers={"prefer": "wait=20"})
    assert reply.json()["result"] is True


def test_a_connection_that_has_ended_is_not_kept_in_memory_by_its_timer(serve, app, monkeypatch):
    made = []
    begin = BoundedProtocol.connection_made
    monkeypatch.setattr(BoundedProtocol, "connection_made", lambda *args: (made.append(args[0]), begin(*args))[1])
    client = serve(app)
    httpx.get(client.base_url.join("/health"))
    assert any(made[0]._timer.cancelled() for _ in range(1000) if client.get("/health"))
