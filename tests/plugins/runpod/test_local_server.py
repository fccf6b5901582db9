"""The local test server of Runpod's SDK: `python handler.py --rp_serve_api`."""

import os
import signal
import socket
import subprocess
import sys
import time

import farcall
import pytest
from farcall import EndpointSpec, State, errors
from plugins.runpod.conftest import HANDLER


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, HANDLER, "--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", str(port)]
    log = tmp_path_factory.mktemp("local") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            _until_it_listens(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_it_listens(port, process, log):
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"The local test server did not start: {log.read_text()[-2000:]}")


@pytest.fixture
def service(server):
    with farcall.connect(server) as service:
        yield service


def test_it_is_found_out_and_its_handler_can_be_run(service):
    assert service.binding.provider == "runpod"
    assert service.run(give={"a": 1}) == {"a": 1}
    assert service.run(give=None) is None


def test_many_jobs_all_come_to_their_end(service):
    jobs = [service.run.submit(give=number) for number in range(50)]
    assert farcall.gather(jobs) == list(range(50))


def test_a_call_in_sync_mode_gives_the_same(service):
    assert service.run.options(mode="sync")(give=3) == 3


def test_an_exception_comes_with_its_class_and_traceback(service):
    with pytest.raises(errors.JobFailed, match="ValueError: kaboom") as caught:
        service.run(boom="kaboom")
    assert 'raise ValueError(given["boom"])' in caught.value.snapshot.traceback


def test_an_error_that_a_handler_returns_fails_the_job(service):
    with pytest.raises(errors.JobFailed, match="out of oil"):
        service.run(soft="out of oil")


def test_a_result_that_breaks_it_fails_the_job_and_is_not_made_again(service):
    with pytest.raises(errors.JobFailed, match="The local test server broke"):
        service.run(give={})
    assert service.run(give=1) == 1


def test_it_cannot_cancel(service):
    job = service.run.submit(takes_s=0.5, give=1)
    job.ref()
    with pytest.raises(errors.CancelUnsupported):
        job.cancel()
    assert job.result() == 1


def test_its_jobs_are_told_by_their_ids_where_endpoints_are_declared(server):
    endpoints = [EndpointSpec(path="/run", parameters={"give": int})]
    with farcall.connect(server, provider="runpod", endpoints=endpoints) as service:
        job = service.run.submit(give="4")
        assert job.result() == 4
        assert job.state is State.SUCCEEDED


def test_a_job_it_has_told_of_is_lost_to_others(service, server):
    ref = (job := service.run.submit(give=1)).ref()
    job.result()
    with farcall.connect(server) as other, pytest.raises(errors.JobLost, match="Job ID not found"):
        other.attach(ref).result()
