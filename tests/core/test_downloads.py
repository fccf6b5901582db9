"""A file from elsewhere comes whole or not at all: taken up again where the link broke, its size and digest checked."""

import base64
import hashlib
import random

import pytest
from cutting import cutting
from farcall import File, downloads
from farcall.errors import FileError
from farcall.wire import FileValue

CONTENT = random.Random(6).randbytes(3_000_000)  # noqa: S311
ETAG = '"v1"'


class Shelf:
    """A server of one file, which answers as its attributes say."""

    def __init__(self, content=CONTENT):
        self.content = content
        self.headers = {"etag": ETAG}
        self.ranges = True
        self.status = None
        self.starts = []
        self.asked = []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        asked = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append(asked)
        start = int(asked["range"].removeprefix("bytes=").rstrip("-")) if "range" in asked and self.ranges else None
        self.starts.append(start)
        headers = {"content-length": str(len(self.content) - (start or 0)), **self.headers}
        if start is not None:
            headers["content-range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        status = self.status or (200 if start is None else 206)
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": self.content[start or 0 :]})


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE_S", 0.0)


def at(url, **known):
    return File(FileValue(name="film.bin", url=f"{url}/film.bin", **known))


def said(handler_reply):
    """A handler for `raw_server` that sends these bytes and hangs up."""

    async def handler(request, writer):
        writer.write(handler_reply)
        await writer.drain()
        return False

    return handler


# --- a link that breaks ----------------------------------------------------------------------------------------------


def test_a_link_cut_twenty_times_brings_every_byte_and_none_twice(shelf, serve, tmp_path):
    with cutting(serve(shelf).port, cuts=20, after=100_000) as proxy:
        path = at(proxy.url).save(tmp_path)
    assert path.read_bytes() == CONTENT
    assert proxy.cuts == 0
    assert len(shelf.starts) == 21
    assert shelf.starts[0] is None
    assert shelf.starts[1:] == sorted(set(shelf.starts[1:]))  # each link goes on after what the last one brought
    assert {asked.get("if-range") for asked in shelf.asked[1:]} == {ETAG}


def test_reading_and_opening_are_taken_up_again_too(shelf, serve):
    with cutting(serve(shelf).port, cuts=2, after=1_000_000) as proxy:
        assert at(proxy.url).read() == CONTENT
        proxy.cuts = 2
        with at(proxy.url).open() as stream:
            assert stream.read() == CONTENT


def test_a_file_that_changed_meanwhile_is_not_mixed_of_two(shelf, serve, tmp_path):
    with cutting(serve(shelf).port, cuts=1, after=1_000_000) as proxy:
        shelf.ranges = False  # as a server answers whose file no longer has the tag
        with pytest.raises(FileError, match=r"cannot go on after [0-9,]+ bytes, or the file has changed"):
            at(proxy.url).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_anything_that_tells_two_files_apart_a_broken_one_is_not_taken_up(shelf, serve):
    shelf.headers = {"etag": 'W/"weak"'}
    with (
        cutting(serve(shelf).port, cuts=1, after=1_000_000) as proxy,
        pytest.raises(FileError, match=r"link broke while 'film\.bin'"),
    ):
        at(proxy.url).read()
    assert len(shelf.starts) == 1


def test_an_old_date_tells_two_files_apart(shelf, serve):
    shelf.headers = {"last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    with cutting(serve(shelf).port, cuts=1, after=1_000_000) as proxy:
        assert at(proxy.url).read() == CONTENT
    assert shelf.asked[1]["if-range"] == "Thu, 01 Jan 2026 00:00:00 GMT"


def test_links_that_bring_nothing_are_given_up(shelf, serve):
    with cutting(serve(shelf).port, cuts=100, after=0) as proxy, pytest.raises(FileError, match="link broke"):
        at(proxy.url).read()
    assert proxy.cuts == 100 - downloads.FRUITLESS


def test_a_host_that_is_busy_for_a_moment_is_asked_again(shelf, serve):
    class Busy(Shelf):
        async def __call__(self, scope, receive, send):
            self.status = 503 if len(self.starts) < 2 else None
            await super().__call__(scope, receive, send)

    busy = Busy()
    assert at(serve(busy).url).read() == CONTENT
    assert len(busy.starts) == 3


def test_a_host_that_asks_for_a_pause_is_given_it(raw_server, monkeypatch):
    pauses = []

    async def noted(seconds):
        pauses.append(seconds)

    async def handler(request, writer):
        asked = b"retry-after: %d\r\n" % (7 if not pauses else 10_000)
        busy = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n" + asked + b"\r\n"
        writer.write(busy if len(pauses) < 2 else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        await writer.drain()
        return True

    monkeypatch.setattr(downloads.asyncio, "sleep", noted)
    assert at(raw_server(handler).url).read() == b"hi"
    assert pauses == [7, downloads.LONGEST_PAUSE_S]


@pytest.mark.parametrize(
    "range_",
    [b"bytes 5-9/10", b"bytes 0-9/10", b"bytes 4-9/11", b"nonsense"],
)
def test_a_host_that_goes_on_with_other_bytes_is_not_believed(range_, raw_server):
    async def handler(request, writer):
        if "range" not in request[2]:
            writer.write(b'HTTP/1.1 200 OK\r\netag: "a"\r\ncontent-length: 10\r\n\r\n0123')
        else:
            writer.write(b"HTTP/1.1 206 Partial\r\ncontent-length: 5\r\ncontent-range: " + range_ + b"\r\n\r\n56789")
        await writer.drain()
        return False

    with pytest.raises(FileError, match=r"other bytes|cannot go on"):
        at(raw_server(handler).url).read()


# --- what the host says of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "algorithm", "form"),
    [
        ("content-digest", "sha256", "sha-256=:{}:"),
        ("repr-digest", "sha512", "sha-512=:{}:"),
        ("digest", "sha256", "SHA-256={}"),
        ("content-md5", "md5", "{}"),
        ("content-digest", "sha256", "unknown=:AAAA:, sha-256=:{}:"),
    ],
)
def test_a_digest_that_is_given_is_checked(header, algorithm, form, shelf, serve, tmp_path):
    url = serve(shelf).url
    for content, fits in ((CONTENT, True), (b"other", False)):
        digest = base64.b64encode(hashlib.new(algorithm, content).digest()).decode()
        shelf.headers = {header: form.format(digest)}
        if fits:
            assert at(url).read() == CONTENT
        else:
            with pytest.raises(FileError, match="not what its host promised"):
                at(url).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_of_the_whole_is_checked_over_a_broken_link_too(shelf, serve):
    url = serve(shelf)
    shelf.headers |= {"repr-digest": f"sha-256=:{base64.b64encode(hashlib.sha256(b'other').digest()).decode()}:"}
    with cutting(url.port, cuts=1, after=1_000_000) as proxy, pytest.raises(FileError, match="sha-256 digest differs"):
        at(proxy.url).read()


def test_a_digest_nobody_can_read_is_passed_over(shelf, serve):
    shelf.headers = {"content-digest": "sha-256=:%%%:, md5=:A:", "content-md5": "!"}
    assert at(serve(shelf).url).read() == CONTENT


def test_another_size_than_the_result_said_is_refused_before_anything_is_written(shelf, serve, tmp_path):
    with pytest.raises(FileError, match="should have 5 bytes and came with 3,000,000"):
        at(serve(shelf).url, size=5).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_were_said_are_not_taken(raw_server):
    reply = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 100_000
    with pytest.raises(FileError, match="should have 10 bytes"):
        at(raw_server(said(reply)).url, size=10).read()


def test_a_truncated_reply_is_no_file(raw_server, tmp_path):
    reply = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc"
    with pytest.raises(FileError, match="link broke"):
        at(raw_server(said(reply)).url).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reply_that_says_it_has_a_terabyte_is_refused_at_its_start(raw_server, tmp_path):
    reply = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000000\r\n\r\n" + b"x" * 1000
    url = raw_server(said(reply)).url
    with pytest.raises(FileError, match="100,000,000,000,000 bytes; more than"):
        at(url).read()
    for use in (lambda file: file.save(tmp_path), lambda file: file.open()):
        with pytest.raises(FileError, match=r"100,000,000,000,000 bytes, and there is room for"):
            use(at(url))
    assert list(tmp_path.iterdir()) == []


def test_a_part_nobody_asked_for_is_no_file(raw_server):
    reply = b"HTTP/1.1 206 Partial\r\ncontent-length: 3\r\ncontent-range: bytes 0-2/9\r\n\r\nabc"
    with pytest.raises(FileError, match="a part of"):
        at(raw_server(said(reply)).url).read()


def test_how_much_has_come_in_can_be_seen(shelf, serve, tmp_path):
    file = at(serve(shelf).url)
    assert file.progress is None
    file.save(tmp_path)
    assert file.progress == 1.0
    assert File.from_bytes(b"").progress == 1.0
