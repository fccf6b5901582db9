"""Who waits for a job is told as soon as there is news, and never polls."""

import asyncio
import threading
import time

import pytest
from farcall_server import JobProgress


@pytest.fixture
def steps(serve, app, own):
    """A job that goes one step on for each `step()`."""
    turn, started = threading.Semaphore(0), threading.Event()

    @app.task_endpoint("/f", concurrency=8)
    def f(job_progress: JobProgress, count: int = 2):
        started.set()
        for i in range(count):
            assert turn.acquire(timeout=20)
            job_progress.set_status((i + 1) / 10, f"step {i}")
        assert turn.acquire(timeout=20)
        return "end"

    @app.task_endpoint("/quick")
    def quick():
        return "quick"

    client = serve(app)
    client.headers.update(own)

    def begin(**arguments):
        started.clear()
        job = client.post("/f", json=arguments).json()
        assert started.wait(10)
        return client.get(f"/status/{job['id']}").json()

    client.begin, client.step = begin, turn.release
    yield client
    for _ in range(100):
        turn.release()


def after(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def status(client, job, **query):
    return client.get(f"/status/{job['id']}", params=query).json()


def test_prefer_wait_brings_the_result_in_the_first_reply(steps):
    job = steps.post("/quick", headers={"prefer": "respond-async, wait=20"}).json()
    assert (job["state"], job["result"]) == ("succeeded", "quick")


def test_prefer_wait_ends_after_its_time_with_the_job_as_it_is(steps):
    start = time.monotonic()
    job = steps.post("/f", headers={"prefer": "wait=0.2"}).json()
    assert job["state"] == "running"
    assert 0.2 <= time.monotonic() - start < 5


@pytest.mark.parametrize("prefer", ["wait=", "wait=x", "wait=-1", "wait", "wait=1e9", ""])
def test_a_prefer_that_means_nothing_is_passed_over(steps, prefer):
    assert steps.post("/f", headers={"prefer": prefer}).json()["state"] in {"queued", "running"}


def test_a_long_poll_returns_at_the_next_change(steps):
    job = steps.begin()
    timer = after(0.1, steps.step)
    look = status(steps, job, wait=20)
    assert (look["state"], look["message"]) == ("running", "step 0")
    timer.join()


def test_a_long_poll_returns_at_once_if_the_asker_is_behind(steps):
    job = steps.begin()
    steps.step()
    look = status(steps, job, wait=20, seen=job["data"]["rev"])
    assert look["message"] == "step 0"
    start = time.monotonic()
    again = status(steps, job, wait=20, seen=0)
    assert again == look
    assert time.monotonic() - start < 5


def test_a_long_poll_without_news_ends_after_its_time(steps):
    job = steps.begin()
    start = time.monotonic()
    assert status(steps, job, wait=0.2, seen=job["data"]["rev"]) == job
    assert 0.2 <= time.monotonic() - start < 5


def test_a_long_poll_on_an_ended_job_returns_at_once(steps):
    job = steps.post("/quick", headers={"prefer": "wait=20"}).json()
    assert status(steps, job, wait=30, seen=job["data"]["rev"]) == job


def test_a_batch_answers_with_those_that_moved(steps):
    first, second = steps.begin(count=0), steps.begin(count=0)
    jobs = [first, second]
    ask = {"ids": [j["id"] for j in jobs], "seen": [int(j["data"]["rev"]) for j in jobs], "wait": 20}
    timer = after(0.1, steps.step)
    (moved,) = steps.post("/status", json=ask).json()["jobs"]
    timer.join()
    assert (moved["state"], moved["result"]) == ("succeeded", "end")
    assert steps.post("/status", json={**ask, "wait": 0}).json()["jobs"] == [moved]
    steps.step()
    other = {**ask, "ids": [j["id"] for j in jobs if j["id"] != moved["id"]], "seen": [None]}
    assert steps.post("/status", json=other).json()["jobs"][0]["state"] == "succeeded"


def test_a_batch_without_news_is_empty_after_its_time(steps):
    job = steps.begin()
    for seen in ([int(job["data"]["rev"])], [None]):
        reply = steps.post("/status", json={"ids": [job["id"]], "seen": seen, "wait": 0.1})
        assert reply.json() == {"farcall": 1, "jobs": []}
    now = steps.post("/status", json={"ids": [job["id"]]}).json()["jobs"]
    assert [entry["id"] for entry in now] == [job["id"]]


def test_a_batch_names_at_once_what_it_does_not_know(steps):
    job = steps.begin()
    ask = {"ids": ["nope", job["id"]], "seen": [1, int(job["data"]["rev"])], "wait": 30}
    assert steps.post("/status", json=ask).json()["jobs"] == [{"farcall": 1, "id": "nope", "missing": True}]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"ids": 1}', b'{"ids": ["a"], "seen": []}', b'{"ids": [], "wait": -1}', b'{"ids": [], "wait": NaN}'],
)
def test_a_batch_that_is_malformed_is_a_422(steps, body):
    assert steps.post("/status", content=body).status_code == 422


@pytest.mark.parametrize("query", ["wait=x", "wait=", "wait=-1", "seen=x", "wait=1&seen=" + "9" * 400])
def test_a_wait_that_is_no_number_is_a_422(steps, query):
    job = steps.begin()
    reply = steps.get(f"/status/{job['id']}?{query}")
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"][0] == "query"


def test_a_server_that_stops_answers_everybody_who_waits(steps):
    job = steps.begin()
    answers = []

    def poll():
        answers.append(status(steps, job, wait=30, seen=job["data"]["rev"]))

    thread = threading.Thread(target=poll)
    thread.start()
    internal = asyncio.run(steps.server.served.store.get(job["id"]))
    while not internal.listeners:
        assert thread.is_alive()
    start = time.monotonic()
    steps.server.stop()
    thread.join(10)
    assert answers == [job]
    assert time.monotonic() - start < 5
