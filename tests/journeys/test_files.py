"""Files of any kind and size go in and come out, whole, seen on their way; bad ones are told, and nothing hangs."""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import os
import pty
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import farcall
import pytest
from cutting import cutting
from farcall import File, State, cli, hookimpl, plugins
from farcall.errors import FileError, InputError, JobFailed, Refused
from farcall_server import FastTaskAPI
from typer.testing import CliRunner

from journeys.test_faults import always, answer

SECRET = "s3cret-key"
BIG = os.urandom(4096) * 1024


@pytest.fixture
def app():
    made = FastTaskAPI()

    @made.task_endpoint("/same")
    def same(f: File) -> File:
        return f

    @made.task_endpoint("/told", concurrency=4)
    def told(f: File) -> dict:
        return {"name": f.name, "media_type": f.media_type, "size": f.size, "sha256": f.sha256()}

    @made.task_endpoint("/count")
    def count(fs: list[File]) -> list:
        return [[f.name, f.size] for f in fs]

    @made.task_endpoint("/fail")
    def fail(f: File):
        raise ValueError("kaput")

    return made


@pytest.fixture
def served(app, serve):
    return serve(app)


@pytest.fixture
def svc(served):
    with farcall.connect(served.url) as service:
        yield service


# --- whatever stands for a file ----------------------------------------------------------------------------------


def test_whatever_stands_for_a_file_is_taken(svc, tmp_path, raw_server):
    path = tmp_path / "note.txt"
    path.write_bytes(b"hello")
    place = raw_server(always(answer(200, b"hello"))).url + "/note.txt"
    with path.open("rb") as stream:
        kinds = [path, str(path), b"hello", bytearray(b"hello"), stream, place, "data:text/plain,hello", File.of(path)]
        made = File.from_bytes(b"hello", name="note.txt"), File.from_stream(io.BytesIO(b"hello")), File.from_url(place)
        told = [svc.told(f=kind) for kind in [*kinds, *made]]
    assert {said["sha256"] for said in told} == {File.of(path).sha256()}
    assert {said["name"] for said in told} == {"note.txt", "file", "file.txt"}
    assert {said["size"] for said in told} == {5}


def test_the_media_type_is_told_by_the_name_and_else_by_how_the_file_begins(svc, tmp_path):
    (tmp_path / "unnamed").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50)
    (tmp_path / "plain").write_bytes(b"x" * 50)
    (tmp_path / "named.jpg").write_bytes(b"\x89PNG\r\n\x1a\n")
    told = [svc.told(f=tmp_path / name)["media_type"] for name in ("unnamed", "plain", "named.jpg")]
    assert told == ["image/png", "application/octet-stream", "image/jpeg"]
    assert File.from_bytes(b"x", name="a.tar.gz").media_type == "application/gzip"
    zipped = File.from_bytes(b"PK\x03\x04" + b"x" * 50)
    assert zipped.media_type == "application/zip"
    assert File.from_bytes(b"x", media_type="a/b").media_type == "a/b"


def test_a_folder_stands_for_the_list_of_its_files(svc, tmp_path):
    for name in ("b.txt", "a.txt", ".hidden"):
        (tmp_path / name).write_text(name)
    (tmp_path / "inner").mkdir()
    for folder in (tmp_path, str(tmp_path)):
        assert svc.count(fs=folder) == [["a.txt", 5], ["b.txt", 5]]
    with pytest.raises(InputError, match="holds no file"):
        svc.count(fs=tmp_path / "inner")
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        svc.told(f=tmp_path)
    for none in (tmp_path / "a.txt", "no-folder/"):
        with pytest.raises(InputError, match="is no folder; give a folder, or a list of files"):
            svc.count(fs=none)


def test_an_empty_file_is_a_file(svc, tmp_path):
    (tmp_path / "empty.txt").touch()
    for empty in (tmp_path / "empty.txt", b"", io.BytesIO()):
        back = svc.same(f=empty)
        assert (back.size, back.read()) == (0, b"")
        assert back.save(tmp_path).read_bytes() == b""


