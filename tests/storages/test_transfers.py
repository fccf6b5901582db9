"""Files go up and come back, whole, once, and under keys that nobody guesses."""

import gzip
import hashlib
import threading
import tracemalloc
from pathlib import Path

import farcall
import httpx
import pytest
from farcall import errors
from farcall.storage_driver import PIECE_BYTES

MIB = 1024 * 1024


def test_what_was_uploaded_can_be_fetched_by_its_address_alone(place):
    url = place.open().upload(farcall.File.from_bytes(b"chips", name="menu.txt"))
    reply = httpx.get(url)
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (200, b"chips", "text/plain")


def test_a_large_file_goes_up_in_parts_and_comes_back_whole(place, film):
    proxy = place.between()
    storage = place.open(**place.through(proxy))
    url = storage.upload(film)
    assert proxy.parts == [1, 2, 3, 4, 5]
    assert 1 < proxy.most_at_once <= 4
    assert httpx.get(url).content == film.read_bytes() == storage.download(url).read()


def test_a_stream_goes_up_in_parts_without_its_length_being_known(place):
    pieces = (bytes([n % 251]) * 70_000 for n in range(300))
    storage = place.open()
    url = storage.upload(farcall.File.from_stream(pieces, name="log.txt"))
    assert storage.download(url).read() == b"".join(bytes([n % 251]) * 70_000 for n in range(300))


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 8 * MIB + 1])
def test_a_file_of_any_size_keeps_it(place, size, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"x" * size)
    storage = place.open()
    stored = storage.download(storage.upload(tmp_path / "file.bin"))
    assert stored.size == size
    assert stored.read() == b"x" * size


def test_a_range_is_handed_over_piece_by_piece_and_never_whole_in_memory(place, film):
    place.open().upload(film, key="film.mp4")
    driver = place.driver()
    etag = driver.head("film.mp4").etag
    list(driver.read("film.mp4", 0, MIB, etag))  # what is made once, for the first request
    tracemalloc.start()
    try:
        pieces = [len(piece) for piece in driver.read("film.mp4", MIB, 9 * MIB, etag)]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        driver.close()
    assert (sum(pieces), max(pieces)) == (8 * MIB, PIECE_BYTES)
    assert most < 2 * MIB


def test_bytes_stored_as_packed_ones_come_as_they_are_stored(place):
    packed = gzip.compress(b"chips" * 1000)
    place.replace("menu.txt", packed, encoding="gzip")
    assert place.open().download("menu.txt").read() == packed


def test_nothing_is_seen_before_all_of_it_is_there(place, film):
    proxy = place.between()
    seen = []
    proxy.rule = lambda asked: seen.extend(place.stored()) if asked.part == 5 or asked.finishes else None
    storage = place.open(**place.through(proxy))
    storage.upload(film, key="film.mp4")
    assert seen == []
    assert place.stored() == ["film.mp4"]


def test_progress_is_told_up_to_the_last_byte(place, film):
    told = []
    place.open().upload(film, progress=lambda done, total: told.append((done, total)))
    size = film.stat().st_size
    assert told[0] == (0, size)
    assert told[-1] == (size, size)
    assert told == sorted(told)


# --- once -------------------------------------------------------------------------------------------------------


def test_the_same_file_is_sent_once_whoever_opens_the_storage(place, film, tmp_path):
    first = place.open().upload(film)
    copy = tmp_path / "elsewhere" / film.name
    copy.parent.mkdir()
    copy.write_bytes(film.read_bytes())
    proxy = place.between()
    again = place.open(**place.through(proxy)).upload(copy)  # by another address of the same place, even
    assert place.open().upload(copy).partition("?")[0] == first.partition("?")[0]
    assert again.partition("?")[0].endswith(place.stored()[0])
    assert (proxy.parts, len(place.stored())) == ([], 1)


