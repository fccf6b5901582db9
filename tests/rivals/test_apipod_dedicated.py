"""APIPod 1.0.33 without a queue: a reply is the result."""

import pytest
from farcall import errors, gather
from rivals import known
from rivals.kitchen_png import PNG


@pytest.fixture(scope="module")
def running(start):
    return start(known.APIPOD_DEDICATED)


@pytest.fixture
def kitchen(running, connected):
    return connected(running.url)


def test_a_call_gives_its_result(kitchen):
    assert kitchen.add(a=2, b=0.25) == 2.25
    assert kitchen.greet(name="Bob", guests=["a", "b"])["guests"] == ["a", "b"]


def test_a_file_goes_in_and_comes_out(kitchen):
    assert kitchen.size(photo=b"\x00abcdefg" * 100)["size"] == 800
    assert kitchen.paint()["picture"].read() == PNG


def test_a_crash_is_the_servers_fault(kitchen):
    with pytest.raises(errors.ServerFault, match="500"):
        kitchen.burn(what="toast")


def test_two_hundred_calls_at_once_all_end(kitchen):
    jobs = [kitchen.add.submit(a=number, b=0) for number in range(200)]
    assert gather(jobs) == list(range(200))
