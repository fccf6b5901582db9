"""A request that has not ended when the server must is told so, and the log holds no traceback of it."""

import asyncio
import socket
import threading

import pytest
from farcall_server import File, serving
from farcall_server.cutting import answering
from fastapi import Depends


def test_an_upload_that_stands_still_when_the_server_stops_is_told_so_without_a_traceback(
    serve, app, monkeypatch, caplog
):
    monkeypatch.setattr(serving, "GRACE_S", 0.1)
    reading = threading.Event()

    @app.task_endpoint("/f", dependencies=[Depends(reading.set)])
    def f(file: File):
        return file.size

    client = serve(app)
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as there:
        head = b"POST /f HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        there.sendall(head + b"Content-Length: 100000\r\n\r\n--b\r\n")
        assert reading.wait(20)
        client.server.stop()
        answer = b"".join(iter(lambda: there.recv(10_000), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"The server is stopping" in answer
    assert [record.message for record in caplog.records if record.exc_info] == []


async def cut_off(*, stopping, scope=None, sends=()):
    """What is sent by an app that says this much and is then cancelled."""
    sent = []

    async def app(_, __, send):
        for message in sends:
            await send(message)
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    call = answering(app, lambda: stopping)(scope or {"type": "http"}, None, send)
    task = asyncio.create_task(call)
    await asyncio.sleep(0)
    task.cancel()
    await task
    return sent


def test_an_answer_that_has_begun_is_not_followed_by_another():
    begun = [{"type": "http.response.start", "status": 200, "headers": []}]
    assert asyncio.run(cut_off(stopping=True, sends=begun)) == begun


@pytest.mark.parametrize(("kind", "stopping"), [("http", False), ("websocket", True), ("lifespan", True)])
def test_what_else_is_cancelled_stays_cancelled(kind, stopping):
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cut_off(stopping=stopping, scope={"type": kind}))
