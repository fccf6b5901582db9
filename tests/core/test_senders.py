"""One contract for every sender: a dumb pipe that carries exactly what it was given."""

import asyncio
import contextlib
import gzip
import json
import socket
import threading

import pytest
from farcall.bodies import BytesBody, StreamBody
from farcall.errors import FileError, ProtocolError, Unreachable, UsageError
from farcall.sender_aiohttp import AiohttpSender
from farcall.sender_asgi import AsgiSender
from farcall.sender_httpx import HttpxSender
from farcall.wire import Request


class App:
    """An ASGI app that tells what it was asked, and what became of its callers."""

    def __init__(self):
        self.gone = threading.Event()
        self.started = 0
        self.stopped = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            self.started += 1
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.stopped += 1
            await send({"type": "lifespan.shutdown.complete"})
            return
        await getattr(self, scope["path"].strip("/").partition("/")[0])(scope, receive, send)

    async def echo(self, scope, receive, send):
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        said = {
            "method": scope["method"],
            "raw_path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": {k.decode(): v.decode() for k, v in scope["headers"]},
            "body": body.decode("latin-1"),
        }
        await reply(send, json.dumps(said).encode(), [(b"content-type", b"application/json")])

    async def redirect(self, scope, receive, send):
        await reply(send, b"", [(b"location", b"/echo")], 302)

    async def cookie(self, scope, receive, send):
        await reply(send, b"", [(b"set-cookie", b"a=1; Path=/")])

    async def zipped(self, scope, receive, send):
        await reply(send, gzip.compress(b"plain " * 1000), [(b"content-encoding", b"gzip")])

    async def big(self, scope, receive, send):
        await reply(send, b"x" * 300_000, [])

    async def raises(self, scope, receive, send):
        raise RuntimeError("kaput")

    async def endless(self, scope, receive, send):
        await receive()
        hung_up = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not hung_up.done():
            with contextlib.suppress(OSError):
                await send({"type": "http.response.body", "body": b"0\n", "more_body": True})
            await asyncio.sleep(0.005)
        if hung_up.result()["type"] == "http.disconnect":
            self.gone.set()


async def reply(send, body, headers, status=200):
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(params=["aiohttp", "httpx", "asgi"])
def pipe(request, serve):
    """A sender and the address of the app it reaches."""
    app = App()
    if request.param == "asgi":
        return lambda: AsgiSender(app), "http://localhost", app
    make = {"aiohttp": AiohttpSender, "httpx": HttpxSender}[request.param]
    return make, serve(app).url, app


def run(pipe, use):
    async def main():
        make, url, app = pipe
        sender = make()
        try:
            return await use(sender, url, app)
        finally:
            await sender.close()
            await sender.close()

    return asyncio.run(main())


async def ask(sender, url, **request):
    response = await sender.send(Request(**{"method": "GET", **request, "url": url}))
    return response, await response.body.read(1_000_000)


def test_method_headers_and_body_arrive_as_they_were_given(pipe):
    async def use(sender, url, _):
        _, content = await ask(sender, url + "/echo", method="PUT", headers={"x-a": "1"}, body=b"abc")
        return json.loads(content)

    said = run(pipe, use)
    assert (said["method"], said["body"], said["headers"]["x-a"]) == ("PUT", "abc", "1")
    assert said["headers"]["content-length"] == "3"


def test_an_address_is_not_quoted_anew(pipe):
    async def use(sender, url, _):
        _, content = await ask(sender, url + "/echo/a%2Fb?sig=a%2Bb%3D%3D&x=%7E")
        return json.loads(content)

    said = run(pipe, use)
    assert said["query"] == "sig=a%2Bb%3D%3D&x=%7E"
    assert said["raw_path"].split("?")[0] == "/echo/a%2Fb"


def test_a_streamed_body_with_a_length_says_it(pipe):
    async def use(sender, url, _):
        _, content = await ask(sender, url + "/echo", method="POST", body=BytesBody(b"x" * 300_000))
        return json.loads(content)

    said = run(pipe, use)
    assert said["headers"]["content-length"] == "300000"
    assert len(said["body"]) == 300_000


def test_a_streamed_body_without_a_length_arrives_whole(pipe):
    async def use(sender, url, _):
        _, content = await ask(sender, url + "/echo", method="POST", body=StreamBody([b"a" * 1000, b"b" * 1000]))
        return json.loads(content)

    assert run(pipe, use)["body"] == "a" * 1000 + "b" * 1000


def test_a_redirect_is_handed_on_and_not_followed(pipe):
    async def use(sender, url, _):
        response, _ = await ask(sender, url + "/redirect")
        return response

    response = run(pipe, use)
    assert (response.status, response.headers["Location"]) == (302, "/echo")


def test_cookies_are_not_kept(pipe):
    async def use(sender, url, _):
        await ask(sender, url + "/cookie")
        _, content = await ask(sender, url + "/echo")
        return json.loads(content)

    assert "cookie" not in run(pipe, use)["headers"]


