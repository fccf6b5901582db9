"""A stored file on its way down, from a driver that answers as it is told."""

import asyncio
import io
import threading
from datetime import UTC, datetime

import pytest
from farcall import File
from farcall.errors import FileError, Unreachable
from farcall.storage_download import RANGE_BYTES, StoredBody
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
