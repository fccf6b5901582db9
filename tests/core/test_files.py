"""Files: what is refused at once, what is told when reading fails, and from where they can be read."""

import asyncio
import io
import os
import pickle
import threading
from pathlib import Path

import pytest
from farcall import background, threads, wire
from farcall.bodies import Base64Body, StreamBody
from farcall.errors import FileError, InputError, JobFailed, ProtocolError, Unreachable, UsageError, WaitTimeout
from farcall.fetching import follow, plain_fetch
from farcall.files import File
from farcall.files_async import AsyncFile
from farcall.jobs import Snapshot, State
from farcall.wire import FileValue, Request, Response


async def read(file):
    return b"".join([chunk async for chunk in file.carried().body.chunks()])


def sent(file):
    return asyncio.run(read(file))


class Trickle:
    """A reply's body that can only be read on the loop it was made on."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.dropped = threading.Event()

    async def chunks(self):
        for piece in (b"one", b"two"):
            assert asyncio.get_running_loop() is self.loop
            await asyncio.sleep(0)
            yield piece

    def drop(self):
        self.dropped.set()


async def remote(body=None):
    """A result file of a service that was connected on this loop."""

    async def fetch(url, headers):
        return Response(status=200, body=body or Trickle())

    return AsyncFile(FileValue(name="r.bin", url="http://h/r.bin"), fetch)


# --- what is refused at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/a", "http://[::1", "http://", "http://:80", "http://h b/", "ftp://h/a"]
)
def test_an_address_that_cannot_be_fetched_is_an_input_error(url):
    with pytest.raises(InputError, match="no http, https or data address"):
        File.from_url(url)


@pytest.mark.parametrize("url", ["http://h/a\r\nx-injected: 1", "http://h/a\0b", "https://h/a\nb"])
def test_an_address_with_a_control_character_is_refused(url):
    for make in (File.from_url, File.of):
        with pytest.raises(InputError, match="no http, https or data address"):
            make(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://h example/p",
        "http://h.example\r\nX-Evil/p",
        "http://h.example:80\r\n/p",
        "http://h.example\t/p",
        "http://h.example:port/p",
        "http://[::1/p",
        "http:///p",
    ],
)
def test_an_address_from_elsewhere_whose_host_is_none_is_the_files_error_and_nobody_is_asked(url):
    asked = []

    async def send(request):
        asked.append(request.url)
        return Response(status=200)

    with pytest.raises(FileError, match="is no address that can be fetched"):
        asyncio.run(follow(send, Request(method="GET", url=url)))
    assert asked == []


@pytest.mark.parametrize("place", ["http://h example/p", "//h example/p", "http://h.example:port/p", "http://[::1/p"])
def test_a_redirect_to_a_host_that_is_none_is_the_files_error(place):
    asked = []

    async def send(request):
        asked.append(request.url)
        return Response(status=302, headers={"location": place})

    with pytest.raises(FileError, match=r"is no address that can be fetched|which is not fetched"):
        asyncio.run(follow(send, Request(method="GET", url="http://h.example/first")))
    assert asked == ["http://h.example/first"]


def test_an_address_may_be_written_in_capitals_and_other_schemes_are_named():
    assert File.of("HTTPS://h/My%20photo.PNG").url == "https://h/My%20photo.PNG"
    assert File.of("DATA:text/plain,hello").read() == b"hello"
    for other in ("ftp://h/a", "file:///etc/hostname", "s3://bucket/key"):
        with pytest.raises(InputError, match="only http, https and data addresses are fetched"):
            File.of(other)


def test_a_file_at_an_address_is_called_what_a_browser_calls_it():
    assert File.from_url("https://h/f%C3%BC%20r.png?sig=a%2Fb").name == "fü r.png"
    assert File.from_url("https://h/a%2F..%2F..%2Fetc%2Fpasswd").name == "passwd"


@pytest.mark.parametrize(
    ("make", "given", "wanted"),
    [
        (File.from_bytes, ["text", 5, None], "give bytes, not"),
        (File.from_path, [5, None, b"x"], "give a path, not"),
        (File.from_url, [5, None, b"x"], "give an address, not"),
        (File.from_stream, [5, None, b"x", "text"], "give an open binary file or an iterator of bytes, not"),
    ],
)
def test_what_a_file_is_not_made_of_is_named(make, given, wanted):
    for value in given:
        with pytest.raises(InputError, match=f"{wanted} {type(value).__name__}"):
            make(value)


def test_a_file_open_as_text_is_no_stream(tmp_path):
    (tmp_path / "f").touch()
    with (tmp_path / "f").open() as text, pytest.raises(InputError, match="open it with mode 'rb'"):
        File.from_stream(text)


@pytest.mark.parametrize("media_type", ["a/b\r\nx-injected: 1", "a/b\r\n\r\nbody", "png", "text/plain; charset=ü", 5])
def test_a_media_type_that_is_none_is_refused(media_type, tmp_path):
    (tmp_path / "f").touch()
    makers = (
        (File.from_bytes, b""),
        (File.from_path, tmp_path / "f"),
        (File.from_stream, iter([])),
        (File.from_url, "http://h/"),
    )
    for make, value in makers:
        with pytest.raises(InputError, match=r"no media type|give a media type"):
            make(value, media_type=media_type)


def test_what_another_host_says_a_file_is_goes_into_no_header():
    assert FileValue(name="a", media_type="a/b\r\nx-injected: 1").media_type == "application/octet-stream"
    assert File.from_url("data:a/b\r\nx-injected: 1;base64,aGk=").media_type == "application/octet-stream"
    assert FileValue(name="a", media_type="text/plain; charset=utf-8").media_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize("said", [None, 7, ["image/png"], b"image/png", f"text/plain; a={'b' * 600}"])
def test_a_media_type_that_is_no_text_or_endless_is_an_unknown_one(said):
    assert FileValue(name="a", media_type=said).media_type == "application/octet-stream"


def test_no_long_text_from_elsewhere_is_remembered():
    long = f"text/plain; a={'b' * 1_000_000}"
    before = wire._is_media_type.cache_info().currsize
    FileValue(name="a", media_type=long)
    assert wire._is_media_type.cache_info().currsize == before
    assert Response(status=200, headers={"content-type": long}).media_type == "text/plain"
    hits = wire._media_type.cache_info().hits
    wire._media_type(long[: wire.LONGEST_TYPE])
    assert wire._media_type.cache_info().hits == hits + 1


def test_a_file_of_a_stream_can_be_told_from_others_and_kept_in_a_set():
    one, other = (FileValue(name="a", body=StreamBody(io.BytesIO(b"x"))) for _ in range(2))
    assert {one, other, one} == {other, one}
    assert one != other


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", os.devnull):
        with pytest.raises(InputError, match="no regular file"):
            File.from_path(path)


def test_a_data_address_may_have_its_base64_percent_encoded():
    assert File.from_url("data:text/plain;base64,aGk%3D").read() == b"hi"


def test_a_data_address_that_is_no_base64_is_told_before_anything_is_sent():
    for make in (File.from_url, File.of):
        with pytest.raises(InputError, match="said to be base64 and is none"):
            make("data:image/png;base64,!!!!")


def test_a_closed_file_is_told_before_anything_is_sent(tmp_path):
    with (tmp_path / "f").open("wb+") as closed:
        pass
    for make in (File.from_stream, File.of):
        with pytest.raises(InputError, match="the file is closed; open it again"):
            make(closed)
    with (tmp_path / "f").open("wb") as written, pytest.raises(InputError, match="open for writing only"):
        File.of(written)


# --- what is told when reading fails -------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["éééé", "a", "!!!!"])
def test_base64_that_is_none_is_a_protocol_error(text):
    with pytest.raises(ProtocolError, match="not base64"):
        File(FileValue(name="x", body=Base64Body(text))).read()


def test_a_path_that_has_gone_meanwhile_is_named(tmp_path):
    (tmp_path / "gone.txt").write_bytes(b"x")
    file = File.from_path(tmp_path / "gone.txt")
    (tmp_path / "gone.txt").unlink()
    for use in (file.read, file.open, lambda: file.save(tmp_path / "copy"), lambda: sent(file)):
        with pytest.raises(FileError, match=r"gone\.txt can no longer be read"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_gives_no_bytes_or_breaks_is_an_input_error(tmp_path):
    def breaking():
        yield b"x"
        raise RuntimeError("boom")

    with (tmp_path / "f").open("wb+") as closed:
        closing = File.from_stream(closed)
    with pytest.raises(InputError, match="gave a str where bytes are wanted"):
        sent(File.from_stream(iter(["a"])))
    with pytest.raises(InputError, match="RuntimeError: boom"):
        sent(File.from_stream(breaking()))
    with pytest.raises(InputError, match="closed file"):
        sent(closing)


@pytest.mark.parametrize("beyond", [0, 5])
def test_an_open_file_that_stands_at_its_end_is_told_and_one_that_is_empty_is_sent(tmp_path, beyond):
    place = tmp_path / "a.bin"
    place.write_bytes(b"abc")
    with place.open("rb") as on_disk:
        for opened in (on_disk, io.BytesIO(b"abc")):
            opened.seek(3 + beyond)
            for make in (File.from_stream, File.of):
                with pytest.raises(InputError, match=r"stands at its end.*seek\(0\)"):
                    make(opened)
            opened.seek(2)
            assert sent(File.of(opened)) == b"c"
    assert sent(File.of(io.BytesIO())) == b""


@pytest.mark.parametrize("stream", [lambda: io.BytesIO(b"abc"), lambda: iter([b"abc"])], ids=["file", "iterator"])
def test_a_stream_is_not_taken_for_empty_when_it_is_read_once_more(stream):
    file = File.from_stream(stream())
    assert sent(file) == b"abc"
    for use in (file.read, lambda: sent(file)):
        with pytest.raises(InputError, match="can be read only once, and this one was"):
            use()


def test_silent_streams_keep_nobody_else_from_the_disk_and_the_names():
    async def main():
        pipes = [os.pipe() for _ in range(threads.MOST_THREADS + 1)]
        sources = [os.fdopen(r, "rb", 0) for r, _ in pipes]
        waiting = [asyncio.ensure_future(read(File.from_stream(source))) for source in sources]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await threads.run(int, "1") == 1
            assert await threads.look_up(int, "2") == 2
        for _, w in pipes:
            os.close(w)
        assert await asyncio.gather(*waiting) == [b""] * len(pipes)
        for source in sources:
            source.close()

    asyncio.run(main())


@pytest.mark.parametrize("use", ["save", "send"])
def test_who_is_cancelled_while_a_file_is_opened_leaves_none_open_and_none_behind(use, tmp_path, monkeypatch):
    source = tmp_path / "source.bin"
    source.write_bytes(b"x" * 300_000)
    file = AsyncFile(File.from_path(source).value)
    begun, go_on, left = threading.Event(), threading.Event(), []

    def slowly(name, *args, opening=Path.open, **kwargs):
        begun.set()
        go_on.wait(20)
        left.append(opening(Path(name), *args, **kwargs))
        return left[-1]

    async def main():
        monkeypatch.setattr("pathlib.Path.open" if use == "save" else "builtins.open", slowly)
        working = asyncio.ensure_future(file.save(tmp_path) if use == "save" else anext(file.chunks()))
        await threads.run_alone(begun.wait, 20)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        go_on.set()

    asyncio.run(main())
    monkeypatch.undo()
    for _ in range(10_000):  # its thread finds out by itself
        if left and left[0].closed and len(list(tmp_path.iterdir())) == 1:
            break
        threading.Event().wait(0.001)
    assert left[0].closed
    assert list(tmp_path.iterdir()) == [source]


def test_work_that_blocks_its_threads_does_not_block_the_look_up_of_names():
    gate = threading.Event()

    async def main():
        stuck = [asyncio.ensure_future(threads.run(gate.wait, 20)) for _ in range(threads.MOST_THREADS)]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await threads.look_up(int, "2") == 2
        gate.set()
        await asyncio.gather(*stuck)

    asyncio.run(main())


@pytest.mark.parametrize("location", ["http://[::1", "file:///etc/passwd"])
def test_a_fetch_that_fails_leaves_no_connection_open(location, raw_server, monkeypatch):
    from farcall.sender_aiohttp import AiohttpSender

    closed = []

    class Watched(AiohttpSender):
        async def close(self):
            closed.append(self)
            await super().close()

    monkeypatch.setattr("farcall.sender_aiohttp.AiohttpSender", Watched)

    async def handler(request, writer):
        writer.write(f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        return True

    with pytest.raises(FileError, match="which is not fetched"):
        File.from_url(raw_server(handler).url).read()
    assert len(closed) == 1


def test_a_link_that_breaks_is_the_files_error():
    class Broken(Trickle):
        async def chunks(self):
            yield b"x"
            raise Unreachable("gone")

    async def main():
        file = await remote(Broken())
        with pytest.raises(FileError, match=r"'r\.bin' was being fetched"):
            await file.read()

    asyncio.run(main())


@pytest.mark.skipif(os.name != "posix", reason="this platform has no umask to speak of")
def test_a_saved_file_has_the_mode_of_any_new_one(tmp_path):
    before = os.umask(0o027)
    try:
        path = File.from_bytes(b"x").save(tmp_path / "f")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


# --- from where a file can be read -----------------------------------------------------------------------------


def test_a_blocking_services_file_can_be_read_on_any_loop():
    body = background.run(_made())
    file = File.of(background.run(remote(body)))
    assert file.read() == b"onetwo"
    assert sent(file) == b"onetwo"
    assert body.dropped.is_set()


def test_an_asynchronous_services_file_can_be_read_from_a_thread():
    async def main():
        return await asyncio.to_thread(File.of(await remote()).read)

    assert asyncio.run(main()) == b"onetwo"


def test_a_file_whose_loop_has_ended_or_waits_itself_says_so():
    file = asyncio.run(remote())
    with pytest.raises(UsageError, match="has ended; connect again"):
        File.of(file).read()

    async def blocking():
        File.of(await remote()).read()

    with pytest.raises(UsageError, match="await its asynchronous verb"):
        asyncio.run(blocking())


def test_a_file_of_before_a_fork_says_so(monkeypatch):
    file = File.of(background.run(remote()))
    file._async._generation -= 1  # as in a child, whose number is higher; there is a fork of its own in the journeys
    monkeypatch.setattr(file._async, "_home", asyncio.new_event_loop())
    with pytest.raises(UsageError, match="before the process forked"):
        file.read()
    file._async._home.close()


def test_an_address_anybody_may_fetch_is_bound_to_no_loop(raw_server):
    async def handler(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        await writer.drain()
        return True

    async def made():
        return AsyncFile(FileValue(name="a", url=raw_server(handler).url))

    file = asyncio.run(made())
    assert file._fetch is plain_fetch
    assert File.of(file).public
    assert asyncio.run(file.read()) == File.of(file).read() == b"hi"


async def _made():
    return Trickle()


# --- errors on their way to another process --------------------------------------------------------------------


def passed_on(error):
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own


def test_an_error_goes_to_another_process_without_its_job_and_connection():
    body = background.run(_made())
    error = JobFailed(
        "It failed.",
        request=Request(method="GET", url="http://h/a"),
        response=Response(status=500, content=b"{}", body=body),
        snapshot=Snapshot(state=State.FAILED, error_type="KeyError", result=threading.Lock()),
    )
    error.job = threading.Lock()
    back = passed_on(error)
    assert (str(back), back.response.status, back.response.content, back.job) == ("It failed.", 500, b"{}", None)
    assert back.error_type == "KeyError"
    unsent = passed_on(Unreachable("Down.", unsent=True))
    assert unsent.unsent
    late = passed_on(WaitTimeout("Late.", job=threading.Lock()))
    assert (str(late), late.job) == ("Late.", None)
