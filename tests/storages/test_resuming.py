"""An upload that was broken off goes on where it was; nobody finds half a file."""

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import farcall
import httpx
import pytest
from farcall import errors
from farcall import storage as storage_module
from storages.between import Reply

MIB = 1024 * 1024


def killed_after(place, proxy, film, parts):
    """Upload in another process and kill it, unwarned, once it has stored so many parts and waits for the next."""
    hold = threading.Event()
    proxy.rule = lambda asked: hold.wait(60) and None if (asked.part or 0) > parts else None
    told = json.dumps({**place.options, **place.through(proxy)})
    command = [sys.executable, str(Path(__file__).parent / "uploading.py"), place.address, told, str(film)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    with child.stdout:
        for line in child.stdout:
            if int(line) == parts * 8 * MIB:
                break
        child.send_signal(signal.SIGKILL)
        child.wait()
    proxy.rule = lambda asked: None
    hold.set()


def test_an_upload_goes_on_after_its_process_was_killed(place, film):
    proxy = place.between()
    killed_after(place, proxy, film, 3)
    assert place.stored() == []
    stored = len(proxy.asked)
    url = place.open(**place.through(proxy)).upload(film)
    sent = [asked.part for asked in proxy.asked[stored:] if asked.part is not None]
    assert sorted(sent) == [4, 5]
    assert httpx.get(url).content == film.read_bytes()
    assert place.unfinished() == []


def uploading(place, proxy, film, level):
    """Another process that uploads a film, and says the address; its log goes to stderr."""
    told = json.dumps({**place.options, **place.through(proxy)})
    program = (
        "import json, logging, sys, farcall\n"
        "logging.basicConfig(level=sys.argv[4])\n"
        "with farcall.open_storage(sys.argv[1], **json.loads(sys.argv[2])) as storage:\n"
        "    print(storage.upload(sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", program, place.address, told, str(film), level]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


@pytest.mark.parametrize("end", ["ends", "is killed"])
def test_a_process_that_uploads_what_another_does_waits_for_it(place, film, end):
    proxy = place.between()
    begun, go_on = threading.Event(), threading.Event()

    def hold(asked):
        if asked.part is not None and (end == "ends" or asked.part > 3):
            begun.set()
            go_on.wait(60)

    proxy.rule = hold
    with uploading(place, proxy, film, "WARNING") as first:
        assert begun.wait(60)
        with uploading(place, proxy, film, "INFO") as second:
            assert any("Waiting with film.mp4" in line for line in second.stderr)
            if end == "is killed":
                first.kill()
                first.wait()
            go_on.set()
            url, _ = second.communicate()
        first.communicate()
    assert (first.returncode == 0, second.returncode) == (end == "ends", 0)
    assert httpx.get(url.strip()).content == film.read_bytes()
    if end == "ends":
        assert proxy.parts == [1, 2, 3, 4, 5]
    assert len(place.stored()) == 1
    assert place.unfinished() == []


class Heard(logging.Handler):
    """Tells when something was logged."""

    def __init__(self, text):
        super().__init__()
        self.said = threading.Event()
        self._text = text

    def emit(self, record):
        if self._text in record.getMessage():
            self.said.set()


def test_an_upload_that_waits_for_another_ends_when_its_storage_is_closed(s3_place, film, caplog, stack):
    proxy = s3_place.between()
    begun, go_on, heard = threading.Event(), threading.Event(), Heard("Waiting with film.mp4")

    def hold(asked):
        if asked.part is not None:
            begun.set()
            go_on.wait(60)

    proxy.rule = hold
    caplog.set_level(logging.INFO, "farcall")
    logging.getLogger("farcall").addHandler(heard)
    stack.callback(logging.getLogger("farcall").removeHandler, heard)
    first, second = (s3_place.open(**s3_place.through(proxy)) for _ in range(2))
    with ThreadPoolExecutor(2) as pool:
        uploaded = pool.submit(first.upload, film)
        assert begun.wait(60)
        refused = pool.submit(second.upload, film)
        assert heard.said.wait(60)
        second.close()
        with pytest.raises(errors.UsageError, match="was closed"):
            refused.result(60)
        go_on.set()
        assert httpx.get(uploaded.result(60)).content == film.read_bytes()


def test_nobody_waits_for_a_turn_where_nothing_is_remembered(s3_place, film, own_state):
    (own_state / "storages.sqlite").mkdir(parents=True)
    s3_place.open().upload(film)
    assert not (own_state / "turns").exists()


def test_many_at_once_to_one_key_follow_each_other(place, tmp_path):
    storages = [place.open() for _ in range(2)]

    def upload(number):
        storages[number % 2].upload(bytes([number]) * (9 * MIB), key="film.mp4")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upload, range(4)))
    assert set(place.content("film.mp4")) in [{number} for number in range(4)]
    assert place.unfinished() == []