def test_a_compressed_reply_is_read_plain(pipe):
    async def use(sender, url, _):
        _, content = await ask(sender, url + "/zipped")
        return content

    assert run(pipe, use) == b"plain " * 1000


def test_a_reply_larger_than_the_limit_is_a_protocol_error(pipe):
    async def use(sender, url, _):
        response = await sender.send(Request(method="GET", url=url + "/big"))
        with pytest.raises(ProtocolError, match="larger than the 1,000 bytes"):
            await response.body.read(1000)

    run(pipe, use)


def test_a_reply_comes_piece_by_piece_and_hanging_up_reaches_the_app(pipe):
    async def use(sender, url, app):
        response = await sender.send(Request(method="GET", url=url + "/endless"))
        chunks = response.body.chunks()
        first = await anext(chunks)
        await chunks.aclose()
        response.drop()
        await asyncio.to_thread(app.gone.wait, 5)
        assert app.gone.is_set()
        return first

    assert run(pipe, use).startswith(b"0\n")


def test_a_fault_while_the_body_is_read_is_what_is_raised(pipe):
    class Shrunk:
        length = 1000
        repeatable = True

        async def chunks(self):
            yield b"x" * 10
            raise FileError("the file shrank")

    async def use(sender, url, _):
        with pytest.raises(FileError, match="shrank"):
            await ask(sender, url + "/echo", method="POST", body=Shrunk())

    run(pipe, use)


def test_an_app_that_raises_is_an_answer_or_unreachable(pipe):
    async def use(sender, url, _):
        try:
            response = await sender.send(Request(method="GET", url=url + "/raises"))
        except Unreachable as error:
            return str(error)
        return str(response.status)

    said = run(pipe, use)  # a server answers 500; in this process there is none between us and the fault
    assert "kaput" in said if isinstance(pipe[0](), AsgiSender) else said == "500"


def test_an_app_in_this_process_is_started_once_and_shut_down():
    app = App()

    async def main():
        sender = AsgiSender(app)
        await asyncio.gather(*(ask(sender, "http://localhost/echo") for _ in range(5)))
        assert (app.started, app.stopped) == (1, 0)
        await sender.close()

    asyncio.run(main())
    assert (app.started, app.stopped) == (1, 1)


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
def test_a_refused_connection_is_surely_unsent(make):
    async def main():
        sender = make()
        try:
            await sender.send(Request(method="POST", url="http://127.0.0.1:9/x", body=b"paid"))
        finally:
            await sender.close()

    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 gave no reply") as caught:
        asyncio.run(main())
    assert caught.value.unsent


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_closes_without_an_answer_is_not_tried_again(make, method, raw_server):
    answers = iter([True, False])

    async def handler(request, writer):
        if next(answers):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return True
        return False

    server = raw_server(handler)

    async def main():
        sender = make()
        try:
            await ask(sender, server.url)
            await sender.send(Request(method=method, url=server.url, body=b"once"))
        finally:
            await sender.close()

    with pytest.raises(Unreachable) as caught:
        asyncio.run(main())
    assert not caught.value.unsent
    assert len(server.requests) == 2


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
def test_silence_ends_in_unreachable(make, raw_server):
    async def handler(request, writer):
        await asyncio.sleep(30)
        return False

    server = raw_server(handler)

    async def main():
        sender = make()
        try:
            await sender.send(Request(method="POST", url=server.url, body=b"x", silence_s=0.1))
        finally:
            await sender.close()

    with pytest.raises(Unreachable) as caught:
        asyncio.run(main())
    assert not caught.value.unsent


