"""An app's functions as a Runpod worker: called by the SDK's own code, told to Runpod by the SDK's own code."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from farcall import State, errors
from farcall.jobs import Snapshot
from farcall_fasttaskapi import envelope
from farcall_runpod import reports, serving
from farcall_runpod.home import Home
from farcall_runpod.reports import Reports
from farcall_runpod.watching import Marks
from farcall_runpod.worker import Worker
from farcall_server import FastTaskAPI, File, JobProgress
from farcall_server.inprocess import InProcess
from runpod.serverless.modules.rp_job import run_job, run_job_generator

QUEUE = "http://127.0.0.1:9/workers/job-take/$ID?token=x"


@pytest.fixture
def app():
    return FastTaskAPI(shutdown_grace_s=0.2)


@pytest.fixture
def working():
    """Start a worker of an app: `working(app)`."""
    homes = []

    def start(app, *, deployed=False):
        home, inside = Home(), InProcess(app)
        homes.append((home, inside))
        home.run(inside.start())
        return Worker(app=inside, home=home, marks=Marks(), deployed=deployed)

    yield start
    for home, inside in homes:
        home.run(inside.stop())
        home.close()


@pytest.fixture
def ran(working, app):
    """What the SDK would post of a job with this input."""

    def run(given):
        return asyncio.run(run_job(working(app).handle, {"id": "j1", "input": given}))

    return run


def told(posted):
    return json.loads(posted["error"])


# --- what is called -------------------------------------------------------------------------------------------------


def test_the_output_is_our_envelope(app, ran):
    app.task_endpoint("/add")(lambda a=1, b=2: a + b)
    made = ran({"path": "add", "a": 3})["output"]
    look = envelope.read(made)
    assert (look.state, look.job_id, look.result) == (State.SUCCEEDED, "j1", 5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"path": "/speek"}, "no endpoint '/speek'. Did you mean '/speak'"),
        ({"text": "hi"}, 'The input names no endpoint: {"path": "/…", …arguments}. The service has: /speak'),
        ({"path": 7}, "The input names no endpoint"),
        (None, "The input names no endpoint"),
        ("speak", "The input names no endpoint"),
        (["speak"], "The input names no endpoint"),
    ],
)
def test_an_input_that_names_no_endpoint_fails_with_those_there_are(app, ran, given, said):
    app.task_endpoint("/speak")(lambda: 1)
    error = told(ran(given))
    assert error["error_type"] == "UnknownEndpoint"
    assert said in error["error_message"]


@pytest.mark.parametrize("path", ["openapi.json", "/openapi.json"])
def test_a_worker_describes_itself_truly(app, ran, path):
    @app.task_endpoint("/turn")
    def turn(img: File, times: int = 1) -> File:
        return img

    assert ran({"path": path})["output"]["result"] == app.openapi()


def test_a_value_is_the_functions_own_whatever_it_looks_like(app, ran):
    value = {"error": "none", "refresh_worker": True, "farcall": 1}
    app.task_endpoint("/odd")(lambda: value)
    assert ran({"path": "/odd"})["output"]["result"] == value


# --- how it ends ----------------------------------------------------------------------------------------------------


def test_a_failure_is_told_as_runpods_own_and_with_the_log(app, ran):
    @app.task_endpoint("/boom")
    def boom(job_progress: JobProgress):
        job_progress.log("nearly")
        raise ValueError("kaput")

    error = told(ran({"path": "/boom"}))
    assert (error["error_type"], error["error_message"]) == ("ValueError", "kaput")
    assert "raise ValueError" in error["error_traceback"]
    look = envelope.read(error)
    assert (look.state, look.logs) == (State.FAILED, ("nearly",))


def test_a_result_that_runpod_would_not_take_fails_and_says_what_to_do(app, working):
    app.task_endpoint("/long")(lambda: "x" * 15_000_000)
    worker = working(app)

    def ran(job_id):
        return asyncio.run(run_job(worker.handle, {"id": job_id, "input": {"path": "/long"}}))

    assert "output" in ran("sync-1")  # 20 MB
    error = told(ran("1"))  # 10 MB
    assert error["error_type"] == "ResultTooLarge"
    assert "15.0 MB, and Runpod takes 10 MB: give the app a storage" in error["error_message"]


def test_texts_that_are_no_unicode_do_not_stop_the_end_from_being_told(app, ran):
    @app.task_endpoint("/odd")
    def odd(job_progress: JobProgress):
        job_progress.set_status(message="\ud800")
        job_progress.log("\udfff")
        raise ValueError("\ud800")

    posted = ran({"path": "/odd"})
    json.dumps(posted, ensure_ascii=False).encode()  # as the SDK sends it
    assert told(posted)["error_message"] == "?"


def test_a_fault_of_the_app_itself_ends_the_job(app, working, monkeypatch):
    app.task_endpoint("/add")(lambda: 1)
    worker = working(app)
    monkeypatch.setattr(worker.app.app, "openapi", lambda: 1 / 0)
    posted = asyncio.run(run_job(worker.handle, {"id": "j1", "input": {"path": "openapi.json"}}))
    assert told(posted)["error_type"] == "ZeroDivisionError"


def test_nothing_of_an_ended_job_is_kept(app, working):
    app.task_endpoint("/add")(lambda: 1)
    worker = working(app)
    asyncio.run(run_job(worker.handle, {"id": "j1", "input": {"path": "/add"}}))
    worker.home.run(asyncio.sleep(0))  # what it was doing there when the end was told is over
    assert len(app.store) == 0


# --- streams --------------------------------------------------------------------------------------------------------


def streamed(worker, **given):
    async def main():
        return [each async for each in run_job_generator(worker.stream, {"id": "j1", "input": given})]

    return [each["output"] for each in asyncio.run(main())]


@pytest.fixture
def streaming(app):
    @app.task_endpoint("/count")
    def count(n: int):
        yield from range(n)
        yield {"error": "a value"}

    @app.task_endpoint("/stumble")
    def stumble():
        yield "one"
        raise ValueError("stumbled")

    return app


def test_pieces_are_plain_and_the_last_one_is_the_envelope(streaming, working):
    *pieces, end = streamed(working(streaming, deployed=True), path="/count", n=2)
    assert pieces == [0, 1, {"farcall": 1, "chunk": {"value": {"error": "a value"}, "files": []}}]
    assert envelope.read(end).result == [0, 1, {"error": "a value"}]


def test_a_stream_fails_as_the_sdk_knows_it_and_before_its_test_server_as_an_envelope(streaming, working):
    *pieces, end = streamed(working(streaming, deployed=True), path="/stumble")
    assert (pieces, list(end)) == (["one"], ["error"])
    *pieces, end = streamed(working(streaming, deployed=False), path="/stumble")
    assert (pieces, envelope.read(end).error) == (["one"], "stumbled")


def test_a_piece_that_runpod_would_not_take_ends_the_job(app, working):
    @app.task_endpoint("/draw")
    def draw():
        yield "small"
        yield "x" * 1_100_000
        yield "never told"

    piece, end = streamed(working(app, deployed=True), path="/draw")
    assert piece == "small"
    assert "The piece of output has 1.1 MB, and Runpod takes 1 MB" in told(end)["error_message"]


def test_a_reader_that_leaves_stops_the_function(app, working):
    stopped = threading.Event()

    @app.task_endpoint("/forever")
    def forever():
        try:
            while True:
                yield 1
                time.sleep(0.01)
        finally:
            stopped.set()

    worker = working(app)

    async def main():
        pieces = worker.stream({"id": "j1", "input": {"path": "/forever"}})
        assert await anext(pieces) == 1
        await pieces.aclose()

    asyncio.run(main())
    assert stopped.is_set()


# --- cancelling -----------------------------------------------------------------------------------------------------


def test_runpods_stop_ends_a_blocking_function_and_keeps_its_place_until_it_has_ended(app, working):
    started, ended = threading.Event(), threading.Event()

    @app.task_endpoint("/block")
    def block(job_progress: JobProgress):
        started.set()
        while not job_progress.cancelled:
            time.sleep(0.01)
        time.sleep(0.1)
        ended.set()

    worker = working(app)

    async def main():
        task = asyncio.ensure_future(run_job(worker.handle, {"id": "j1", "input": {"path": "/block"}}))
        await asyncio.to_thread(started.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # as Runpod may say twice
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(main())


def test_a_plain_endpoint_that_awaits_is_stopped_too(app, working):
    started, stopped = threading.Event(), threading.Event()

    @app.endpoint("/wait")
    async def wait():
        started.set()
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()

    worker = working(app)

    async def main():
        task = asyncio.ensure_future(worker.handle({"id": "j1", "input": {"path": "/wait"}}))
        await asyncio.to_thread(started.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert stopped.is_set()


# --- progress -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch):
    """The reports that were sent, each after a moment on the way."""
    arrived = []

    async def send(session, report, job):
        await asyncio.sleep(0.05)
        arrived.append(envelope.read(report["output"]).message)

    monkeypatch.setattr(reports, "send_result", send)
    monkeypatch.setattr(reports, "APART_S", 0.01)
    return arrived


def saying(message):
    return Snapshot(state=State.RUNNING, message=message)


def test_reports_arrive_in_order_the_latest_only_and_none_after_the_end(sent):
    async def main():
        told = Reports({"id": "j1"})
        told.tell(Snapshot(state=State.RUNNING))  # says nothing
        for number in range(5):
            told.tell(saying(str(number)))
        await asyncio.sleep(0.03)  # the first one is under way
        told.tell(saying("late"))
        await told.close()
        assert sent == ["4"]
        await asyncio.sleep(0.1)

    asyncio.run(main())
    assert sent == ["4"]


def test_a_report_that_cannot_be_sent_is_logged_and_the_job_goes_on(monkeypatch, caplog):
    async def send(session, report, job):
        raise UnicodeEncodeError("utf-8", "x", 0, 1, "no")

    monkeypatch.setattr(reports, "send_result", send)

    async def main():
        told = Reports({"id": "j1"})
        told.tell(saying("x"))
        await asyncio.sleep(0.01)
        await told.close()

    asyncio.run(main())
    assert "The progress of j1 could not be told" in caplog.text


# --- how the worker is started --------------------------------------------------------------------------------------


@pytest.fixture
def deployed(monkeypatch):
    monkeypatch.setenv("RUNPOD_WEBHOOK_GET_JOB", QUEUE)
    monkeypatch.setattr(sys, "argv", ["app.py"])


def configured(app, working, *, deployed=True):
    return serving.configuration(working(app, deployed=deployed))


def test_a_worker_streams_only_if_an_endpoint_does(app, working, deployed):
    app.task_endpoint("/add")(lambda: 1)
    assert configured(app, working)["return_aggregate_stream"] is False

    @app.task_endpoint("/count")
    def count():
        yield 1

    made = configured(app, working)
    assert (made["return_aggregate_stream"], made["handler"].__name__) == (True, "stream")


def test_a_single_test_input_is_never_streamed(app, working, monkeypatch):
    """The SDK runs it as a function that returns."""

    @app.task_endpoint("/count")
    def count():
        yield 1

    monkeypatch.setattr(sys, "argv", ["app.py", "--test_input", "{}"])
    assert configured(app, working, deployed=False)["handler"].__name__ == "handle"


def test_a_worker_takes_as_many_jobs_as_its_narrowest_endpoint_runs_unless_told(app, working, deployed, monkeypatch):
    app.task_endpoint("/a", concurrency=4)(lambda: 1)
    app.task_endpoint("/b", concurrency=3)(lambda: 1)
    assert configured(app, working)["concurrency_modifier"](1) == 3
    monkeypatch.setenv("FARCALL_RUNPOD_CONCURRENCY", "16")
    assert configured(app, working)["concurrency_modifier"](1) == 16
    monkeypatch.setenv("FARCALL_RUNPOD_CONCURRENCY", "many")
    with pytest.raises(errors.ConfigError, match="FARCALL_RUNPOD_CONCURRENCY is 'many'"):
        configured(app, working)


def test_what_is_no_worker_says_how_to_try_it_here(app, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py"])
    monkeypatch.setenv("FARCALL_BACKEND", "runpod")
    with pytest.raises(errors.ConfigError, match=r"farcall runpod-emulator --app .*--rp_serve_api"):
        app.start()


def test_a_parameter_that_runpod_could_not_fill_is_refused_at_start(app, deployed, monkeypatch):
    app.task_endpoint("/read")(lambda path: path)
    monkeypatch.setenv("FTAPI_BACKEND", "runpod")
    with pytest.raises(errors.ConfigError, match="/read has a parameter called 'path'"):
        app.start()


def test_an_app_that_cannot_start_takes_no_job_and_exits_with_the_reason(tmp_path):
    (tmp_path / "app.py").write_text(
        "from contextlib import asynccontextmanager\n"
        "from farcall_server import FastTaskAPI\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    raise RuntimeError('no GPU')\n"
        "    yield\n"
        "FastTaskAPI(lifespan=lifespan, backend='runpod').start()\n"
    )
    environment = {**os.environ, "RUNPOD_WEBHOOK_GET_JOB": QUEUE}
    run = [sys.executable, str(tmp_path / "app.py")]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: no GPU\n")


def test_a_worker_that_is_told_to_stop_ends_its_job_and_its_lifespan(runpod_emulator, tmp_path):
    ended = tmp_path / "ended"
    (tmp_path / "app.py").write_text(
        "import os, pathlib, signal\n"
        "from contextlib import asynccontextmanager\n"
        "from farcall_server import FastTaskAPI\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    yield\n"
        f"    pathlib.Path({str(ended)!r}).touch()\n"
        "app = FastTaskAPI(lifespan=lifespan)\n"
        "@app.task_endpoint('/stop')\n"
        "def stop() -> str:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return 'still told'\n"
        "app.start()\n"
    )
    import farcall
    from farcall_runpod.emulator import Times

    emulator = runpod_emulator(tmp_path / "app.py", times=Times(take_s=0.2))
    endpoint = farcall.EndpointSpec(path="/stop", job=True)
    with farcall.connect(provider="runpod", url=emulator.url, api_key="any", endpoints=[endpoint]) as svc:
        assert svc.stop() == "still told"
    until = time.monotonic() + 30
    while not ended.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
