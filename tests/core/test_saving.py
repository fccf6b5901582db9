"""A file is saved whole or not at all, under a name that is safe, over nothing that was not named."""

import asyncio
import errno
import io
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from farcall import File
from farcall.errors import FileError
from farcall.saving import BATCH_BYTES, safe_name, spool
from farcall.wire import FileValue, base_name


def named(name, content=b"x"):
    return File.from_bytes(content, name=name)


def test_a_folder_keeps_what_is_in_it_and_the_new_file_gets_a_number(tmp_path):
    paths = [named("a.tar.gz", content).save(tmp_path) for content in (b"1", b"2", b"3")]
    assert [path.name for path in paths] == ["a.tar.gz", "a.tar-2.gz", "a.tar-3.gz"]
    assert [path.read_bytes() for path in paths] == [b"1", b"2", b"3"]


def test_a_path_that_is_named_is_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"old")
    assert named("b.txt", b"new").save(tmp_path / "a.txt") == tmp_path / "a.txt"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"new"


@pytest.mark.parametrize("links", [True, False], ids=["a disk with links", "a disk without"])
def test_many_at_once_overwrite_none_of_each_other(links, tmp_path, monkeypatch):
    if not links:

        def refuse(*_):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda n: named("same.txt", str(n).encode()).save(tmp_path), range(40)))
    assert len(set(paths)) == 40
    assert sorted(int(path.read_bytes()) for path in paths) == list(range(40))
    assert len(list(tmp_path.iterdir())) == 40


def test_a_replaced_file_is_there_until_the_new_one_is_whole(tmp_path):
    (tmp_path / "f").write_bytes(b"old")

    def breaking():
        yield b"half"
        raise RuntimeError("boom")

    with pytest.raises(Exception, match="boom"):
        File.from_stream(breaking()).save(tmp_path / "f")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f", b"old")]


@pytest.mark.parametrize(
    ("remote", "here"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/abs/olute", "olute"),
        ("..", "file"),
        ("", "file"),
        ("nul\0byte.png", "nulbyte.png"),
        ("line\r\nbreak.png", "linebreak.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("lone\ud800surrogate", "lonesurrogate"),
        (".bashrc", "bashrc"),
        ("12:30?.png", "12_30_.png"),
        ("CON", "_CON"),
        ("aux.txt", "_aux.txt"),
        ("end. ", "end"),
        ("Füße 足.png", "Füße 足.png"),
    ],
)
def test_a_name_from_elsewhere_is_made_safe(remote, here, tmp_path):
    assert safe_name(remote) == here
    path = File(FileValue(name=remote, body=named("x").value.body, size=1)).save(tmp_path)
    assert path == tmp_path / here


@pytest.mark.parametrize(
    "name", ["a" * 300, "a" * 300 + ".png", "足" * 300 + ".png", "a." + "b" * 300, "." + "é" * 300]
)
def test_a_long_name_fits_any_disk_and_keeps_how_it_ends(name, tmp_path):
    short = base_name(name)
    assert len(short.encode()) <= 200
    assert short.endswith(".png") == name.endswith(".png")
    assert len(short) < len(name)
    path = named(name).save(tmp_path)
    assert path.parent == tmp_path
    assert path.read_bytes() == b"x"


def test_a_disk_without_room_says_so_before_the_first_byte(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2}))
    with pytest.raises(FileError, match=r"is said to have 3 bytes, and there is room for 2"):
        named("a", b"abc").save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_no_half_of_a_file(tmp_path):
    script = (
        "import resource, signal, sys\n"
        "from farcall import File\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))\n"
        "try:\n"
        "    File.from_bytes(b'x' * (8 << 20)).save(sys.argv[1])\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    words = [sys.executable, "-W", "error", "-c", script, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("File too large\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_ends_as_a_folder_does_is_taken_for_no_file(tmp_path):
    with pytest.raises(NotADirectoryError, match="make it first"):
        File.from_bytes(b"x").save(f"{tmp_path}/results/")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_the_disks_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder; make it first") as raised:
        named("a").save(tmp_path / "none" / "a")
    assert raised.value.filename == str(tmp_path / "none")


class SlowDisk(io.BytesIO):
    """Writes nothing until its gate is opened."""

    def __init__(self):
        super().__init__()
        self.began, self.gate, self.seen = threading.Event(), threading.Event(), []

    def writelines(self, lines):
        self.began.set()
        assert self.gate.wait(20)
        super().writelines(lines)
        self.seen.append("written")

    async def fill(self, pieces):
        try:
            await spool(self, pieces)
        finally:
            self.seen.append("left")


async def small():
    yield b"x"


async def large():
    yield bytes(BATCH_BYTES)


async def silent():
    yield bytes(BATCH_BYTES)
    await asyncio.Event().wait()


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("pieces", [small, large, silent])
def test_a_save_that_is_given_up_leaves_its_file_once_the_disk_has_what_it_was_given(pieces, times):
    disk = SlowDisk()

    async def give_up():
        saving = asyncio.create_task(disk.fill(pieces()))
        assert await asyncio.to_thread(disk.began.wait, 20)
        for _ in range(times):
            saving.cancel()
            for _ in range(10):
                await asyncio.sleep(0)
        assert disk.seen == []
        disk.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await saving

    asyncio.run(give_up())
    assert disk.seen == ["written", "left"]


def test_a_loop_that_ends_waits_for_what_is_being_written():
    disk = SlowDisk()

    async def open_late():
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            disk.gate.set()

    async def main():
        tasks = [asyncio.create_task(disk.fill(small())), asyncio.create_task(open_late())]
        assert await asyncio.to_thread(disk.began.wait, 20)
        return tasks

    tasks = asyncio.run(main())
    assert disk.seen == ["written", "left"]
    assert all(task.cancelled() for task in tasks)
