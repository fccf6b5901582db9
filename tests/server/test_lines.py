"""Under a limit over all endpoints the line with the highest priority is served first; a retry waits for its time."""

import asyncio
import threading
import time

import pytest
from farcall.errors import UsageError
from farcall.jobs import State
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from farcall_server import FastTaskAPI
from farcall_server.job import Job, Outcome
from farcall_server.lines import Rules
from farcall_server.queue import Store

OWN = {"accept": MEDIA_TYPE}
DONE = Outcome(state=State.SUCCEEDED)


def end(client, job):
    while job["state"] in {"queued", "running"}:
        job = client.get(f"/status/{job['id']}?wait=20&seen={job['data']['rev']}", headers=OWN).json()
    return job


def until_all_want_a_place(store, jobs):
    """A job is accepted a moment before its line asks for a place."""
    for _ in range(10_000):
        if sum(line.owed for line in store._lines.values()) == jobs:
            return
        time.sleep(0.001)
    raise AssertionError("a job never asked for a place")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_place_that_gets_free_goes_to_the_highest_priority_and_the_oldest_job_among_equals(serve, gate, asynchronous):
    app = FastTaskAPI(max_concurrency=1, shutdown_grace_s=0.2)
    order, started = [], threading.Event()

    @app.task_endpoint("/first")
    def first():
        started.set()
        gate.wait(20)

    def record(name):
        def f(n: int):
            order.append(f"{name}{n}")

        async def af(n: int):
            order.append(f"{name}{n}")

        return af if asynchronous else f

    app.task_endpoint("/low", priority=-1)(record("low"))
    app.task_endpoint("/one", concurrency=5)(record("one"))
    app.task_endpoint("/two")(record("two"))
    app.task_endpoint("/high", priority=10, concurrency=2)(record("high"))
    client = serve(app)
    client.post("/first")
    assert started.wait(10)
    paths = ["/low", "/one", "/two", "/one", "/two", "/high", "/high", "/high"]
    jobs = [client.post(path, json={"n": n}, headers=OWN).json() for n, path in enumerate(paths)]
    until_all_want_a_place(app.store, len(paths))
    gate.set()
    assert {end(client, job)["state"] for job in jobs} == {"succeeded"}
    assert order == ["high5", "high6", "high7", "one1", "two2", "one3", "two4", "low0"]


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_run_at_once_than_the_limit_says_and_none_is_left(serve, most):
    app = FastTaskAPI(max_concurrency=most)
    running, seen, lock = 0, 0, threading.Lock()

    def enter():
        nonlocal running, seen
        with lock:
            running += 1
            seen = max(seen, running)

    def leave():
        nonlocal running
        with lock:
            running -= 1

    def f():
        enter()
        threading.Event().wait(0.002)
        leave()

    async def af():
        enter()
        try:
            await asyncio.sleep(0.002)
        finally:  # it may be cancelled there
            leave()

    for place, function in enumerate((f, af, f, af)):
        app.task_endpoint(f"/f{place}", concurrency=3, priority=place % 2)(function)
    client = serve(app)
    jobs = [client.post(f"/f{n % 4}", headers=OWN).json() for n in range(80)]
    for place, job in enumerate(jobs):
        if place % 7 == 0:
            client.post(f"/cancel/{job['id']}")
    assert {end(client, job)["state"] for job in jobs} <= {"succeeded", "cancelled"}
    assert seen == most


def test_a_place_kept_for_a_job_that_is_cancelled_goes_to_the_next():
    store = Store(max_concurrency=1)
    woken = []
    for name, priority in (("/a", 0), ("/b", 2), ("/c", 1)):
        store.open(name, Rules(queue_size=9, concurrency=1, priority=priority), lambda name=name: woken.append(name))
    jobs = {name: Job(name, {}, ttl_s=60) for name in ("/a", "/b", "/c")}
    for job in jobs.values():
        assert asyncio.run(store.accept(job))
    assert store.start("/a") is jobs["/a"]
    assert (store.start("/b"), store.start("/c")) == (None, None)
    store.finish(jobs["/a"], DONE)
    assert woken == ["/b"]
    store.cancel(jobs["/b"])
    assert store.start("/b") is None
    assert woken == ["/b", "/c"]
    assert store.start("/c") is jobs["/c"]


def test_a_function_that_goes_on_in_spite_of_its_timeout_keeps_its_place_and_no_other_one(serve, gate):
    app = FastTaskAPI(max_concurrency=2, shutdown_grace_s=0.2)
    begun = []

    @app.task_endpoint("/stuck", timeout_s=0.05)
    def stuck(n: int):
        begun.append(n)
        gate.wait(20)

    app.task_endpoint("/other", priority=-1)(lambda: 1)
    client = serve(app)
    first, second = (client.post("/stuck", json={"n": n}, headers=OWN).json() for n in (0, 1))
    assert end(client, first)["state"] == "timed_out"
    for _ in range(3):
        assert client.post("/other", headers={**OWN, "prefer": "wait=20"}).json()["state"] == "succeeded"
    assert client.get(f"/status/{second['id']}", headers=OWN).json()["state"] == "queued"
    gate.set()
    end(client, second)
    assert begun == [0, 1]


