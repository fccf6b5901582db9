"""Jobs through the emulated Runpod, run by a real worker of its SDK."""

import asyncio
import json
import urllib.error
import urllib.request

import farcall
import pytest
from farcall import State, errors
from farcall_runpod.emulator import Times
from plugins.runpod.conftest import HANDLER, KEY, STREAMER


def ask(emulator, path, body=None, *, key=KEY, method=None):
    """One bare request: its status and JSON."""
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", **({} if key is None else {"authorization": f"Bearer {key}"})}
    request = urllib.request.Request(f"{emulator.url}/{path}", content, headers, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def until(job, state):
    """Wait until a job was seen in a state."""
    assert any(look.state is state for look in job.events())


def test_a_call_gives_what_the_handler_returned(service):
    assert service.run(prompt="hi", n=2) == {"prompt": "hi", "n": 2}
    assert service.run(give=[1, None, "ä"]) == [1, None, "ä"]
    assert service.run(give=None) is None


def test_a_call_in_sync_mode_takes_one_request_and_no_look(service, worker):
    before = worker.requests
    assert service.run.options(mode="sync")(give=3) == 3
    assert worker.requests - before == {"runsync": 1}


def test_an_asynchronous_call_gives_the_same(worker):
    async def call():
        async with farcall.connect_async(worker.url, provider="runpod", api_key=KEY) as service:
            return await service.run(give=3)

    assert asyncio.run(call()) == 3


def test_progress_is_seen_while_the_job_runs_and_is_not_its_result(service):
    job = service.run.submit(steps=4, pause_s=0.3, give="done")
    looks = list(job.events())
    assert {look.message for look in looks} >= {"step 1", "step 3"}
    assert {look.progress for look in looks} >= {0.25, 0.75}
    assert all(look.result is None for look in looks[:-1])
    assert job.result() == "done"


def test_an_exception_comes_with_its_class_and_traceback(service):
    with pytest.raises(errors.JobFailed, match="ValueError: kaboom") as caught:
        service.run(boom="kaboom")
    assert caught.value.snapshot.error_type == "ValueError"
    assert 'raise ValueError(given["boom"])' in caught.value.snapshot.traceback


def test_an_error_that_a_handler_returns_fails_the_job(service):
    with pytest.raises(errors.JobFailed, match="run failed: out of oil"):
        service.run(soft="out of oil")


def test_a_running_job_is_cancelled_and_its_place_is_free(service):
    job = service.run.submit(takes_s=600)
    until(job, State.RUNNING) if job.state is not State.RUNNING else None
    assert job.cancel().state is State.CANCELLED
    with pytest.raises(errors.JobCancelled):
        job.result()
    assert service.health()["jobs"]["inProgress"] == 0


def test_a_cancel_after_the_end_leaves_the_result(service):
    job = service.run.submit(give=1)
    job.result()
    assert job.cancel().state is State.SUCCEEDED


def test_five_hundred_jobs_at_once_all_come_to_their_end(service):
    jobs = [service.run.submit(give=number) for number in range(500)]
    assert farcall.gather(jobs) == list(range(500))


def test_a_job_is_taken_up_in_another_connection(service, worker):
    ref = service.run.submit(takes_s=0.5, give=7).ref()
    assert KEY not in ref
    with farcall.connect(worker.url, provider="runpod", api_key=KEY) as other:
        assert other.attach(ref).result() == 7


def test_a_failed_job_is_run_again_under_its_id(service):
    job = service.run.submit(boom="again")
    job.exception()
    again = service.retry.submit(job_id=job.id)
    with pytest.raises(errors.JobFailed, match="again"):
        again.result()
    assert again.id == job.id
    assert service.health()["jobs"]["retried"] >= 1


def test_a_job_that_went_well_is_not_run_again(service):
    job = service.run.submit(give=1)
    job.result()
    with pytest.raises(errors.Refused, match="Only a job that failed or timed out"):
        service.retry(job_id=job.id)


def test_what_is_asked_without_the_key_is_refused(worker):
    assert ask(worker, "health", key=None)[0] == 401
    assert ask(worker, "health", key="rpa_other")[0] == 401
    with (
        farcall.connect(worker.url, provider="runpod", api_key="rpa_other") as service,
        pytest.raises(errors.AuthRefused, match=r"is from the argument api_key\.$"),
    ):
        service.health()


def test_the_key_comes_from_the_customary_variable(worker, monkeypatch):
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    with farcall.connect("runpod:voice", base_url=worker.base_url) as service:
        assert service.health()["workers"] == {"idle": 1, "running": 0}


def test_a_wrong_key_says_where_it_came_from_and_never_what_it_is(worker, monkeypatch):
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_0ther")
    with (
        farcall.connect("runpod:voice", base_url=worker.base_url) as service,
        pytest.raises(errors.AuthRefused, match=r"is from RUNPOD_API_KEY\.$") as caught,
    ):
        service.run()
    assert "rpa_0ther" not in str(caught.value)


def test_a_missing_key_says_how_to_set_one(worker, monkeypatch):
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    with (
        farcall.connect("runpod:voice", base_url=worker.base_url) as service,
        pytest.raises(errors.KeyMissing, match="RUNPOD_API_KEY"),
    ):
        service.run()


def test_a_page_in_a_browser_cannot_reach_it_under_another_name(worker):
    request = urllib.request.Request(f"{worker.url}/health", headers={"authorization": KEY, "host": "evil.test:8010"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)


def test_a_file_among_the_arguments_travels_as_a_data_address(service):
    image = farcall.File.from_bytes(b"pixels", name="a.png")
    assert service.run(image=image, images=[image]) == {
        "image": "data:image/png;base64,cGl4ZWxz",
        "images": ["data:image/png;base64,cGl4ZWxz"],
    }


def test_the_end_of_a_job_is_posted_to_its_webhook_until_that_says_200(runpod_emulator, hooks):
    emulator = runpod_emulator(HANDLER, times=Times(webhook_pause_s=0.01))
    hooks.statuses[:] = [500, 404, 200]
    with farcall.connect(emulator.url, provider="runpod", api_key="any") as service:
        job = service.run.options(webhook=hooks.url).submit(give=3)
        job.result()
        told = [hooks.queue.get(timeout=20) for _ in range(3)]
        assert told == [ask(emulator, f"status/{job.id}")[1]] * 3
        assert told[0]["output"] == 3


def test_another_endpoint_is_not_known(worker):
    with (
        farcall.connect("runpod:other", base_url=worker.base_url, api_key=KEY) as service,
        pytest.raises(errors.Refused, match="no such endpoint"),
    ):
        service.run()


@pytest.mark.parametrize(
    "body", [b"{", {}, {"input": None}, [], {"input": {}, "policy": 7}, {"input": {}, "policy": {"ttl": "1 h"}}]
)
def test_what_is_no_submission_is_refused(worker, body):
    status, said = ask(worker, "run", body, method="POST")
    assert status == 400
    assert said["error"]


def test_the_largest_bodies_are_ten_and_twenty_megabytes(worker):
    body = {"input": {"text": "x" * (10 * 1024 * 1024), "give": 1}}
    assert ask(worker, "run", body)[0] == 400
    assert ask(worker, "runsync", body)[1]["output"] == 1
    body["input"]["text"] *= 2
    assert ask(worker, "runsync", body)[0] == 400


def test_runsync_gives_up_waiting_and_the_job_goes_on(worker):
    status, said = ask(worker, "runsync?wait=1000", {"input": {"takes_s": 1.5, "give": 5}})
    assert (status, said["status"], said["id"][:5]) == (200, "IN_PROGRESS", "sync-")
    with farcall.connect(worker.url, provider="runpod", api_key=KEY) as service:
        ref = json.loads(service.run.submit().ref())
        assert service.attach(json.dumps({**ref, "id": said["id"]})).result() == 5


@pytest.mark.parametrize("wait", ["0", "999", "300001", "soon"])
def test_a_wait_outside_runpods_bounds_is_refused(worker, wait):
    assert ask(worker, f"runsync?wait={wait}", {"input": {}})[0] == 400


def test_a_status_has_the_documented_fields_in_milliseconds(worker):
    _, done = ask(worker, "runsync", {"input": {"takes_s": 0.2, "give": {"a": 1}}})
    assert done.keys() == {"id", "status", "output", "delayTime", "executionTime", "workerId"}
    assert done["executionTime"] >= 200
    assert ask(worker, "status/nothing")[0] == 404


def test_output_comes_piece_by_piece_and_as_a_list_at_the_end(runpod_emulator):
    emulator = runpod_emulator(STREAMER)
    with farcall.connect(emulator.url, provider="runpod", api_key="any") as service:
        job = service.run.submit(n=4, gap_s=0.7)
        pieces, states = [], set()
        for piece in job.stream():
            pieces.append(piece)
            states.add(job.state)
        assert pieces == job.result() == [{"number": n} for n in range(4)]
        assert State.RUNNING in states
        job = service.run.submit(n=2, boom="kaboom")
        with pytest.raises(errors.JobFailed, match="ValueError: kaboom"):
            list(job.stream())


def test_a_queue_is_purged_and_what_runs_goes_on(runpod_emulator, monkeypatch):
    monkeypatch.setenv("AT_ONCE", "1")
    emulator = runpod_emulator(HANDLER)
    with farcall.connect(emulator.url, provider="runpod", api_key="any") as service:
        running = service.run.submit(takes_s=1, give="done")
        until(running, State.RUNNING)
        waiting = [service.run.submit() for _ in range(3)]
        for job in waiting:
            job.ref()
        assert service.purge_queue() == {"removed": 3, "status": "completed"}
        assert {type(job.exception()) for job in waiting} == {errors.JobCancelled}
        assert running.result() == "done"


def test_a_job_past_its_execution_time_is_timed_out_and_stopped(runpod_emulator):
    emulator = runpod_emulator(HANDLER, times=Times(execution_s=0.5))
    with farcall.connect(emulator.url, provider="runpod", api_key="any") as service:
        with pytest.raises(errors.JobTimedOut, match="executionTimeout"):
            service.run(takes_s=600)
        assert service.health()["jobs"]["inProgress"] == 0


def test_a_result_fetched_too_late_says_so(runpod_emulator):
    emulator = runpod_emulator(HANDLER, times=Times(sync_kept_s=0.05))
    _, done = ask(emulator, "runsync", {"input": {"give": 1}})
    while ask(emulator, f"status/{done['id']}")[0] == 200:
        pass
    with farcall.connect(emulator.url, provider="runpod", api_key="any") as service:
        ref = json.loads(service.run.submit().ref())
        with pytest.raises(errors.JobLost, match="keeps a result for 1 minute"):
            service.attach(json.dumps({**ref, "id": done["id"]})).result()


def test_a_job_is_dropped_at_its_ttl(runpod_emulator):
    emulator = runpod_emulator(HANDLER, faults=("cold-start=60",), times=Times(ttl_s=0.2))
    with (
        farcall.connect(emulator.url, provider="runpod", api_key="any") as service,
        pytest.raises(errors.JobLost, match="drops every job at its ttl"),
    ):
        service.run()


def test_a_low_priority_job_waits_behind_the_others(runpod_emulator, monkeypatch):
    monkeypatch.setenv("AT_ONCE", "1")
    emulator = runpod_emulator(HANDLER, faults=("cold-start=1",))
    with farcall.connect(emulator.url, provider="runpod", api_key="any") as service:
        last = service.run.options(low_priority=True).submit(takes_s=0.2)
        last.ref()
        first = service.run.submit(takes_s=0.2)
        assert [job.id for job in farcall.as_completed([last, first])] == [first.id, last.id]


def test_a_worker_that_exits_is_replaced_and_its_job_given_up_after_three(runpod_emulator):
    emulator = runpod_emulator(HANDLER)
    with farcall.connect(emulator.url, provider="runpod", api_key="any") as service:
        with pytest.raises(errors.JobFailed, match="The worker exited"):
            service.run(exit=True)
        assert service.run(give=1) == 1


def test_a_worker_that_asks_for_it_is_started_anew_after_its_job(runpod_emulator):
    emulator = runpod_emulator(HANDLER)
    _, first = ask(emulator, "runsync", {"input": {"give": {"refresh_worker": True, "a": 1}}})
    _, second = ask(emulator, "runsync", {"input": {"give": 2}})
    assert (first["output"], second["output"]) == ({"a": 1}, 2)
    assert first["workerId"] != second["workerId"]


def test_several_workers_share_the_jobs(runpod_emulator, monkeypatch):
    monkeypatch.setenv("AT_ONCE", "1")
    emulator = runpod_emulator(HANDLER, workers=2)
    with farcall.connect(emulator.url, provider="runpod", api_key="any") as service:
        jobs = [service.run.submit(takes_s=5) for _ in range(2)]
        for job in jobs:
            until(job, State.RUNNING)
        assert service.health()["workers"] == {"idle": 0, "running": 2}


def test_a_program_that_is_not_there_is_an_error_that_names_it(runpod_emulator):
    with pytest.raises(errors.UsageError, match=r"There is no program 'nothing\.py'"):
        runpod_emulator("nothing.py")


def test_a_port_that_is_taken_is_an_error_that_names_it(runpod_emulator, worker):
    port = int(worker.base_url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(errors.UsageError, match=f"Port {port} cannot be listened on"):
        runpod_emulator(HANDLER, port=port)
