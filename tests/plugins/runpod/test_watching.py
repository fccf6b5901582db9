"""A worker that dies takes no job with it into silence: the process above it tells Runpod, once."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import farcall
import pytest
from farcall import errors
from farcall_runpod import watching
from farcall_runpod.emulator import Times
from farcall_runpod.watching import Marks

PROGRAM = """
import os, signal, sys, time
from farcall_server import FastTaskAPI

app = FastTaskAPI()

@app.task_endpoint("/die", concurrency=4)
def die(how: int) -> None:
    {note}
    os._exit(how) if how >= 0 else os.kill(os.getpid(), -how)
    time.sleep(60)

@app.task_endpoint("/add", concurrency=4)
def add(a: int) -> int:
    return a + 1

@app.task_endpoint("/stop", concurrency=4)
def stop() -> int:
    os.kill(os.getppid(), signal.SIGTERM)
    return os.getpid()
"""
ENDPOINTS = [
    farcall.EndpointSpec(path="/die", parameters={"how": int}, job=True),
    farcall.EndpointSpec(path="/add", parameters={"a": int}, job=True),
    farcall.EndpointSpec(path="/stop", job=True),
]


@pytest.fixture
def svc(runpod_emulator, tmp_path):
    """The program served by `farcall serve`, as the image of the example does, behind the emulator."""
    count = f"open({str(tmp_path / 'died')!r}, 'a').write('x')"
    (tmp_path / "app.py").write_text(PROGRAM.format(note=count))
    emulator = runpod_emulator(f"{tmp_path / 'app.py'}:app", times=Times(take_s=0.2))
    with farcall.connect(provider="runpod", url=emulator.url, api_key="any", endpoints=ENDPOINTS) as service:
        yield service


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (3, "The worker exited with 3 while it ran this job"),
        (-signal.SIGKILL, "The worker was killed while it ran this job, as a system does that runs out of memory"),
    ],
)
def test_a_job_that_kills_its_worker_fails_with_the_reason_and_is_not_run_again(svc, tmp_path, how, said):
    with pytest.raises(errors.JobFailed, match=said) as caught:
        svc.die(how=how)
    assert caught.value.error_type == "WorkerDied"
    assert svc.add(a=1) == 2  # by the next worker
    assert (tmp_path / "died").read_text() == "x"


def test_a_signal_to_stop_goes_through_to_the_worker(svc):
    worker = svc.stop()
    until = time.monotonic() + 30
    while _runs(worker):
        assert time.monotonic() < until
        time.sleep(0.05)


def _runs(process):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def test_the_reason_names_what_ended_the_worker():
    assert watching._reason(0) == "The worker exited with 0 while it ran this job."
    assert watching._reason(-signal.SIGSEGV) == "The worker died of SIGSEGV while it ran this job."


def test_nothing_is_watched_where_runpod_feeds_no_worker(tmp_path):
    (tmp_path / "app.py").write_text("print('loaded')")
    command = [sys.executable, "-c", "from farcall.cli import main; main()", "serve", str(tmp_path / "app.py")]
    done = subprocess.run([*command, "--backend", "runpod"], capture_output=True, text=True, check=False)
    assert done.stdout == "loaded\n"  # once


def test_marks_without_a_process_above_tell_nobody(monkeypatch):
    monkeypatch.delenv("FARCALL_RUNPOD_MARKS", raising=False)
    Marks().begun("1")


def test_marks_survive_the_end_of_the_process_above(monkeypatch):
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    monkeypatch.setenv("FARCALL_RUNPOD_MARKS", str(writing))
    marks = Marks()
    marks.begun("1")
    assert os.read(reading, 100) == b"+1\n"
    assert not os.get_inheritable(writing)
    assert "FARCALL_RUNPOD_MARKS" not in os.environ
    os.close(reading)
    marks.ended("1")
    os.close(writing)
