"""What a function may do: return, raise, exit, be cancelled; the server goes on."""

import asyncio
import sys
import threading

import pytest
from farcall.errors import JobCancelled
from farcall_server import JobProgress


def ended(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("make", "said", "kind"),
    [
        (lambda: ValueError("kaput 3"), "kaput 3", "ValueError"),
        (KeyError, "KeyError", "KeyError"),
        (lambda: SystemExit(3), "The function ended with SystemExit(3).", "SystemExit"),
        (KeyboardInterrupt, "KeyboardInterrupt", "KeyboardInterrupt"),
        (GeneratorExit, "GeneratorExit", "GeneratorExit"),
        (lambda: JobCancelled("another's"), "another's", "JobCancelled"),
    ],
)
def test_whatever_is_raised_fails_the_job_and_the_server_goes_on(call, asynchronous, make, said, kind):
    def f():
        raise make()

    async def af():
        raise make()

    send = call(af if asynchronous else f)
    for _ in range(2):
        job = ended(send(json={}))
        assert job["state"] == "failed"
        assert (job["error"]["message"], job["error"]["type"]) == (said, kind)
        assert "test_worker.py" in job["error"]["traceback"]
        assert "farcall_server" not in job["error"]["traceback"]


def test_an_exception_that_cannot_be_shown_fails_the_job_all_the_same(call):
    class OddError(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    def f():
        raise OddError

    assert ended(call(f)(json={}))["error"]["message"] == "OddError"


def test_functions_that_exit_threads_or_recurse_end_as_failed(call):
    def f(how: str):
        if how == "exit":
            sys.exit("bye")
        return f(how)

    send = call(f)
    assert "bye" in ended(send(json={"how": "exit"}))["error"]["message"]
    assert ended(send(json={"how": "deep"}))["error"]["type"] == "RecursionError"


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_more_than_concurrency_run_at_once(serve, app, gate, concurrency, asynchronous):
    running, most, full = 0, 0, threading.Event()
    lock = threading.Lock()

    def enter():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == concurrency:
                full.set()

    def leave():
        nonlocal running
        with lock:
            running -= 1

    def f():
        enter()
        gate.wait(20)
        leave()

    async def af():
        enter()
        await asyncio.to_thread(gate.wait, 20)
        leave()

    app.task_endpoint("/f", concurrency=concurrency)(af if asynchronous else f)
    client = serve(app)
    ids = [client.post("/f").json()["id"] for _ in range(10)]
    assert full.wait(10)
    gate.set()
    for job_id in ids:
        while client.get(f"/status/{job_id}?wait=20").json()["status"] != "Finished":
            pass
    assert most == concurrency


def test_a_synchronous_function_does_not_hold_up_the_server(serve, app, gate):
    started = threading.Event()

    @app.task_endpoint("/f")
    def f():
        started.set()
        gate.wait(20)

    client = serve(app)
    client.post("/f")
    assert started.wait(10)
    assert client.get("/health").json() == {"status": "running"}


def test_functions_run_on_daemon_threads_which_end_with_the_server(serve, app):
    seen = []

    @app.task_endpoint("/f", concurrency=2)
    def f():
        seen.append(threading.current_thread())

    client = serve(app)
    for _ in range(5):
        client.post("/f", headers={"prefer": "wait=20"})
    client.server.stop()
    assert all(thread.daemon for thread in seen)
    assert len(set(seen)) <= 2
    for thread in seen:
        thread.join(10)
        assert not thread.is_alive()


def test_an_asynchronous_function_runs_on_the_loop_also_behind_a_decorator(call):
    import functools

    async def f():
        return threading.current_thread().name

    @functools.wraps(f)
    def wrapped():
        return f()

    assert ended(call(f)(json={}))["result"] == ended(call(wrapped)(json={}))["result"] == "test-server"


def test_a_running_function_learns_that_it_was_cancelled(serve, app):
    started = threading.Event()

    @app.task_endpoint("/f")
    def f(job_progress: JobProgress):
        started.set()
        while True:
            job_progress.raise_if_cancelled()

    client = serve(app)
    job_id = client.post("/f").json()["id"]
    assert started.wait(10)
    assert client.post(f"/cancel/{job_id}").json()["status"] == "Processing"
    assert client.get(f"/status/{job_id}?wait=20").json()["status"] == "Cancelled"


def test_an_asynchronous_function_is_cancelled_where_it_waits(serve, app):
    started = threading.Event()

    @app.task_endpoint("/f")
    async def f():
        started.set()
        await asyncio.Event().wait()

    client = serve(app)
    job_id = client.post("/f").json()["id"]
    assert started.wait(10)
    client.post(f"/cancel/{job_id}")
    assert client.get(f"/status/{job_id}?wait=20").json()["status"] == "Cancelled"


def test_a_function_that_ends_in_spite_of_a_cancel_has_succeeded(serve, app, gate):
    started = threading.Event()

    @app.task_endpoint("/f")
    def f(job_progress: JobProgress):
        started.set()
        gate.wait(20)
        return job_progress.cancelled

    client = serve(app)
    job_id = client.post("/f").json()["id"]
    assert started.wait(10)
    client.post(f"/cancel/{job_id}")
    gate.set()
    reply = client.get(f"/status/{job_id}?wait=20").json()
    assert (reply["status"], reply["result"]) == ("Finished", True)
