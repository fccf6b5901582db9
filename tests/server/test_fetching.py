"""Files by their address: what is fetched, and what no address, name or redirect leads to."""

import asyncio
import concurrent.futures
import gzip
import socket
import threading

import pytest
from farcall.errors import FileError
from farcall.files import File
from farcall.wire import FileValue
from farcall_server.addresses import is_public, meant
from farcall_server.fetching import Fetcher, Room
from farcall_server.spool import Spool
from farcall_server.uploads import Folder

HERE = Fetcher(hosts=frozenset({"127.0.0.1"}))
MOST = 10_000_000


def fetch(url, fetcher=HERE, most_bytes=MOST, folder=None):
    folder = Folder() if folder is None else folder
    return asyncio.run(fetcher.fetch(File.from_url(url).value, folder, room=Room(most_bytes)))


def why_not(url, fetcher=HERE, **options):
    with pytest.raises(FileError) as raised:
        fetch(url, fetcher, **options)
    return str(raised.value)


def found(*addresses):
    """As `socket.getaddrinfo`: each call gives the next of the addresses, the last one for ever."""
    left, asked = list(addresses), []

    def lookup(host, port, family, kind):
        asked.append(host)
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    lookup.asked = asked
    return lookup


def reply(content=b"", *heads, status="200 OK"):
    heads = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *heads]
    return "\r\n".join(heads).encode() + b"\r\n\r\n" + content


@pytest.fixture
def answering(raw_server):
    """`answering(content)` serves exactly that, and gives the server."""

    def start(*contents):
        left = list(contents)

        async def handler(request, writer):
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()
            return False

        return raw_server(handler)

    return start


# --- what is fetched -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 5, 64 * 1024, 64 * 1024 + 1, 3_000_000])
def test_a_file_comes_whole_with_its_name_and_type(answering, size):
    server = answering(reply(b"x" * size, "Content-Type: image/png"))
    folder = Folder()
    got = fetch(f"{server.url}/a%20b/photo.bin?token=1", folder=folder)
    assert (got.name, got.media_type, got.size, got.url) == ("photo.bin", "image/png", size, None)
    assert File(got).read() == b"x" * size
    assert server.requests[0][:2] == ("GET", "/a%20b/photo.bin?token=1")


def test_a_large_file_lies_in_the_folder_and_goes_with_it(answering, tmp_path):
    server = answering(reply(b"x" * 100_000))
    folder = Folder(tmp_path / "job")
    got = fetch(f"{server.url}/f", folder=folder)
    assert got.body.path == str(tmp_path / "job" / "1")


@pytest.mark.parametrize(
    ("path", "heads", "name", "media_type"),
    [
        ("/f", ['Content-Disposition: attachment; filename="../../cat.png"'], "cat.png", "image/png"),
        ("/dog.jpg", ['Content-Disposition: attachment; filename="cat.png"'], "dog.jpg", "image/jpeg"),
        ("/", [], "file", "application/octet-stream"),
        ("/x.txt", ["Content-Type: no type"], "x.txt", "text/plain"),
        ("/x.txt", ["Content-Type: text/html; charset=utf-8"], "x.txt", "text/html"),
    ],
)
def test_name_and_type_come_from_the_address_or_the_reply(answering, path, heads, name, media_type):
    got = fetch(answering(reply(b"x", *heads)).url + path)
    assert (got.name, got.media_type) == (name, media_type)


def test_an_address_with_spaces_is_encoded_and_a_signed_one_left_alone(answering):
    server = answering(reply(b"x"))
    fetch(f"{server.url}/a b?x=é")
    fetch(f"{server.url}/a%2Fb?sig=%2f%2F+&x='")
    assert [request[1] for request in server.requests] == ["/a%20b?x=%C3%A9", "/a%2Fb?sig=%2f%2F+&x='"]


def test_no_line_can_be_smuggled_into_the_request(answering):
    server = answering(reply(b"x"))
    smuggled = FileValue(name="a", url=f"{server.url}/a\r\nX-Evil: 1")
    asyncio.run(HERE.fetch(smuggled, Folder(), room=Room(MOST)))
    ((_, path, headers, _),) = server.requests
    assert "x-evil" not in headers
    assert "\r" not in path


def test_redirects_are_followed(answering):
    there = answering(reply(b"there"))
    here = answering(reply(b"", f"Location: {there.url}/f", status="302 Found"))
    assert File(fetch(f"{here.url}/start")).read() == b"there"


# --- what is not -----------------------------------------------------------------------------------------------------

PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:0:53aa:64c:0:0:0:1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_told_from_one_that_is(address):
    assert not is_public(meant(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_public_however_it_is_written(address):
    assert is_public(meant(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "localhost", "0.0.0.0", "[fe80::1]"]
)
def test_no_address_of_this_machine_or_its_networks_is_connected_to(answering, host):
    server = answering(reply(b"secret"))
    said = why_not(f"http://{host}:{server.port}/f?token=1", Fetcher())
    assert "is not fetched from" in said
    assert "fetch_hosts=" in said
    assert "token" not in said
    assert server.requests == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "017700000001"])
def test_no_odd_spelling_of_the_loopback_gets_through(answering, host):
    server = answering(reply(b"secret"))
    why_not(f"http://{host}:{server.port}/f", Fetcher())
    assert server.requests == []


def test_a_name_that_resolves_to_a_private_address_is_refused(answering):
    server = answering(reply(b"secret"))
    said = why_not(f"http://files.example:{server.port}/f", Fetcher(lookup=found("127.0.0.1")))
    assert "http://files.example" in said
    assert "leads to 127.0.0.1" in said
    assert server.requests == []


def test_a_name_is_resolved_once_so_that_it_cannot_point_elsewhere_after_the_check(answering):
    server = answering(reply(b"x"))
    lookup = found("127.0.0.1", "169.254.169.254")
    fetch(f"http://files.example:{server.port}/f", Fetcher(hosts=frozenset({"127.0.0.0/8"}), lookup=lookup))
    assert lookup.asked == ["files.example"]
    assert len(server.requests) == 1


def test_a_redirect_to_the_same_name_is_checked_again(answering):
    server = answering(reply(b"", "Location: /again", status="307 Temporary Redirect"))
    fetcher = Fetcher(hosts=frozenset({"127.0.0.0/8"}), lookup=found("127.0.0.1", "169.254.169.254"))
    assert "169.254.169.254" in why_not(f"http://files.example:{server.port}/f", fetcher)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("http://169.254.169.254/latest/meta-data", "leads to 169.254.169.254"),
        ("//169.254.169.254/x", "leads to 169.254.169.254"),
        ("http://metadata.example/", "leads to 169.254.169.254"),
        ("file:///etc/passwd", "leads to 'file:///etc/passwd', which is not fetched"),
        ("ftp://127.0.0.1/x", "not fetched"),
        ("data:text/plain,x", "not fetched"),
        ("http://[", "not fetched"),
        ("http://127.0.0.1 b/x", "is no address that can be fetched"),
        ("http://127.0.0.1:port/x", "is no address that can be fetched"),
        ("http:///x", "leads on more than 5 times"),
    ],
)
def test_no_redirect_leads_past_the_check(answering, place, said):
    server = answering(reply(b"", f"Location: {place}", status="302 Found"))
    fetcher = Fetcher(hosts=frozenset({"127.0.0.1"}), lookup=found("169.254.169.254"))
    assert said in why_not(f"{server.url}/f", fetcher)


def test_redirects_end(answering):
    server = answering(reply(b"", "Location: /again", status="302 Found"))
    assert "more than 5 times" in why_not(f"{server.url}/f")
    assert len(server.requests) == 6


@pytest.mark.parametrize("hosts", [{"*"}, {"files.example"}, {"127.0.0.1"}, {"127.0.0.0/8"}])
def test_a_private_host_that_is_named_is_fetched_from(answering, hosts):
    server = answering(reply(b"x"))
    fetcher = Fetcher(hosts=frozenset(hosts), lookup=found("127.0.0.1"))
    assert fetch(f"http://FILES.example.:{server.port}/f", fetcher).size == 1


@pytest.mark.parametrize(
    "start",
    [
        "http://files.example@", "http://files.example\\@", "http://files.example:80@", "http://files.example#@",
        "http://files.example%2f@", "http://files.example%00@", "http://files.example\t@", "http:files.example@",
        "http://@files.example@",
    ],
)  # fmt: skip
def test_no_spelling_passes_another_host_off_as_one_that_is_named(answering, start):
    def unknown(*_):
        raise socket.gaierror(-2, "Name or service not known")

    server = answering(reply(b"secret"))
    fetcher = Fetcher(hosts=frozenset({"files.example"}), lookup=unknown)
    value = FileValue(name="f", url=f"{start}127.0.0.1:{server.port}/f")
    with pytest.raises(FileError):
        asyncio.run(fetcher.fetch(value, Folder(), room=Room(MOST)))
    assert server.requests == []


