"""The queue's limits are exact, the first end counts, results stay as long as they were promised."""

import asyncio
import threading

import aiohttp
import pytest
from farcall.jobs import State
from farcall_server import FastTaskAPI
from farcall_server.job import Job, Outcome
from farcall_server.lines import Rules
from farcall_server.queue import Store

DONE = Outcome(state=State.SUCCEEDED, result=1)


def store_with(jobs=0, **limits):
    store = Store()
    store.open("/f", Rules(**{"queue_size": 100, "concurrency": 1, **limits}))
    made = [Job("/f", {}, ttl_s=60) for _ in range(jobs)]
    for job in made:
        assert asyncio.run(store.accept(job))
    return store, made


def test_of_sixty_calls_at_once_six_are_accepted_and_none_is_lost(serve, app, gate):
    @app.task_endpoint("/slow", queue_size=5, concurrency=1)
    def slow(n: int):
        gate.wait(20)
        return n

    client = serve(app)
    url = str(client.base_url)

    async def sixty():
        async with aiohttp.ClientSession() as session:

            async def one(n):
                async with session.post(f"{url}/slow", json={"n": n}) as reply:
                    return n, reply.status, reply.headers.get("retry-after"), await reply.json()

            return await asyncio.gather(*[one(n) for n in range(60)])

    replies = asyncio.run(sixty())
    accepted = {n: body for n, status, _, body in replies if status == 200}
    refused = [(after, body) for _, status, after, body in replies if status == 429]
    assert (len(accepted), len(refused)) == (6, 54)
    assert {after for after, _ in refused} == {"1"}
    assert {body["error"] for _, body in refused} == {"Queue size limit reached for slow"}
    assert {body["status"] for _, body in refused} == {"Failed"}
    gate.set()
    for n, body in accepted.items():
        reply = body
        while reply["status"] != "Finished":
            reply = client.get(f"/status/{body['id']}?wait=20").json()
        assert reply["result"] == n


def test_a_refusal_in_our_own_form_says_when_to_come_again(serve, app, gate, own):
    @app.task_endpoint("/f", queue_size=0)
    def f():
        gate.wait(20)

    client = serve(app)
    assert client.post("/f").status_code == 200
    reply = client.post("/f", headers=own)
    assert reply.status_code == 429
    assert reply.json() == {
        "farcall": 1,
        "state": "failed",
        "error": {"message": "Queue size limit reached for f"},
        "retry_after_s": 1.0,
    }


def test_jobs_start_in_the_order_in_which_they_came():
    store, jobs = store_with(3)
    assert [store.start("/f") for _ in range(4)] == [*jobs, None]


def test_a_cancelled_waiting_job_never_starts_and_makes_room_at_once():
    store, (first, second) = store_with(2, queue_size=1)
    assert store.full("/f")
    store.cancel(first)
    assert not store.full("/f")
    assert (first.state, store.start("/f"), store.start("/f")) == (State.CANCELLED, second, None)


def test_the_first_end_counts():
    store, (job,) = store_with(1)
    store.start("/f")
    store.finish(job, DONE)
    look = job.snapshot()
    store.finish(job, Outcome(state=State.FAILED, error="late"))
    store.update(job, progress=0.1, message="late", line="late")
    store.cancel(job)
    assert job.snapshot() == look


def test_the_revision_grows_with_every_change():
    store, (job,) = store_with(1)
    revisions = [job.revision]
    for change in (
        lambda: store.start("/f"),
        lambda: store.update(job, progress=0.5),
        lambda: store.update(job, line="l"),
        lambda: store.finish(job, DONE),
    ):
        change()
        revisions.append(job.revision)
    assert revisions == sorted(set(revisions))


def test_limits_hold_when_many_threads_finish_at_once():
    store, jobs = store_with(200, queue_size=196, concurrency=4)
    assert store.full("/f")

    def work():
        while job := store.start("/f"):
            store.finish(job, DONE)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {job.state for job in jobs} == {State.SUCCEEDED}
    assert store._lines["/f"].queued == store._lines["/f"].running == 0


def test_results_are_read_many_times_and_go_when_their_time_is_over(serve):
    app = FastTaskAPI(result_ttl_s=0.2)

    @app.task_endpoint("/short")
    def short():
        return 1

    @app.task_endpoint("/long", result_ttl_s=60)
    def long():
        return 2

    client = serve(app)
    kept = client.post("/long", headers={"prefer": "wait=20"}).json()
    gone = client.post("/short", headers={"prefer": "wait=20"}).json()
    assert client.get(f"/status/{gone['id']}").json()["result"] == 1
    for _ in range(3):
        assert client.get(f"/status/{kept['id']}").json()["result"] == 2
    deadline = threading.Event()
    while len(app.store) > 1:  # the timer evicts; nobody asks for it
        assert not deadline.wait(0.02)
    assert client.get(f"/status/{gone['id']}").status_code == 404
    assert client.get(f"/status/{kept['id']}").json()["result"] == 2


def test_many_finished_jobs_take_little_memory():
    import tracemalloc

    async def many(store, count):
        for _ in range(count):
            job = Job("/f", {}, ttl_s=600)
            await store.accept(job)
            store.finish(store.start("/f"), DONE)

    store, _ = store_with()
    tracemalloc.start()
    asyncio.run(many(store, 5000))
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size / 5000 < 1400, "100,000 jobs must fit into 200 MB"


def test_a_store_that_closes_ends_what_has_not_ended():
    store, (running, waiting) = store_with(2)
    store.start("/f")
    asyncio.run(store.close("stopped"))
    for job in (running, waiting):
        assert (job.state, job.outcome.error) == (State.FAILED, "stopped")
    assert asyncio.run(store.get(running.id)) is None
    assert not store.full("/f")


@pytest.mark.parametrize("limits", [{"queue_size": -1}, {"concurrency": 0}])
def test_limits_that_make_no_sense_are_refused(app, limits):
    from farcall.errors import UsageError

    with pytest.raises(UsageError, match="must be"):
        app.task_endpoint("/f", **limits)