def test_a_file_that_changed_since_is_sent_anew(place, film):
    proxy = place.between()
    killed_after(place, proxy, film, 3)
    with film.open("r+b") as file:
        file.write(b"another beginning")
    stored = len(proxy.asked)
    url = place.open(**place.through(proxy)).upload(film)
    assert sorted(asked.part for asked in proxy.asked[stored:] if asked.part is not None) == [1, 2, 3, 4, 5]
    assert httpx.get(url).content == film.read_bytes()


def test_an_upload_that_the_storage_forgot_begins_anew(s3_place, film):
    proxy = s3_place.between()
    killed_after(s3_place, proxy, film, 3)
    (forgotten,) = s3_place.unfinished()
    client = s3_place.server.client()
    client.abort_multipart_upload(Bucket=s3_place.name, Key=forgotten["Key"], UploadId=forgotten["UploadId"])
    url = s3_place.open(**s3_place.through(proxy)).upload(film)
    assert httpx.get(url).content == film.read_bytes()


def test_blocks_that_azure_dropped_are_sent_anew(azure_place, film):
    proxy = azure_place.between()
    killed_after(azure_place, proxy, film, 3)
    (begun,) = azure_place.unfinished()
    azure_place.replace(begun, b"whole")  # which drops the blocks that are in no list
    azure_place.remove(begun)
    url = azure_place.open(**azure_place.through(proxy)).upload(film)
    assert httpx.get(url).content == film.read_bytes()


def test_an_upload_that_ended_but_was_not_written_down_is_found_by_its_key(place, film, own_state):
    storage = place.open()
    storage.upload(film)
    with closing(sqlite3.connect(own_state / "storages.sqlite", isolation_level=None)) as journal:
        journal.execute("DELETE FROM kept")  # as if the process had been killed before it wrote it
    proxy = place.between()
    place.open(**place.through(proxy)).upload(film)
    assert proxy.parts == []


@pytest.mark.parametrize("stream", [True, False])
def test_an_upload_whose_last_answer_is_lost_is_not_sent_again(s3_place, film, stream, stack):
    proxy = s3_place.between()
    proxy.lose = lambda asked: asked.finishes
    storage = s3_place.open(**s3_place.through(proxy))
    file = farcall.File.from_stream(stack.enter_context(film.open("rb"))) if stream else film
    url = storage.upload(file)
    assert proxy.parts == [1, 2, 3, 4, 5]
    assert len([asked for asked in proxy.asked if asked.finishes]) > 1
    assert httpx.get(url).content == film.read_bytes()


def test_a_stream_that_breaks_leaves_nothing_behind(s3_place):
    def pieces():
        yield b"x" * (20 * MIB)
        raise OSError("the microphone fell")

    with pytest.raises(errors.InputError, match="the microphone fell"):
        s3_place.open().upload(farcall.File.from_stream(pieces()))
    assert s3_place.stored() == []
    assert s3_place.unfinished() == []


def test_a_file_that_is_written_to_while_it_goes_up_is_refused(place, film):
    proxy = place.between()

    def write(asked):
        if asked.part == 5:
            with film.open("r+b") as file:
                file.write(b"too late")

    proxy.rule = write
    with pytest.raises(errors.FileError, match="changed while it was being uploaded"):
        place.open(**place.through(proxy)).upload(film)
    assert place.stored() == []


@pytest.mark.parametrize("size", [20 * MIB, 1])
def test_a_file_that_shrinks_while_it_goes_up_is_refused(place, film, size):
    proxy = place.between()
    proxy.rule = lambda asked: os.truncate(film, size) if asked.part == 1 else None
    with pytest.raises(errors.FileError, match="changed while it was being uploaded"):
        place.open(**place.through(proxy)).upload(film)
    assert place.stored() == []