def test_what_cannot_be_read_is_told_before_anything_is_sent(svc, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    for bad in ("none.txt", tmp_path / "loop", tmp_path / "file" / "inside", "nul\0byte"):
        with pytest.raises(InputError, match=r"f cannot be .* cannot be read"):
            svc.told(f=bad)
    with pytest.raises(InputError, match="open as text"):
        svc.told(f=io.StringIO("x"))


# --- that change on their way ------------------------------------------------------------------------------------


class Changing(io.BytesIO):
    """A stream that says it has another length than it has."""

    def __init__(self, content, more):
        super().__init__(content)
        self.more = more

    def seek(self, position, whence=0):
        return super().seek(position, whence) + (self.more if whence else 0)


@pytest.mark.parametrize("size", [1000, 600_000])
@pytest.mark.parametrize("change", [-100, 100])
def test_a_file_that_shrinks_or_grows_while_it_is_sent_is_told(size, change, svc, tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * size)
    file = File.from_path(path)
    with path.open("r+b") as stream:
        stream.truncate(size + change)
    call = svc.told.options(timeout_s=30)
    with pytest.raises(FileError, match=r"log\.txt changed its size while it was being sent"):
        call(f=file)
    with pytest.raises(InputError, match="was written to while it was being sent"):
        call(f=Changing(b"x" * size, change))
    assert call(f=path)["size"] == size + change


def test_a_reader_that_blocks_ends_with_our_patience(svc):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as source, os.fdopen(writing, "wb") as end:
        with pytest.raises(farcall.errors.WaitTimeout):
            svc.told.options(timeout_s=0.2)(f=source)
        end.write(b"x")


def test_a_large_file_is_held_in_memory_on_neither_side(svc, tmp_path):
    (tmp_path / "film.bin").write_bytes(BIG * 16)
    svc.same(f=b"x").save(tmp_path / "x")  # what is imported and opened once is there
    tracemalloc.start()
    try:
        back = svc.same(f=tmp_path / "film.bin").save(tmp_path / "back.bin")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert back.stat().st_size == len(BIG) * 16
    assert peak < 16 << 20


# --- seen on their way -------------------------------------------------------------------------------------------


def test_the_upload_is_the_first_part_of_a_jobs_progress(svc, tmp_path):
    (tmp_path / "big.bin").write_bytes(BIG)
    job = svc.told.submit(f=tmp_path / "big.bin")
    looks = list(job.events())
    assert job.result()["size"] == len(BIG)
    uploading = [look.progress for look in looks if look.message == "uploading"]
    assert len(uploading) > 3
    assert uploading == sorted(uploading)
    assert uploading[-1] == pytest.approx(0.2)
    shown = [look.progress for look in looks if look.progress is not None]
    assert shown == sorted(shown)
    assert (shown[-1], job.progress, job.state) == (1.0, 1.0, State.SUCCEEDED)
    assert {look.message for look in looks[-1:]} != {"uploading"}


def test_a_small_upload_has_no_part_in_a_jobs_progress(svc):
    job = svc.told.submit(f=b"x" * 1000)
    assert "uploading" not in {look.message for look in job.events()}


def test_a_failed_job_keeps_how_far_it_came(svc):
    with pytest.raises(JobFailed, match="kaput") as caught:
        svc.fail(f=BIG)
    assert 0.2 <= caught.value.snapshot.progress < 1.0


def test_files_that_went_up_and_came_down_are_told(served):
    told = []

    class Watching:
        @hookimpl
        def farcall_event(self, event):
            told.append((event.kind, event.file))

    plugins.register("watching", Watching(), kind="extension")
    try:
        with farcall.connect(served.url) as svc:
            svc.same(f=File.from_bytes(BIG, name="big.bin")).read()
    finally:
        plugins.unregister("watching", kind="extension")
    assert [(kind, file) for kind, file in told if file] == [("uploaded", "big.bin"), ("downloaded", "big.bin")]
    assert told.index(("uploaded", "big.bin")) < told.index(("submitted", None))


# --- that come back ----------------------------------------------------------------------------------------------


def test_results_of_one_name_lie_beside_each_other(svc, tmp_path):
    files = [svc.same(f=File.from_bytes(content, name="out.bin")) for content in (b"one", b"two")]
    paths = [file.save(tmp_path) for file in files]
    assert [(path.name, path.read_bytes()) for path in paths] == [("out.bin", b"one"), ("out-2.bin", b"two")]


def test_a_result_over_a_link_that_is_cut_again_and_again_is_whole(served, tmp_path):
    with cutting(served.port) as proxy, farcall.connect(proxy.url) as svc:
        back = svc.same(f=BIG)
        proxy.cuts, proxy.after = 20, 150_000
        path = back.save(tmp_path / "back.bin")
        assert path.read_bytes() == BIG
        assert proxy.cuts == 0
        starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in proxy.asked if asked]
    assert len(starts) == 20
    assert starts == sorted(set(starts))
    assert list(tmp_path.iterdir()) == [path]


