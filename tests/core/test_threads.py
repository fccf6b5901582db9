"""Blocking work on threads: as many as it takes, and no more."""

import asyncio
import sqlite3
import threading

import pytest
from farcall import threads, unbroken


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    monkeypatch.setattr(threads, "_pool", threads._Pool())


async def at_once(count, function):
    return await asyncio.gather(*(threads.run(function) for _ in range(count)))


def test_work_that_waits_for_other_work_gets_a_thread_each():
    together = threading.Barrier(threads.MOST_THREADS)
    places = asyncio.run(at_once(threads.MOST_THREADS, lambda: together.wait(30)))
    assert sorted(places) == list(range(threads.MOST_THREADS))


def test_more_work_than_threads_is_done_too():
    assert asyncio.run(at_once(20 * threads.MOST_THREADS, lambda: 1)) == [1] * 20 * threads.MOST_THREADS


def test_one_thread_does_what_comes_one_after_the_other_however_many_rest():
    async def idents():
        together = threading.Barrier(5)
        await at_once(5, lambda: together.wait(30))
        return {await threads.run(threading.get_ident) for _ in range(50)}

    assert len(asyncio.run(idents())) == 1


def test_a_result_is_not_kept_while_nothing_is_to_be_done():
    class Result:
        def __init__(self):
            self.gone = threading.Event()

        def __del__(self):
            self.gone.set()

    async def gone():
        return (await threads.run(Result)).gone

    assert asyncio.run(gone()).wait(30)


def test_work_is_done_by_the_threads_there_are_where_the_system_gives_no_more(monkeypatch):
    async def work():
        await threads.run(int)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        return await at_once(5, lambda: 1)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    assert asyncio.run(work()) == [1] * 5


def test_it_is_told_where_the_system_gives_no_thread_at_all(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            asyncio.run(threads.run(int))
    assert asyncio.run(threads.run(lambda: 1)) == 1


def test_work_that_nobody_can_take_back_is_told_of_too(monkeypatch):
    async def work():
        return await unbroken.outcome(unbroken.begin(int))

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            asyncio.run(work())
    assert asyncio.run(work()) == 0


def refused(monkeypatch, meanwhile):
    """No thread can be started any more; something happens while one is tried for the first time."""
    left = [meanwhile]

    def refuse(_):
        while left:
            left.pop()()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def telling(done, refusals):
    """Work whose end, and whose refusal, is seen."""
    return threads.Work(lambda: done.set, refusals.append)


def test_all_work_that_no_thread_will_come_to_is_refused_and_never_done(monkeypatch):
    first, second, refusals = threading.Event(), threading.Event(), []
    with monkeypatch.context() as patched:
        refused(patched, lambda: threads._pool.put(telling(second, refusals)))
        threads._pool.put(telling(first, refusals))
    assert [str(error) for error in refusals] == ["can't start new thread"] * 2
    assert asyncio.run(at_once(3, lambda: 1)) == [1] * 3
    assert not first.is_set()
    assert not second.is_set()


def test_work_that_comes_while_no_thread_can_be_started_is_done_by_one_that_came_to_rest(monkeypatch):
    busy, go_on, rests, done, refusals = *(threading.Event() for _ in range(4)), []

    def occupy():
        busy.set()
        go_on.wait(30)
        return lambda: None

    def meanwhile():
        go_on.set()
        assert rests.wait(30)
        threads._pool.put(telling(done, refusals))

    threads._pool.put(threads.Work(occupy, refusals.append))
    assert busy.wait(30)
    refused(monkeypatch, meanwhile)
    threads._pool.put(telling(rests, refusals))
    assert done.wait(30)
    assert refusals == []


def test_what_nobody_waits_for_is_logged_when_it_fails_and_costs_no_thread(caplog):
    together = threading.Barrier(threads.MOST_THREADS)

    def fail():
        together.wait(30)
        raise sqlite3.OperationalError("disk I/O error")

    for _ in range(threads.MOST_THREADS):
        threads.later(fail)
    waited = at_once(threads.MOST_THREADS, lambda: together.wait(30))
    assert len(asyncio.run(asyncio.wait_for(waited, 60))) == threads.MOST_THREADS
    assert caplog.text.count("sqlite3.OperationalError: disk I/O error") == threads.MOST_THREADS
