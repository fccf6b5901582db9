"""One service, one program, wherever it is hosted: the same results, states and errors, with nothing changed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import farcall
import httpx
import pytest
from conftest import Served, free_port
from farcall import State, errors
from farcall_runpod.emulator import Emulator, Endpoint

from journeys.anywhere import make_app

PROGRAM = Path(__file__).with_name("anywhere.py")
START_S = 30
ALL = frozenset({"progress", "cancel", "stream", "timeout"})


@dataclass(frozen=True)
class Place:
    """Where the service is hosted, how it is reached there, and what cannot be told there."""

    name: str
    hosted: Callable[[Path], contextlib.AbstractContextManager[dict[str, Any]]]
    can: frozenset[str] = ALL


@contextlib.contextmanager
def in_this_process(_):
    yield {"source": make_app()}


@contextlib.contextmanager
def on_a_local_server(_):
    served = Served(make_app())
    try:
        yield {"source": served.url}
    finally:
        served.stop()


def as_a_runpod_worker(name=""):
    @contextlib.contextmanager
    def hosted(folder):
        document = make_app(streams=not name).openapi()
        with Emulator(Endpoint(program=f"{PROGRAM}{name}", log_file=folder / "workers.log")) as emulator:
            yield {"source": None, "provider": "runpod", "url": emulator.url, "spec": document, "api_key": "any"}

    return hosted


@contextlib.contextmanager
def on_the_sdks_test_server(folder):
    port = free_port()
    command = [sys.executable, str(PROGRAM), "--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", str(port)]
    environment = {**os.environ, "FARCALL_BACKEND": "runpod"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url, process)
        yield {"source": url, "spec": make_app().openapi(), "provider": "runpod"}
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _await(url, process):
    end = time.monotonic() + START_S
    while True:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{url}/openapi.json")
            return
        assert process.poll() is None, "the test server did not start"
        assert time.monotonic() < end, "the test server does not answer"
        time.sleep(0.05)


PLACES = [
    Place("in process", in_this_process),
    Place("local server", on_a_local_server),
    Place("runpod", as_a_runpod_worker()),
    Place("runpod, nothing streams", as_a_runpod_worker(":unstreamed"), ALL - {"stream"}),
    Place("runpod's test server", on_the_sdks_test_server, frozenset({"stream", "timeout"})),
]


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """Each place's way in, begun at its first use."""
    begun = {}
    with contextlib.ExitStack() as stack:

        def at(place):
            if place.name not in begun:
                begun[place.name] = stack.enter_context(place.hosted(tmp_path_factory.mktemp("place")))
            return begun[place.name]

        yield at


@pytest.fixture
def svc(hosted, place):
    way = dict(hosted(place))
    with farcall.connect(way.pop("source"), **way) as service:
        yield service


def everywhere(*needs):
    """Run a test in each place that can do what it needs."""
    fitting = [place for place in PLACES if place.can >= set(needs)]
    return pytest.mark.parametrize("place", fitting, ids=lambda place: place.name)


# --- results --------------------------------------------------------------------------------------------------------


@everywhere()
def test_a_call_gives_the_result(svc):
    assert svc.add(a=1, b=2) == 3
    assert svc.add(1) == 2
    assert svc.add("4") == 5
    assert svc.add_awaiting(a=1, b=2) == 3
    assert svc.nothing() is None
    value = {"a": [1, 2.5, None, True, "é"], "error": "not one", "farcall": 1, "path": "/x", "status": "Failed"}
    assert svc.echo(value=value) == value


@everywhere()
def test_a_plain_endpoint_is_called_the_same_way(svc):
    assert svc.plain(q="hé & co") == {"q": "hé & co", "numbers": None}
    assert svc.plain(q="", numbers=[1, 2]) == {"q": "", "numbers": [1, 2]}


@everywhere()
def test_an_ended_job_tells_its_state_its_progress_and_its_log(svc):
    job = svc.steps.submit(n=3)
    assert job.result(timeout_s=60) == 3
    assert (job.state, job.progress, job.message) == (State.SUCCEEDED, 1.0, "step 2")
    assert job.logs == ("line 0", "line 1", "line 2")
    assert job.done()


@everywhere("progress")
def test_a_running_job_tells_how_far_it_is(svc, place):
    job = svc.make_fries.submit(name=place.name)
    seen = []
    for look in job.events():
        seen.append(look.progress or 0.0)
        if look.message == "half way" and look.logs:
            break
    assert (job.state, job.progress, job.message, job.logs) == (State.RUNNING, 0.5, "half way", ("potatoes cut",))
    svc.release(name=place.name)
    assert job.result(timeout_s=60) == f"fries for {place.name}"
    assert (job.state, job.progress, job.message, job.logs) == (
        State.SUCCEEDED,
        1.0,
        "salting",
        ("potatoes cut", "fried"),
    )
    assert seen == sorted(seen)