def test_the_asynchronous_face_takes_and_gives_the_same(served, tmp_path):
    async def main():
        async with farcall.connect_async(served.url) as svc:
            job = await svc.same.submit(f=File.from_bytes(BIG, name="big.bin"))
            back = await job
            assert type(back) is farcall.AsyncFile
            assert await back.sha256() == File.from_bytes(BIG).sha256()
            path = await back.save(tmp_path)
            assert back.progress == 1.0
            again = await svc.told(f=back)
            return path.read_bytes(), again["size"]

    assert asyncio.run(main()) == (BIG, len(BIG))


def test_a_key_is_not_shown_to_another_host_that_a_result_lies_at(raw_server):
    elsewhere = raw_server(always(answer(200, b"pixels")))
    entry = {"file_name": "a.png", "content_type": "image/png", "content": elsewhere.url + "/a.png?signature=1"}
    home = raw_server(always(answer(200, {"job_id": "j", "status": "finished", "result": entry})))
    binding = farcall.Binding(
        provider="fasttaskapi", url=home.url, endpoints=[farcall.EndpointSpec(path="/go", method="GET")]
    )
    with farcall.connect(binding, api_key=SECRET) as svc:
        file = svc.go()
        assert file.read() == b"pixels"
    assert SECRET in str(home.requests[0][2])
    assert [path for _, path, _, _ in elsewhere.requests] == ["/a.png?signature=1"]
    assert SECRET not in str(elsewhere.requests)
    assert "signature" not in repr(file)


@pytest.mark.parametrize("size", [10, 2_000_000], ids=["small", "large"])
def test_a_reply_that_is_itself_the_file_is_held_to_its_digest_too(size, raw_server):
    for digest, whole in ((hashlib.md5(b"x" * size).digest(), True), (b"0" * 16, False)):  # noqa: S324 - as hosts do
        extra = f"content-md5: {base64.b64encode(digest).decode()}\r\n"
        host = raw_server(always(answer(200, b"x" * size, "image/png", extra)))
        endpoint = farcall.EndpointSpec(path="/go", method="GET", job=False)
        with farcall.connect(farcall.Binding(provider="openapi", url=host.url, endpoints=[endpoint])) as svc:
            if whole:
                assert len(svc.go().read()) == size
            else:
                with pytest.raises(FileError, match="its md5 digest differs"):
                    svc.go().read()


def test_a_result_is_fetched_where_its_address_is_written_carelessly(raw_server):
    place = raw_server(always(answer(200, b"pixels")))
    entry = {
        "file_name": "a.png",
        "content_type": "image/png\r\nx-injected: 1",
        "content": place.url + "/ä b.png?s=a%2Fb",
    }
    home = raw_server(always(answer(200, {"job_id": "j", "status": "finished", "result": entry})))
    go = farcall.EndpointSpec(path="/go", method="GET")
    keep = farcall.EndpointSpec(path="/keep", parameters={"f": File})
    binding = farcall.Binding(provider="fasttaskapi", url=home.url, endpoints=[go, keep])
    with farcall.connect(binding) as svc:
        file = svc.go()
        assert file.read() == b"pixels"
        svc.keep(f=file)
    assert {path for _, path, _, _ in place.requests} == {"/%C3%A4%20b.png?s=a%2Fb"}
    assert b"injected" not in home.requests[-1][3]


def test_a_content_type_that_lies_fools_nobody(svc):
    from PIL import Image

    target = io.BytesIO()
    Image.new("RGB", (2, 2)).save(target, "PNG")
    back = svc.same(f=File.from_bytes(target.getvalue(), name="x.txt", media_type="text/html"))
    assert back.to_pil().size == (2, 2)
    with pytest.raises(FileError, match="is no image"):
        svc.same(f=File.from_bytes(b"<html>", name="x.png", media_type="image/png")).to_pil()


# --- in a terminal -----------------------------------------------------------------------------------------------


class Held:
    """An app that takes a body in, and gives a file out, no further than it is let."""

    def __init__(self, app):
        self.app = app
        self.taking, self.giving = threading.Event(), threading.Event()

    async def __call__(self, scope, receive, send):
        async def held_receive():
            message = await receive()
            if message.get("more_body"):
                await asyncio.to_thread(self.taking.wait, 30)
            return message

        async def held_send(message):
            await send(message)
            if message["type"] == "http.response.body" and message.get("more_body"):
                await asyncio.to_thread(self.giving.wait, 30)

        held = scope["type"] == "http" and scope["path"] != "/openapi.json"
        await self.app(scope, held_receive if held else receive, held_send if held else send)