def test_the_variable_names_hosts_where_the_argument_does_not(monkeypatch):
    monkeypatch.setenv("FTAPI_FETCH_HOSTS", "Minio.lan, 10.0.0.0/8,")
    assert Fetcher.configured(None).hosts == {"minio.lan", "10.0.0.0/8"}
    assert Fetcher.configured([]).hosts == frozenset()


def test_no_proxy_of_the_environment_is_asked(answering, monkeypatch):
    proxy, server = answering(reply(b"proxied")), answering(reply(b"x"))
    monkeypatch.setenv("http_proxy", proxy.url)
    assert fetch(f"{server.url}/f").size == 1
    assert proxy.requests == []


# --- slow, endless and broken ----------------------------------------------------------------------------------------


def test_a_file_that_says_it_is_too_large_is_not_read(answering):
    assert "larger than what is taken here: 99 bytes" in why_not(f"{answering(reply(b'x' * 100)).url}/f", most_bytes=99)


def test_an_endless_download_ends_at_the_limit_and_leaves_nothing(raw_server, tmp_path):
    async def handler(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    folder = Folder(tmp_path / "job")
    assert "larger than" in why_not(f"{raw_server(handler).url}/f", most_bytes=1_000_000, folder=folder)
    assert list((tmp_path / "job").iterdir()) == []


def test_a_small_reply_that_unpacks_to_a_huge_file_ends_at_the_limit(answering):
    packed = gzip.compress(bytes(50_000_000))
    server = answering(reply(packed, "Content-Encoding: gzip"))
    assert "larger than" in why_not(f"{server.url}/f", most_bytes=1_000_000)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxxx"])
def test_a_server_that_falls_silent_is_given_up(raw_server, begun):
    async def handler(request, writer):
        writer.write(begun)
        await asyncio.Event().wait()

    fetcher = Fetcher(hosts=HERE.hosts, silence_s=0.2)
    assert "sent nothing for 0.2 s" in why_not(f"{raw_server(handler).url}/f", fetcher)


def test_a_server_that_drips_is_given_up(raw_server):
    async def handler(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    fetcher = Fetcher(hosts=HERE.hosts, total_s=0.3)
    assert "not fetched within 0.3 s" in why_not(f"{raw_server(handler).url}/f", fetcher)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(b"no", status="404 Not Found"), "answered 404"),
        (reply(b"", status="204 No Content"), "answered 204"),
        (reply(b"x" * 9)[:-4], "broke off"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no reply that can be read"),
        (b"", "no reply that can be read"),
    ],
)
def test_a_reply_that_is_not_the_file_is_told(answering, answer, said):
    assert said in why_not(f"{answering(answer).url}/f?token=1")


def test_a_signed_address_that_has_ended_is_told_with_its_time(answering):
    url = answering(reply(b"no", status="403 Forbidden")).url
    ended = f"{url}/f?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Signature=x"
    assert "answered 403 instead of the file. It was signed until 2026-01-01 00:01:00 UTC" in why_not(ended)


def test_a_host_that_is_not_there_is_told():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "refused" in why_not(f"http://127.0.0.1:{unused.getsockname()[1]}/f")

    def unknown(*_):
        raise socket.gaierror(-2, "Name or service not known")

    assert "does not resolve" in why_not("http://files.example/f", Fetcher(lookup=unknown))


@pytest.mark.parametrize("stored", [False, True])
def test_a_folder_that_several_threads_fill_at_once_is_made_once(tmp_path, stored):
    folder, start = Folder(tmp_path / "job") if stored else Folder(), threading.Barrier(8)

    def fill(_):
        start.wait(20)
        with folder.new() as target:
            return target.name

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        names = list(threads.map(fill, range(8)))
    assert sorted(names) == sorted(map(str, folder.path().iterdir()))
    folder.discard()


def test_a_file_whose_fetching_is_cancelled_in_the_middle_of_a_write_is_closed_and_gone(tmp_path):
    writing, go_on = threading.Event(), threading.Event()

    class Slow(Spool):
        def write(self, piece):
            writing.set()
            assert go_on.wait(20)
            super().write(piece)

    async def large():
        yield b"x" * 100_000

    async def cancelled():
        spool = Slow(Folder(tmp_path / "job"))
        filling = asyncio.ensure_future(spool.fill(large()))
        await asyncio.to_thread(writing.wait, 20)
        filling.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await filling
        spool.drop()

    asyncio.run(cancelled())
    assert list((tmp_path / "job").iterdir()) == []