@everywhere()
def test_five_hundred_jobs_at_once_lose_none(svc):
    jobs = [svc.add.submit(a=n) for n in range(500)]
    assert farcall.gather(jobs) == [n + 1 for n in range(500)]


# --- files ----------------------------------------------------------------------------------------------------------


@everywhere()
def test_files_go_in_and_come_out(svc, tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes(bytes(range(256)) * 2000)
    turned = svc.turn(img=photo)
    assert (turned.media_type, turned.size) == ("image/png", 512_000)
    assert turned.read() == photo.read_bytes()[::-1]
    result = svc.sizes(imgs=[b"abc", photo])
    assert result["sizes"] == [3, 512_000]
    assert result["first"].read() == b"abc"


# --- streams --------------------------------------------------------------------------------------------------------


@everywhere("stream")
def test_output_comes_piece_by_piece_and_is_the_result_too(svc):
    job = svc.tell.submit(words=["one ", "two ", "three"])
    assert list(job.stream()) == ["one ", "two ", "three"]
    assert job.result() == "one two three"
    numbers = [{"number": number, "error": None} for number in range(20)]
    job = svc.count.submit(n=20)
    assert list(job.stream()) == numbers
    assert svc.count(n=3) == numbers[:3]


@everywhere("stream")
def test_files_are_streamed(svc):
    first, second = svc.draw.submit().stream()
    assert (first.name, first.read()) == ("first.png", b"first")
    assert (second["error"], second["file"].read()) == ("this is no error", b"second")


@everywhere("stream")
def test_a_stream_that_fails_gives_what_came_before(svc):
    job = svc.stumble.submit()
    pieces = job.stream()
    assert next(pieces) == "one step"
    with pytest.raises(errors.JobFailed, match="stumbled"):
        next(pieces)
    assert job.state is State.FAILED


# --- ends -----------------------------------------------------------------------------------------------------------


@everywhere("cancel")
@pytest.mark.parametrize("kind", ["block", "wait"])
def test_a_cancel_reaches_the_running_function(svc, place, kind):
    job = svc[kind].submit(name=f"{place.name} {kind}")
    next(look for look in job.events() if look.message)
    assert job.cancel(timeout_s=60).state in {State.RUNNING, State.CANCELLED}
    with pytest.raises(errors.JobCancelled):
        job.result(timeout_s=60)
    assert job.state is State.CANCELLED
    assert svc.has_noticed(name=f"{place.name} {kind}") is True


def _runs(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@everywhere("cancel")
def test_a_cancel_kills_a_function_that_looks_nowhere_in_a_process_of_its_own(svc):
    job = svc.freeze.submit()
    pid = int(next(look.message for look in job.events() if look.message))
    job.cancel(timeout_s=60)
    with pytest.raises(errors.JobCancelled):
        job.result(timeout_s=60)
    assert job.state is State.CANCELLED
    end = time.monotonic() + START_S
    while _runs(pid):
        assert time.monotonic() < end, "the function still runs"
        time.sleep(0.02)


@everywhere()
@pytest.mark.parametrize("kind", ["boom", "boom_awaiting"])
def test_a_failure_comes_with_its_type_and_the_remote_traceback(svc, kind):
    job = svc[kind].submit(text="x")
    with pytest.raises(errors.JobFailed, match="ValueError: kaput x") as caught:
        job.result(timeout_s=60)
    assert caught.value.error_type == "ValueError"
    assert "raise ValueError" in caught.value.traceback
    assert job.state is State.FAILED


@everywhere()
def test_what_cannot_be_sent_and_a_function_that_exits_fail_with_the_reason(svc):
    with pytest.raises(errors.JobFailed, match=r"result\['inside'\] is a object, which JSON cannot say"):
        svc.unsayable()
    with pytest.raises(errors.JobFailed, match=r"SystemExit\(3\)") as caught:
        svc.leave()
    assert caught.value.error_type == "SystemExit"
    assert svc.add(a=1) == 2


@everywhere("timeout")
def test_a_job_that_runs_too_long_ends_as_timed_out(svc):
    job = svc.dawdle.submit()
    with pytest.raises(errors.JobTimedOut, match=r"timeout of 0\.2 s"):
        job.result(timeout_s=60)
    assert job.state is State.TIMED_OUT


@everywhere()
def test_a_wrong_call_is_named_before_anything_is_sent(svc):
    with pytest.raises(errors.InputError, match="a cannot be 'x'"):
        svc.add(a="x")
    with pytest.raises(errors.InputError, match="'a' is missing"):
        svc.add()
    with pytest.raises(errors.InputError, match="did you mean 'name'"):
        svc.make_fries(nam="x")
    with pytest.raises(errors.UnknownEndpoint, match="Did you mean 'make_fries'"):
        svc.make_frys  # noqa: B018
