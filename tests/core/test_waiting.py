"""Jobs wait in the order of their looks, and an end brings the oldest forward."""

import pytest
from farcall import EndpointSpec
from farcall.jobs import Snapshot, State
from farcall.tracking import Tracked
from farcall.waiting import Waiting

ENDPOINT = EndpointSpec(path="/go")


@pytest.fixture
def waiting():
    return Waiting()


def job(waiting, due, endpoint=ENDPOINT):
    tracked = Tracked(endpoint, 0.0)
    tracked.due = due
    waiting.put(tracked)
    return tracked


def test_the_one_that_is_due_first_is_taken_first(waiting):
    late, soon = job(waiting, 5.0), job(waiting, 1.0)
    assert waiting.first_due() == 1.0
    assert waiting.take(2, 10.0) == [soon, late]
    assert len(waiting) == 0


def test_a_job_that_rests_is_not_taken_before_its_time(waiting):
    resting, other = job(waiting, 1.0), job(waiting, 2.0)
    resting.resting = True
    assert waiting.take(2, 0.0) == [other]
    assert waiting.take(2, 1.0) == [resting]


def rest(seconds):
    return lambda _: seconds


def test_an_end_brings_the_two_oldest_forward(waiting):
    first, second, third = (job(waiting, 9.0) for _ in range(3))
    waiting.bring_forward("go", 1.0, rest(5.0))
    assert waiting.first_due() == 1.0
    assert waiting.take(1, 1.0) + waiting.take(1, 1.0) == [first, second]
    assert waiting.first_due() == 9.0
    assert waiting.take(1, 9.0) == [third]


def test_a_job_that_was_just_looked_at_is_not_brought_forward(waiting):
    only = job(waiting, 1.0)
    assert waiting.take(1, 1.0) == [only]
    only.due = 9.0
    waiting.put(only)
    waiting.bring_forward("go", 2.0, rest(1.5))
    assert waiting.first_due() == 9.0
    waiting.bring_forward("go", 2.0, rest(1.0))
    assert waiting.first_due() == 2.0


def test_a_job_that_rests_is_not_brought_forward(waiting):
    job(waiting, 9.0).resting = True
    waiting.bring_forward("go", 1.0, rest(0.0))
    assert waiting.first_due() == 9.0


def test_a_job_that_ended_is_forgotten(waiting):
    ended, other = job(waiting, 1.0), job(waiting, 2.0)
    assert waiting.oldest("go") is ended
    ended.see(Snapshot(state=State.SUCCEEDED))
    assert waiting.take(1, 3.0) == [other]
    assert waiting.oldest("go") is other
    waiting.end(other)
    assert waiting.oldest("go") is None


def test_all_that_wait_are_forgotten_at_once(waiting):
    first, second = job(waiting, 1.0), job(waiting, 2.0)
    waiting.bring_forward("go", 0.0, rest(0.0))
    assert waiting.clear() == [first, second]
    assert len(waiting) == 0
    assert waiting.take(2, 9.0) == []


def test_a_job_can_be_made_due_sooner_and_not_later(waiting):
    first = job(waiting, 5.0)
    waiting.not_later(first, 7.0)
    assert waiting.first_due() == 5.0
    waiting.not_later(first, 3.0)
    assert waiting.first_due() == 3.0
    assert waiting.take(2, 9.0) == [first]


def test_all_can_be_made_due_a_pause_after_their_last_look(waiting):
    looked_at, never = job(waiting, 1.0), job(waiting, 99.0)
    assert waiting.take(1, 1.0) == [looked_at]
    looked_at.due = 99.0
    waiting.put(looked_at)
    waiting.hasten(2.0, rest(5.0))
    assert waiting.first_due() == 6.0
    assert waiting.take(1, 6.0) == [looked_at]
    assert waiting.first_due() == 7.0
    assert waiting.take(1, 7.0) == [never]
