"""The emulator's rate limits are Runpod's: so many requests in ten seconds, so many at one time."""

from contextlib import ExitStack

import pytest
from farcall_runpod import limits
from farcall_runpod.emulator.rates import Rates


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rates(clock):
    return Rates(clock, {"run": (3, 2), "status": (1, 1)})


def asked(rates, route="run"):
    with rates.request(route) as allowed:
        return allowed


def test_so_many_requests_are_allowed_in_ten_seconds(rates, clock):
    assert [asked(rates) for _ in range(4)] == [True, True, True, False]
    clock.now = 9.9
    assert not asked(rates)
    clock.now = 10.0
    assert asked(rates)


def test_each_route_has_its_own(rates):
    assert asked(rates, "status")
    assert not asked(rates, "status")
    assert asked(rates)


def test_so_many_are_allowed_at_one_time(rates):
    with ExitStack() as under_way:
        assert [under_way.enter_context(rates.request("run")) for _ in range(3)] == [True, True, False]
    assert asked(rates)


def test_the_documented_limits_are_these():
    documented = {"run": (1000, 200), "runsync": (2000, 400), "status": (2000, 400), "stream": (2000, 400)}
    assert {**documented, "cancel": (100, 20), "purge-queue": (2, 1)}.items() <= limits.RATES.items()