def test_without_a_limit_no_endpoint_waits_for_another(serve, app, gate):
    app.task_endpoint("/held", priority=10)(lambda: gate.wait(20))
    app.task_endpoint("/free", priority=-10)(lambda: 1)
    client = serve(app)
    client.post("/held")
    assert client.post("/free", headers={**OWN, "prefer": "wait=20"}).json()["state"] == "succeeded"


def test_waiting_jobs_are_taken_up_by_priority_after_a_restart(serve, tmp_path):
    order = []

    def make():
        app = FastTaskAPI(queue=f"sqlite:///{tmp_path}/jobs.db", max_concurrency=1, shutdown_grace_s=0)
        hold = threading.Event()

        @app.task_endpoint("/held")
        async def held():
            await asyncio.to_thread(hold.wait, 5)

        app.task_endpoint("/low")(lambda: order.append("low"))
        app.task_endpoint("/high", priority=1)(lambda: order.append("high"))
        return serve(app), hold

    client, hold = make()
    client.post("/held")
    jobs = [client.post(path, headers=OWN).json() for path in ("/low", "/low", "/high")]
    client.server.should_exit = True
    hold.set()
    client.server.stop()
    again, _ = make()
    for job in jobs:
        end(again, again.get(f"/status/{job['id']}", headers=OWN).json())
    assert order == ["high", "low", "low"]


@pytest.mark.parametrize("wrong", [{"max_concurrency": 0}, {"max_concurrency": -1}])
def test_a_limit_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="max_concurrency is"):
        FastTaskAPI(**wrong)


# --- retries


def test_the_pause_doubles_up_to_a_minute():
    rules = Rules(queue_size=1, concurrency=1, backoff_s=1.5)
    assert [rules.pause_s(begun) for begun in (1, 2, 3, 6, 7, 10_000)] == [1.5, 3.0, 6.0, 48.0, 60.0, 60.0]
    assert Rules(queue_size=1, concurrency=1).pause_s(3) == 0.0


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_that_waits_for_its_next_run_takes_up_no_place(serve, app, asynchronous):
    runs = []

    def f(n: int):
        runs.append(n)
        if runs.count(n) == 1 and n == 0:
            raise ValueError(n)

    async def af(n: int):
        f(n)

    app.task_endpoint("/f", retries=1, backoff_s=60)(af if asynchronous else f)
    client = serve(app)
    failed = client.post("/f", json={"n": 0}, headers=OWN).json()
    for n in range(1, 4):
        assert client.post("/f", json={"n": n}, headers={**OWN, "prefer": "wait=20"}).json()["state"] == "succeeded"
    look = client.get(f"/status/{failed['id']}", headers=OWN).json()
    assert look["state"] == "queued"
    assert client.post(f"/cancel/{failed['id']}", headers=OWN).json()["state"] == "cancelled"
    assert runs == [0, 1, 2, 3]


@pytest.mark.parametrize("limit", [None, 1])
def test_it_runs_again_once_its_time_has_come(serve, limit):
    app = FastTaskAPI(max_concurrency=limit)
    runs = []

    @app.task_endpoint("/f", retries=3, backoff_s=0.02)
    def f():
        runs.append(1)
        if len(runs) < 4:
            raise ValueError(len(runs))
        return len(runs)

    client = serve(app)
    assert client.post("/f", headers={**OWN, "prefer": "wait=20"}).json()["result"] == 4


def test_a_call_that_waits_for_its_next_run_is_the_next_servers_when_this_one_stops(serve, tmp_path):
    runs = []

    def make():
        app = FastTaskAPI(queue=f"sqlite:///{tmp_path}/jobs.db")

        @app.task_endpoint("/f", retries=1, backoff_s=60)
        def f():
            runs.append(1)
            if len(runs) == 1:
                raise ValueError
            return "second"

        return serve(app)

    client = make()
    job = client.post("/f", headers=OWN).json()
    while job["state"] != "queued" or not runs:
        job = client.get(f"/status/{job['id']}?wait=20&seen={job['data']['rev']}", headers=OWN).json()
    client.server.stop()
    again = make()
    assert end(again, again.get(f"/status/{job['id']}", headers=OWN).json())["result"] == "second"


@pytest.mark.parametrize("wrong", [{"backoff_s": -1}, {"cancel_grace_s": -0.1}, {"result_ttl_s": -1}])
def test_times_that_make_no_sense_are_refused(app, wrong):
    with pytest.raises(UsageError, match="must be 0 or more"):
        app.task_endpoint("/f", **wrong)(lambda: 1)


@pytest.mark.parametrize("never", [-1, float("nan")])
def test_an_app_whose_results_would_be_gone_at_once_is_refused(never):
    with pytest.raises(UsageError, match=r"result_ttl_s is .*; it must be 0 or more"):
        FastTaskAPI(result_ttl_s=never)
