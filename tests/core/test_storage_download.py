"""A stored file on its way down, from a driver that answers as it is told."""

import asyncio
import io
import threading
from datetime import UTC, datetime

import pytest
from farcall import File, threads
from farcall.errors import FileError, Unreachable
from farcall.storage_download import RANGE_BYTES, RANGES_AHEAD, RANGES_AT_ONCE, StoredBody
from farcall.storage_driver import StoredFile
from farcall.storage_upload import Hands
from farcall.wire import FileValue

CONTENT = b"".join(number.to_bytes(4, "big") for number in range(5 * RANGE_BYTES // 8))


class Driver:
    """Holds `CONTENT`."""

    def __init__(self, *, last_first=False, breaks_after=None, more=b""):
        self.asked = []
        self._last_first, self._breaks_after, self._more = last_first, breaks_after, more
        self._later_came = threading.Event()

    def read(self, key, start, end, etag):
        self.asked.append((start, end))
        if self._last_first and start == 0 and not self._later_came.wait(10):
            raise AssertionError("nothing else was asked for meanwhile")
        cut = end if self._breaks_after is None else min(end, start + self._breaks_after)
        yield CONTENT[start:cut] + self._more
        if cut < end:
            raise Unreachable("the link broke")
        self._later_came.set()


def stored(driver):
    file = StoredFile(key="film", size=len(CONTENT), media_type="", etag="1", modified=datetime.now(UTC))
    body = StoredBody(Hands(driver), file)
    return File(FileValue(name="film", body=body, size=body.length))


def test_a_range_that_comes_late_keeps_no_other_from_its_place_in_the_file(tmp_path):
    file = stored(Driver(last_first=True))
    assert file.save(tmp_path / "film").read_bytes() == CONTENT
    assert file.progress == 1.0


def test_bytes_in_order_and_bytes_in_place_are_the_same():
    read = stored(Driver()).read()
    with stored(Driver()).open() as opened:
        assert opened.read() == read == CONTENT


def test_a_link_that_breaks_is_taken_up_at_the_byte_where_it_broke(tmp_path):
    driver = Driver(breaks_after=3 * RANGE_BYTES // 4)
    assert stored(driver).save(tmp_path / "film").read_bytes() == CONTENT
    assert (3 * RANGE_BYTES // 4, RANGE_BYTES) in driver.asked
    assert sum(end - start for start, end in driver.asked) < 2 * len(CONTENT)


def test_more_bytes_than_were_asked_for_leave_no_file(tmp_path):
    with pytest.raises(FileError, match="came with more"):
        stored(Driver(more=b"!")).save(tmp_path / "film")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_ends_the_download():
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        asyncio.run(stored(Driver()).value.body.fill(Full(), lambda _: None))


class Slow:
    """Gives zeros once it may, and knows how many wait for them."""

    def __init__(self):
        self.may = threading.Event()
        self.most = self._waiting = 0
        self._changed = threading.Condition()

    def read(self, key, start, end, etag):
        with self._changed:
            self._waiting += 1
            self.most = max(self.most, self._waiting)
            self._changed.notify_all()
        assert self.may.wait(30)
        with self._changed:
            self._waiting -= 1
        yield bytes(end - start)

    def wait_for(self, waiting):
        with self._changed:
            assert self._changed.wait_for(lambda: self._waiting == waiting, 30)


def body_of(hands, ranges):
    return StoredBody(hands, StoredFile(key="film", size=ranges * RANGE_BYTES, media_type="", etag="1"))


def test_large_downloads_keep_no_other_step_waiting():
    async def meanwhile(driver):
        hands = Hands(driver)
        saving = [asyncio.create_task(body_of(hands, 8).fill(stream, lambda _: None)) for stream in streams]
        try:
            await threads.run(driver.wait_for, threads.MOST_THREADS)
            return await asyncio.wait_for(hands.do(lambda: "there"), 30)
        finally:
            driver.may.set()
            await asyncio.gather(*saving)

    driver, streams = Slow(), [io.BytesIO() for _ in range(3)]
    assert asyncio.run(meanwhile(driver)) == "there"
    assert driver.most == threads.MOST_THREADS
    assert {len(stream.getvalue()) for stream in streams} == {8 * RANGE_BYTES}


def test_more_ranges_are_on_their_way_to_a_file_than_wait_in_memory_for_a_reader():
    async def save(driver):
        saving = asyncio.create_task(body_of(Hands(driver), RANGES_AT_ONCE + 2).fill(io.BytesIO(), lambda _: None))
        await threads.run(driver.wait_for, RANGES_AT_ONCE)
        driver.may.set()
        await saving

    async def read(driver):
        pieces = body_of(Hands(driver), RANGES_AT_ONCE).chunks()
        first = asyncio.ensure_future(anext(pieces))
        await threads.run(driver.wait_for, RANGES_AHEAD)
        driver.may.set()
        await first
        await pieces.aclose()

    saved, asked = Slow(), Slow()
    asyncio.run(save(saved))
    asyncio.run(read(asked))
    assert (saved.most, asked.most) == (RANGES_AT_ONCE, RANGES_AHEAD)
