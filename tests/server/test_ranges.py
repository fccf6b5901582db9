"""A result file is fetched in parts, so that a broken download goes on."""

import asyncio
import io

import pytest
from farcall.bodies import PathBody
from farcall.wire import FileValue
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from farcall_server import File, ranges, replies
from starlette.requests import ClientDisconnect

SMALL = bytes(range(100))
LARGE = bytes(range(251)) * 4000


@pytest.fixture(params=[SMALL, LARGE], ids=["in memory", "on disk"])
def content(request):
    return request.param


@pytest.fixture
def file(serve, app, content, tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(content)

    @app.task_endpoint("/f")
    def f():
        return content if content is SMALL else File.from_path(path)

    client = serve(app)
    job = client.post("/f", headers={"accept": MEDIA_TYPE, "prefer": "wait=20"}).json()

    def fetch(method="GET", **headers):
        return client.request(
            method, job["files"][0]["url"], headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return fetch


@pytest.mark.parametrize(
    ("asked", "start", "stop"), [("0-9", 0, 10), ("90-", 90, None), ("-7", -7, None), ("5-5", 5, 6)]
)
def test_a_part_is_sent_alone(file, content, asked, start, stop):
    reply = file(range=f"bytes={asked}")
    part = content[start:stop]
    first = start % len(content)
    assert (reply.status_code, reply.content) == (206, part)
    assert reply.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(content)}"
    assert reply.headers["content-length"] == str(len(part))


def test_a_part_of_a_file_on_the_disk_is_read_from_where_it_begins(tmp_path, monkeypatch):
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    read = []

    class Counting(io.FileIO):
        def read(self, size=-1):
            piece = super().read(size)
            read.append(len(piece))
            return piece

    monkeypatch.setattr(PathBody, "open", lambda self: Counting(self.path))

    async def last(count):
        part = range(len(LARGE) - count, len(LARGE))
        return b"".join([piece async for piece in ranges.cut(PathBody(str(path), len(LARGE)), part)])

    assert asyncio.run(last(7)) == LARGE[-7:]
    assert sum(read) == 7
    assert asyncio.run(last(600_000)) == LARGE[-600_000:]


@pytest.mark.parametrize("part", [None, range(3, 900_000)])
def test_the_file_is_closed_when_the_client_goes_away_in_the_middle(tmp_path, part):
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    value = FileValue(name="f", body=PathBody(str(path), len(LARGE)), size=len(LARGE))

    async def send(message):
        if message["type"] == "http.response.body":
            raise OSError("gone")

    async def fetch():
        reply = replies.file(value, attached=True, part=part)
        with pytest.raises(ClientDisconnect):
            await reply({"type": "http", "asgi": {"spec_version": "2.4"}}, None, send)
        return reply.body_iterator

    assert asyncio.run(fetch()).ag_frame is None


def test_a_part_that_spans_many_reads_is_whole(file, content):
    assert file(range=f"bytes=3-{len(content) - 4}").content == content[3:-3]
    assert file(range="bytes=0-99999999999").content == content


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=", "bytes=-", "bytes=9-2", "bytes=0-1,5-6", "bytes=a-b", "x"])
def test_what_is_no_single_range_gets_the_whole_file(file, content, asked):
    reply = file(range=asked)
    assert (reply.status_code, reply.content) == (200, content)
    assert reply.headers["accept-ranges"] == "bytes"


def test_a_part_behind_the_end_is_a_416_that_tells_the_size(file, content):
    for asked in (f"bytes={len(content)}-", "bytes=-0"):
        reply = file(range=asked)
        assert (reply.status_code, reply.headers["content-range"]) == (416, f"bytes */{len(content)}")


def test_a_part_of_another_file_is_not_gone_on_with(file, content):
    tag = file("HEAD").headers["etag"]
    assert file(range="bytes=0-1", if_range=tag).status_code == 206
    reply = file(range="bytes=0-1", if_range='"other"')
    assert (reply.status_code, reply.content) == (200, content)


def test_head_tells_size_and_type_without_the_bytes(file, content):
    reply = file("HEAD", range="bytes=0-1")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["content-length"] == str(len(content))
    assert reply.headers["accept-ranges"] == "bytes"


def test_an_empty_file_has_no_part():
    with pytest.raises(ranges.UnsatisfiableError):
        ranges.asked("bytes=0-", 0)


def test_head_of_a_plain_endpoint_opens_no_file(serve, app, tmp_path, monkeypatch):
    path = tmp_path / "large.bin"
    path.write_bytes(SMALL)

    @app.endpoint("/f", methods=["GET"])
    def f() -> File:
        return File.from_path(path)

    client = serve(app)
    monkeypatch.setattr(PathBody, "open", lambda _: pytest.fail("opened"))
    reply = client.head("/f")
    assert (reply.status_code, reply.headers["content-length"], reply.content) == (200, str(len(SMALL)), b"")
