"""A request whose head never ends is given up, and nothing else is."""

import socket

import httpx
import pytest
from farcall_server import File
from farcall_server.heads import MOST_BYTES


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