def everything(error):
    """All an error shows or holds on to."""
    told = ""
    while error is not None:
        told += f"{error} {error!r} {vars(error)} {getattr(error, 'request_info', '')} {getattr(error, 'headers', '')}"
        error = error.__cause__ or error.__context__
    return told


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
@pytest.mark.parametrize("said", [b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
def test_an_error_holds_neither_the_query_nor_a_header(make, said, raw_server):
    async def handler(request, writer):
        writer.write(said)
        await writer.drain()
        return False

    server = raw_server(handler)

    async def main():
        sender = make()
        try:
            await ask(sender, server.url + "/a?api_key=QUERYKEY", headers={"authorization": "Bearer HEADERKEY"})
        finally:
            await sender.close()

    with pytest.raises(Unreachable) as caught:
        asyncio.run(main())
    assert "KEY" not in everything(caught.value)


@pytest.mark.parametrize(
    ("make", "url"),
    [
        (AiohttpSender, "http://127.0.0.1:99999/?k=SECRET"),
        (AiohttpSender, "http://127.0.0.1:9/?k=SECRET"),
        (HttpxSender, "http://127.0.0.1:9/?k=SECRET"),
    ],
)
def test_an_error_about_an_address_leaves_its_query_out(make, url):
    async def main():
        sender = make()
        try:
            await ask(sender, url, headers={"authorization": "Bearer SECRET"})
        finally:
            await sender.close()

    with pytest.raises(Unreachable) as caught:
        asyncio.run(main())
    assert "SECRET" not in everything(caught.value)


def test_a_header_with_a_line_break_is_not_quoted(serve):
    async def main():
        sender = AiohttpSender()
        try:
            await ask(sender, serve(App()).url + "/echo", headers={"authorization": "Bearer SECRET\r\nx: y"})
        finally:
            await sender.close()

    with pytest.raises(Unreachable) as caught:
        asyncio.run(main())
    assert "SECRET" not in everything(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxys_password_is_not_told(scheme, raw_server, monkeypatch):
    async def handler(request, writer):
        writer.write(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n" if request[0] == "CONNECT" else b"garbage\r\n\r\n")
        await writer.drain()
        return False

    proxy = raw_server(handler)
    monkeypatch.setenv(f"{scheme}_proxy", proxy.url.replace("//", "//me:PASSWORD@"))
    monkeypatch.setenv("no_proxy", "")

    async def main():
        sender = AiohttpSender()
        try:
            await ask(sender, f"{scheme}://far.example/a")
        finally:
            await sender.close()

    with pytest.raises(Unreachable) as caught:
        asyncio.run(main())
    assert "PASSWORD" not in everything(caught.value)
    assert caught.value.unsent == (scheme == "https")


def test_a_proxy_this_sender_cannot_use_is_told_with_what_can(monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5://me:PASSWORD@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")

    async def main():
        sender = AiohttpSender()
        try:
            await ask(sender, "http://far.example/a")
        finally:
            await sender.close()

    with pytest.raises(UsageError, match="HttpxSender") as caught:
        asyncio.run(main())
    assert "PASSWORD" not in everything(caught.value)


class Slow:
    """A server that takes a body at a pace, or not at all, and answers once it has it."""

    def __init__(self, size, piece, pause_s):
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(size, piece, pause_s), daemon=True)
        self._thread.start()

    def _serve(self, size, piece, pause_s):
        connection, _ = self._listening.accept()
        with connection, contextlib.suppress(OSError):
            taken = 0
            while taken < size and not self._end.wait(pause_s) and (data := connection.recv(piece)):
                taken += len(data)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    def stop(self):
        self._end.set()
        self._thread.join(10)
        self._listening.close()


@pytest.mark.parametrize("whole", [True, False])
def test_a_body_that_moves_slowly_is_not_silence(whole):
    size = 6_000_000
    content = b"x" * size
    server = Slow(size, 65536, 0.01)

    async def main():
        sender = AiohttpSender()
        body = content if whole else StreamBody([content[n : n + 500_000] for n in range(0, size, 500_000)], size)
        begun = asyncio.get_running_loop().time()
        try:
            _, said = await ask(sender, server.url, method="POST", body=body, silence_s=0.7)
        finally:
            await sender.close()
        assert asyncio.get_running_loop().time() - begun > 0.7
        return said

    try:
        assert asyncio.run(main()) == b"ok"
    finally:
        server.stop()


@pytest.mark.parametrize("whole", [True, False])
def test_a_host_that_takes_nothing_more_of_a_body_is_unreachable(whole):
    content = b"x" * 20_000_000
    server = Slow(len(content), 1, 30)

    async def main():
        sender = AiohttpSender()
        body = content if whole else StreamBody([content[:10_000_000], content[10_000_000:]], len(content))
        try:
            async with asyncio.timeout(10):
                await ask(sender, server.url, method="POST", body=body, silence_s=0.3)
        finally:
            await sender.close()

    try:
        with pytest.raises(Unreachable, match="silent"):
            asyncio.run(main())
    finally:
        server.stop()


def test_the_wait_for_our_own_slow_source_is_not_the_hosts_silence(serve):
    class Pausing:
        length = None
        repeatable = True

        async def chunks(self):
            yield b"a"
            await asyncio.sleep(0.5)
            yield b"b"

    async def main():
        sender = AiohttpSender()
        try:
            return await ask(sender, serve(App()).url + "/echo", method="POST", body=Pausing(), silence_s=0.2)
        finally:
            await sender.close()

    _, content = asyncio.run(main())
    assert json.loads(content)["body"] == "ab"


def test_an_app_that_could_not_start_is_not_asked_anything():
    asked = []

    async def app(scope, receive, send):
        asked.append(scope["type"])
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def main():
        sender = AsgiSender(app)
        for _ in range(2):
            with pytest.raises(Unreachable, match="could not start: no database"):
                await sender.send(Request(method="GET", url="http://localhost/x"))
        await sender.close()

    asyncio.run(main())
    assert asked == ["lifespan"]
