"""The storage that a stranger wrote, in examples/: a folder behind a web server."""

import functools
import http.server
import threading
from pathlib import Path

import farcall
import farcall_folder
import httpx
import pytest
from farcall import errors

MIB = 1024 * 1024


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path):
    """A folder, and the address at which a web server serves it."""
    folder = tmp_path / "public"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield {"path": folder, "url": f"http://127.0.0.1:{server.server_address[1]}"}
    server.shutdown()
    server.server_close()


def test_it_is_short():
    lines = Path(farcall_folder.__file__).read_text("utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) < 60


def test_large_and_small_files_go_up_once_and_come_back(site, film):
    with farcall.open_storage("folder://site", **site) as storage:
        for file in (film, b"chips"):
            first, again = storage.upload(file), storage.upload(file)
            assert first == again
            assert httpx.get(first).content == storage.download(first).read()
        assert httpx.get(storage.upload(film)).content == film.read_bytes()
        assert len(list(storage.list())) == 2
        assert list((site["path"] / ".parts").iterdir()) == []


def test_an_upload_goes_on_where_it_was(site, film, monkeypatch):
    put_part = farcall_folder.Folder.put_part
    sent, four = [], threading.Event()

    def failing(self, key, upload, number, content):
        if number == 5 and 5 not in sent:
            sent.append(5)
            assert four.wait(30)
            raise errors.Unreachable("the disk is away")
        sent.append(number)
        return put_part(self, key, upload, number, content)

    monkeypatch.setattr(farcall_folder.Folder, "put_part", failing)
    with farcall.open_storage("folder://site", **site) as storage, pytest.raises(errors.Unreachable):
        storage.upload(film, progress=lambda done, total: four.set() if done == 32 * MIB else None)
    assert [path for path in site["path"].iterdir() if path.name != ".parts"] == []
    before = len(sent)
    with farcall.open_storage("folder://site", **site) as storage:
        assert httpx.get(storage.upload(film)).content == film.read_bytes()
    assert sent[before:] == [5]


def test_it_keeps_to_the_prefix_tells_media_types_and_lists_no_parts(site):
    driver = farcall_folder.farcall_storage("folder://site/jobs/a b", site)
    upload = driver.begin("film.mp4", "video/mp4")
    driver.put_part("film.mp4", upload, 1, b"half")
    with farcall.open_storage("folder://site/jobs/a b", **site) as storage:
        url = storage.upload(b"chips", key="menu.txt")
        assert url == f"{site['url']}/jobs/a%20b/menu.txt"
        assert httpx.get(url).content == b"chips"
        assert (site["path"] / "jobs" / "a b" / "menu.txt").read_bytes() == b"chips"
        assert [(file.key, file.media_type) for file in storage.list()] == [("menu.txt", "text/plain")]
        assert storage.download(url).media_type == "text/plain"


def test_what_it_cannot_is_said(site):
    with farcall.open_storage("folder://site", **site) as storage:
        with pytest.raises(errors.UsageError, match="takes no files"):
            storage.signed_url("a.txt", method="PUT")
        storage.upload(b"chips", key="a.txt")
        gone = storage.download("a.txt")
        storage.delete("a.txt")
        with pytest.raises(errors.FileError, match="gone"):
            gone.read()