def test_small_bytes_are_sent_once_too(place):
    proxy = place.between()
    storage = place.open(**place.through(proxy))
    urls = {storage.upload(b"chips").partition("?")[0] for _ in range(3)}
    assert len(urls) == 1
    assert len([asked for asked in proxy.asked if asked.stores]) == 1


def test_many_at_once_send_the_same_file_once(place, film):
    proxy = place.between()
    storage = place.open(**place.through(proxy))
    urls = []
    threads = [threading.Thread(target=lambda: urls.append(storage.upload(film))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert proxy.parts == [1, 2, 3, 4, 5]
    assert len({url.partition("?")[0] for url in urls}) == 1


def test_the_same_content_under_another_name_is_another_file(place):
    storage = place.open()
    for name in ("a.txt", "b.txt", "b.html"):
        storage.upload(farcall.File.from_bytes(b"chips", name=name))
    assert sorted(key.partition("/")[2] for key in place.stored()) == ["a.txt", "b.html", "b.txt"]


def test_a_stream_is_a_new_file_each_time(place):
    storage = place.open()
    urls = {storage.upload(farcall.File.from_stream(iter([b"chips"]))).partition("?")[0] for _ in range(2)}
    assert len(urls) == 2


def test_a_file_that_somebody_deleted_or_replaced_is_sent_again(place):
    storage = place.open()
    storage.upload(b"chips")
    (key,) = place.stored()
    for spoil in (place.remove, lambda key: place.replace(key, b"other and longer")):
        spoil(key)
        assert httpx.get(storage.upload(b"chips")).content == b"chips"


# --- keys -------------------------------------------------------------------------------------------------------


def test_a_key_cannot_be_told_from_the_content(place, own_state, monkeypatch):
    place.open().upload(farcall.File.from_bytes(b"chips", name="menu.txt"))
    (mine,) = place.stored()
    monkeypatch.setenv("XDG_STATE_HOME", str(own_state.parent / "another"))
    place.open().upload(farcall.File.from_bytes(b"chips", name="menu.txt"))
    theirs = next(key for key in place.stored() if key != mine)
    guess, _, name = mine.partition("/")
    assert (len(guess), name) == (40, "menu.txt")
    for algorithm in hashlib.algorithms_guaranteed - {"shake_128", "shake_256"}:
        assert guess[:16] not in hashlib.new(algorithm, b"chips").hexdigest()
    assert theirs.partition("/")[0] != guess


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\0b.txt", "ab.txt"),
        ("Grüße & Küsse.txt", "Grüße-Küsse.txt"),
        ("写真.png", "写真.png"),
        ("..", "file"),
        ("a?b#c%2f.txt", "a-b-c-2f.txt"),
    ],
)
def test_a_files_name_leads_nowhere(place, name, kept):
    storage = place.open()
    url = storage.upload(farcall.File.from_bytes(b"chips", name=name))
    (key,) = place.stored()
    assert key.partition("/")[2] == kept
    assert httpx.get(url).content == b"chips"
    assert storage.download(url).name == kept


def test_a_name_of_300_characters_fits(place):
    url = place.open().upload(farcall.File.from_bytes(b"chips", name="ü" * 300 + ".txt"))
    assert httpx.get(url).content == b"chips"


def test_a_named_key_is_taken_as_it_is_and_replaces_what_was_there(place):
    storage = place.open()
    for content in (b"first", b"second"):
        url = storage.upload(content, key="reports/fries und chips.txt")
    assert place.stored() == ["reports/fries und chips.txt"]
    assert httpx.get(url).content == b"second"


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/../b", "a\nb", "a\\b", "x" * 901, "a\ud800"])
def test_a_key_that_is_none_is_refused_before_anything_is_sent(s3_place, key):
    with pytest.raises(errors.InputError, match="key"):
        s3_place.open().upload(b"chips", key=key)
    assert s3_place.stored() == []


