"""A call may be run again where it failed, may not run for too long, and its jobs are kept where the app says."""

import asyncio
import stat
import threading

import pytest
from farcall.errors import ConfigError, UsageError
from farcall_server import FastTaskAPI, JobProgress, places


def test_a_call_that_fails_is_run_again_as_often_as_its_retries_say(call):
    runs = []

    def flaky(until: int):
        runs.append(until)
        if len(runs) < until:
            raise ValueError(f"run {len(runs)}")
        return len(runs)

    send = call(flaky, retries=2, backoff_s=0)
    assert send(json={"until": 3}).json()["result"] == 3
    runs.clear()
    assert send(json={"until": 9}).json()["error"]["message"] == "run 3"


def test_an_asynchronous_call_is_run_again_too(call):
    runs = []

    async def flaky():
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("first")
        return len(runs)

    assert call(flaky, retries=1, backoff_s=0)().json()["result"] == 2


def test_an_asynchronous_call_that_runs_too_long_is_cancelled_and_ends_as_timed_out(call):
    cancelled = threading.Event()

    async def slow():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    job = call(slow, timeout_s=0.1, retries=3)().json()
    assert job["state"] == "timed_out"
    assert job["error"]["message"] == "The job ran for longer than its timeout of 0.1 s."
    assert cancelled.wait(10)


def test_a_synchronous_call_that_runs_too_long_ends_and_learns_of_it(call):
    stopped = threading.Event()

    def slow(job_progress: JobProgress):
        while not job_progress.cancelled:
            stopped.wait(0.01)
        stopped.set()

    assert call(slow, timeout_s=0.1)().json()["state"] == "timed_out"
    assert stopped.wait(10)


def test_a_call_within_its_timeout_is_left_alone(call):
    assert call(lambda: 1, timeout_s=30)().json()["result"] == 1


@pytest.mark.parametrize("wrong", [{"retries": -1}, {"timeout_s": 0}])
def test_limits_that_cannot_be_kept_are_refused(wrong):
    with pytest.raises(UsageError, match=r"must be"):
        FastTaskAPI().task_endpoint("/f", **wrong)(lambda: 1)


def test_jobs_are_in_memory_unless_the_app_is_started_or_says_where(tmp_path):
    assert FastTaskAPI().kept_in == "memory://"
    assert FastTaskAPI(queue="memory://").kept_in == "memory://"
    assert FastTaskAPI(queue=f"sqlite:///{tmp_path}/jobs.db").kept_in == f"sqlite:///{tmp_path}/jobs.db"


@pytest.mark.parametrize("queue", ["redis://x", "jobs.db", "sqlite:///"])
def test_a_queue_that_is_none_is_refused_with_what_to_write(queue):
    with pytest.raises(ConfigError, match=r'write "sqlite:///jobs\.db"'):
        FastTaskAPI(queue=queue)


def test_the_default_place_is_the_users_state_directory_one_for_each_program(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["/srv/a/service.py"])
    first = places.default()
    monkeypatch.setattr("sys.argv", ["/srv/b/service.py"])
    second = places.default()
    assert first != second
    assert {place.parents[1] for place in (first, second)} == {tmp_path / "farcall"}


def test_the_folder_of_a_queue_is_its_owners_alone(serve, tmp_path):
    app = FastTaskAPI(queue=f"sqlite:///{tmp_path}/new/jobs.db")
    serve(app)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "jobs.db").stat().st_mode) == 0o600


def test_a_server_that_stops_takes_nothing_on(serve, app):
    app.task_endpoint("/f")(lambda: 1)
    client = serve(app)
    app.store.release()
    reply = client.post("/f")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert "is stopping" in reply.json()["detail"]
