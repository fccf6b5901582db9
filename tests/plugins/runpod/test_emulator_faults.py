"""The emulator does wrong what it is told to, and the client stands it."""

import farcall
import pytest
from farcall import State, errors
from farcall_runpod.emulator import Fault
from farcall_runpod.emulator.faults import Faults
from plugins.runpod.conftest import HANDLER


def connected(emulator, **options):
    return farcall.connect(emulator.url, provider="runpod", api_key="any", **options)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("429=0.2", Fault("429", 0.2)),
        ("lost-response@run=0.5", Fault("lost-response", 0.5, "run")),
        (" cold-start=3 ", Fault("cold-start", 3.0)),
    ],
)
def test_a_fault_is_read_as_it_is_written(text, fault):
    assert Fault.of(text) == fault


@pytest.mark.parametrize(
    "text", ["", "429", "busy=1", "429=2", "429=-1", "cold-start@run=1", "429@nowhere=1", "worker-death=x"]
)
def test_what_is_no_fault_is_refused(text):
    with pytest.raises(errors.UsageError):
        Fault.of(text)


def test_a_share_is_dealt_out_evenly():
    faults = Faults([Fault("429", 0.25), Fault("429", 1.0, "run")])
    assert [faults.happens("429", "status") for _ in range(8)] == [False, False, False, True] * 2
    assert all(faults.happens("429", "run") for _ in range(3))
    assert not faults.happens("lost-response", "run")


def test_submissions_and_looks_that_are_too_many_come_again(runpod_emulator):
    emulator = runpod_emulator(HANDLER, faults=("429=0.34",))
    with connected(emulator) as service:
        jobs = [service.run.submit(give=number) for number in range(12)]
        assert farcall.gather(jobs) == list(range(12))
    assert emulator.requests["run"] > 12


def test_a_submission_whose_answer_was_lost_is_not_made_twice(runpod_emulator):
    emulator = runpod_emulator(HANDLER, faults=("lost-response@run=1",))
    with connected(emulator) as service, pytest.raises(errors.Unreachable):
        service.run(give=1)
    assert emulator.requests["run"] == 1


def test_a_look_whose_answer_was_lost_is_taken_again(runpod_emulator):
    emulator = runpod_emulator(HANDLER, faults=("lost-response@status=0.5",))
    with connected(emulator) as service:
        assert [service.run(give=number) for number in range(5)] == list(range(5))


def test_a_status_that_lags_behind_is_waited_for(runpod_emulator):
    emulator = runpod_emulator(HANDLER, faults=("stale-status=1",))
    with connected(emulator) as service:
        service.run.options(mode="sync")()  # the worker is there
        job = service.run.submit(give=1)
        job.ref()
        while service.health()["jobs"]["completed"] < 2:
            pass
        assert not job.done()
        assert job.result() == 1


def test_a_job_whose_worker_died_is_run_by_another(runpod_emulator):
    emulator = runpod_emulator(HANDLER, faults=("worker-death=0.5",))
    with connected(emulator) as service:
        assert service.run(give=1) == 1
        assert service.run(give=2) == 2
        assert service.health()["jobs"]["retried"] >= 1


def test_who_waits_in_sync_mode_for_a_job_whose_worker_died_gets_its_result(runpod_emulator):
    emulator = runpod_emulator(HANDLER, faults=("worker-death=0.5",))
    with connected(emulator) as service:
        sync = service.run.options(mode="sync")
        assert [sync(give=1), sync(give=2)] == [1, 2]
    assert emulator.requests == {"runsync": 2}


def test_a_cold_start_keeps_the_first_job_in_the_queue(runpod_emulator):
    emulator = runpod_emulator(HANDLER, faults=("cold-start=4",))
    with connected(emulator) as service:
        job = service.run.submit(give=1)
        with pytest.raises(errors.WaitTimeout):
            job.result(timeout_s=3.5)
        assert job.state is State.QUEUED
        assert job.result() == 1