def test_an_upload_to_a_key_gives_up_what_another_file_had_begun_there(s3_place, film, tmp_path):
    proxy = s3_place.between()
    storage = s3_place.open(**s3_place.through(proxy))
    proxy.rule = lambda asked: Reply(403, {}, b"<Error><Code>AccessDenied</Code></Error>") if asked.part == 5 else None
    with pytest.raises(errors.AuthRefused):
        storage.upload(film, key="film.mp4")
    assert len(s3_place.unfinished()) == 1
    proxy.rule = lambda asked: None
    another = tmp_path / "another.mp4"
    another.write_bytes(b"x" * (9 * MIB))
    assert httpx.get(storage.upload(another, key="film.mp4")).content == another.read_bytes()
    assert s3_place.unfinished() == []


@pytest.mark.parametrize("size", [1, 5 * MIB])
def test_a_small_file_that_changes_after_it_was_hashed_is_not_stored(s3_place, tmp_path, monkeypatch, size):
    from farcall.storage_source import PathSource

    path = tmp_path / "small.bin"
    path.write_bytes(b"a" * size)
    hashed = PathSource._hashed

    def then_write(self):
        digest = hashed(self)
        path.write_bytes(b"b" * size)
        return digest

    monkeypatch.setattr(PathSource, "_hashed", then_write)
    with pytest.raises(errors.FileError, match="changed while it was being uploaded"):
        s3_place.open().upload(path, key="small.bin")
    assert s3_place.stored() == []


def test_uploads_that_nobody_went_on_with_are_given_up_after_a_week(s3_place, film, monkeypatch):
    proxy = s3_place.between()
    killed_after(s3_place, proxy, film, 3)
    storage = s3_place.open(**s3_place.through(proxy))
    storage.clean_up()
    assert len(s3_place.unfinished()) == 1
    at_another_time(monkeypatch, 8 * 24 * 3600)
    storage.clean_up()
    assert s3_place.unfinished() == []


def at_another_time(monkeypatch, later_s):
    monkeypatch.setattr(storage_module, "time", SimpleNamespace(time=lambda: time.time() + later_s))


# --- cleaning up ------------------------------------------------------------------------------------------------


def test_what_has_expired_is_deleted_at_the_next_upload_and_what_was_used_since_is_not(place, monkeypatch):
    storage = place.open(expire_after_s=3600, link_s=60)
    for content in (b"old", b"used"):
        storage.upload(content)
    at_another_time(monkeypatch, 3000)
    used = storage.upload(b"used")
    assert len(place.stored()) == 2
    at_another_time(monkeypatch, 4000)
    storage.upload(b"new")
    assert len(place.stored()) == 2
    assert httpx.get(used).content == b"used"


def test_what_expired_is_stored_anew_under_a_key_that_was_never_used(place, monkeypatch):
    storage = place.open(expire_after_s=60, link_s=60)
    first = storage.upload(b"chips").partition("?")[0]
    at_another_time(monkeypatch, 100)
    assert storage.clean_up() == 1
    assert place.stored() == []
    again = storage.upload(b"chips")
    assert again.partition("?")[0] != first
    assert httpx.get(again).content == b"chips"


def test_a_file_is_kept_as_long_as_the_addresses_that_were_given_out(place, monkeypatch):
    storage = place.open(expire_after_s=60)
    storage.upload(b"chips", expires_s=7200)
    at_another_time(monkeypatch, 7000)
    assert storage.clean_up() == 0


def test_what_could_not_be_deleted_is_deleted_later(place, monkeypatch, caplog):
    proxy = place.between()
    storage = place.open(expire_after_s=60, link_s=60, **place.through(proxy))
    storage.upload(b"old")
    at_another_time(monkeypatch, 100)
    code = {"x-ms-error-code": "AuthorizationFailure"}
    proxy.rule = lambda asked: Reply(403, code, b"<Error><Code>AccessDenied</Code></Error>") if asked.deletes else None
    storage.upload(b"new")
    assert "could not be deleted" in caplog.text
    assert len(place.stored()) == 2
    proxy.rule = lambda asked: None
    assert storage.clean_up() == 1
    assert len(place.stored()) == 1


def test_nothing_that_the_user_named_is_ever_deleted(place, monkeypatch):
    storage = place.open(expire_after_s=60, link_s=60)
    storage.upload(b"chips", key="mine.txt")
    at_another_time(monkeypatch, 1e6)
    assert storage.clean_up() == 0
    assert place.stored() == ["mine.txt"]