def test_a_key_or_prefix_that_is_no_text_is_told(place):
    storage = place.open()
    for use in (
        storage.exists,
        storage.download,
        storage.delete,
        storage.signed_url,
        lambda k: storage.upload(b"", key=k),
    ):
        for none in (5, b"x"):
            with pytest.raises(errors.InputError, match=f"A key is a text, .* not {type(none).__name__}"):
                use(none)
    with pytest.raises(errors.InputError, match="A prefix is a text"):
        list(storage.list(5))


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("🍟.png", "file.png"),
        ("Füße 日本 🍟.png", "Füße-日本.png"),
        ("-.-", "file"),
        (".bashrc", "bashrc"),
        ("🍟", "file"),
    ],
)
def test_a_key_keeps_what_it_can_of_the_files_name(place, name, readable):
    place.open().upload(farcall.File.from_bytes(b"chips", name=name))
    assert [key.partition("/")[2] for key in place.stored()] == [readable]


def test_a_prefix_goes_before_every_key_and_is_not_seen(place):
    storage = farcall.open_storage(f"{place.address}/of jobs/", **place.options)
    with storage:
        url = storage.upload(b"chips", key="a.txt")
        assert place.stored() == ["of jobs/a.txt"]
        assert [file.key for file in storage.list()] == ["a.txt"]
        assert storage.exists("a.txt")
        assert storage.exists(url)
        storage.delete(url)
    assert place.stored() == []


# --- the other verbs --------------------------------------------------------------------------------------------


def test_files_are_listed_by_prefix_with_size_and_time(place):
    storage = place.open()
    for n in range(3):
        storage.upload(b"x" * n, key=f"a/{n}")
    storage.upload(b"", key="b/0")
    listed = list(storage.list("a/"))
    assert [(file.key, file.size) for file in listed] == [("a/0", 0), ("a/1", 1), ("a/2", 2)]
    assert all(file.modified.utcoffset().total_seconds() == 0 for file in listed)


def test_a_signed_address_lets_somebody_store_a_file(place):
    storage = place.open()
    url = storage.signed_url("in/box.txt", 60, method="PUT")
    assert httpx.put(url, content=b"theirs", headers={"x-ms-blob-type": "BlockBlob"}).is_success
    assert storage.download("in/box.txt").read() == b"theirs"
    assert httpx.get(url).status_code in {403, 400}


def test_an_address_signed_for_one_file_opens_no_other(place):
    storage = place.open()
    url = storage.upload(b"mine", key="mine.txt")
    storage.upload(b"theirs", key="theirs.txt")
    assert httpx.get(url.replace("mine.txt", "theirs.txt")).status_code == 403


def test_deleting_what_is_not_there_is_no_error(place):
    storage = place.open()
    storage.delete("nothing.txt")
    assert not storage.exists("nothing.txt")


def test_a_missing_file_is_missed_at_once(place):
    with pytest.raises(errors.FileError, match=r"no file 'nothing\.txt'"):
        place.open().download("nothing.txt")


def test_an_address_elsewhere_is_refused_without_a_request(place):
    proxy = place.between()
    storage = place.open(**place.through(proxy))
    for verb in (storage.download, storage.delete, storage.exists, storage.signed_url):
        with pytest.raises(errors.UsageError, match="outside this storage") as refused:
            verb("https://example.com/secret.txt?sig=abc")
        assert "abc" not in str(refused.value)
    assert proxy.asked == []


def test_the_asynchronous_face_does_the_same(place, film):
    import asyncio

    async def journey():
        async with farcall.open_storage_async(place.address, **place.options) as storage:
            url = await storage.upload(film)
            saved = await (await storage.download(url)).save(film.with_name("again.mp4"))
            keys = [file.key async for file in storage.list()]
            await storage.delete(keys[0])
            return saved, await storage.exists(keys[0])

    saved, left = asyncio.run(journey())
    assert Path(saved).read_bytes() == film.read_bytes()
    assert not left


def test_a_closed_storage_says_so(place):
    storage = place.open()
    url = storage.upload(b"chips")
    storage.close()
    with pytest.raises(errors.UsageError, match="closed"):
        storage.upload(b"chips")
    assert httpx.get(url).content == b"chips"