def test_a_terminal_shows_what_goes_up_and_what_comes_down(app, serve, tmp_path):
    held = Held(app)
    url = serve(held).url
    (tmp_path / "big.bin").write_bytes(BIG * 8)
    ours, theirs = pty.openpty()
    words = ["call", url, "same", f"f=@{tmp_path / 'big.bin'}", "--save", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-c", "from farcall.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as running:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end has closed
            while piece := os.read(ours, 65536):
                shown += piece
                if b"uploading" in shown:
                    held.taking.set()
                if b"downloading big.bin" in shown:
                    held.giving.set()
        os.close(ours)
        (path,) = [running.stdout.read().strip().strip('"')]
    assert running.returncode == 0
    assert Path(path).read_bytes() == BIG * 8
    assert held.taking.is_set()
    assert held.giving.is_set()


def test_a_folder_is_given_in_a_shell_too(served, tmp_path):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(name)
    done = CliRunner().invoke(cli.app, ["call", served.url, "count", f"fs=@{tmp_path}"])
    assert json.loads(done.stdout) == [["a.txt", 5], ["b.txt", 5]]


# --- through a storage -------------------------------------------------------------------------------------------


@pytest.fixture
def cellar(raw_server):
    """A storage plugin that keeps files in memory, and what it was asked for."""

    class Driver:
        kept = {}
        down = False
        closed = threading.Event()

        @property
        def limits(self):
            from farcall.storage_driver import StorageLimits

            return StorageLimits()

        def address(self, key):
            return f"https://cellar.test/{key}"

        def put(self, key, content, media_type):
            if self.down:
                raise Refused("The storage answered 403.")
            self.kept[key] = content

        def head(self, key):
            return None

        def sign(self, key, method, expires_s):
            return self.address(key) + "?signed"

        def renew(self):
            return False

        def close(self):
            self.closed.set()

    driver = Driver()

    class Plugin:
        @hookimpl
        def farcall_storage(self, url, options):
            return driver

    plugins.register("cellar", Plugin(), kind="storage")
    yield driver
    plugins.unregister("cellar", kind="storage")


ENDPOINT = farcall.EndpointSpec(path="/go", parameters={"f": File, "n": farcall.Parameter(int, default=1)})


@pytest.mark.parametrize("way", ["by name", "by address", "opened"])
def test_a_file_above_the_threshold_goes_through_the_configured_storage(way, cellar, raw_server, own_home):
    (own_home / "farcall.toml").write_text('[storages.media]\nprovider = "cellar"\n')
    host = raw_server(always(answer(200, {"job_id": "j", "status": "finished", "result": 1})))
    storage = {"by name": "media", "by address": "cellar://files"}.get(way) or farcall.open_storage("media")
    kept = {"storage": storage, "upload_threshold_bytes": 1000}
    with farcall.connect(farcall.Binding(provider="fasttaskapi", url=host.url, endpoints=[ENDPOINT], **kept)) as svc:
        svc.go(f=b"x" * 1000)
        assert cellar.kept == {}
        svc.go(f=File.from_bytes(b"x" * 1001, name="large.bin"))
    assert list(cellar.kept.values()) == [b"x" * 1001]
    (key,) = cellar.kept
    _, large = (body for _, _, _, body in host.requests)
    assert b"x" * 1001 not in large
    assert key.rpartition("/")[2] in large.decode().replace("%2F", "/")
    assert cellar.closed.is_set() == (way != "opened")


def test_a_storage_that_refuses_is_told_and_nothing_is_submitted(cellar, raw_server):
    host = raw_server(always(answer(200, {"job_id": "j", "status": "finished", "result": 1})))
    cellar.down = True
    kept = {"storage": "cellar://files", "upload_threshold_bytes": 0}
    binding = farcall.Binding(provider="fasttaskapi", url=host.url, endpoints=[ENDPOINT], **kept)
    with farcall.connect(binding) as svc, pytest.raises(Refused, match="storage answered 403"):
        svc.go(f=b"x")
    assert host.requests == []


def test_a_threshold_without_a_storage_and_a_storage_that_is_none_are_refused(served, cellar):
    for options, sentence in (
        ({"upload_threshold_bytes": 5}, "name one with storage="),
        ({"storage": "nowhere"}, r"farcall\.toml has no \[storages\.nowhere\]"),
        ({"storage": 5}, "not a int"),
        *(({"upload_threshold_bytes": none}, "0 or more, not") for none in (-1, True, 1.5, "10", float("nan"))),
    ):
        with pytest.raises(farcall.errors.ConfigError, match=sentence):
            farcall.connect(served.url, **options)
