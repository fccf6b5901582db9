"""`app.start()` serves where it is told, says where, and leaves nothing behind when it is stopped."""

import gc
import os
import re
import signal
import socket
import subprocess
import sys
import weakref

import httpx
import pytest

SCRIPT = """
import time
from farcall_server import FastTaskAPI
app = FastTaskAPI(title="Kitchen", shutdown_grace_s={grace})

@app.task_endpoint("/slow")
def slow(s: float = 60):
    time.sleep(s)

@app.task_endpoint("/aslow")
async def aslow():
    import asyncio
    await asyncio.sleep(60)

app.start({arguments})
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def run(arguments="", grace=10, **environment):
        script = tmp_path / "service.py"
        script.write_text(SCRIPT.format(arguments=arguments, grace=grace))
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), **environment},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_it_listens_where_the_environment_says_and_prints_it(start):
    process = start(FTAPI_PORT="0")
    line = process.stdout.readline()
    url, docs = re.fullmatch(
        r"Kitchen serves at (http://127\.0\.0\.1:\d+) \(docs: (\S+)\); Ctrl-C stops it\.\n", line
    ).groups()
    assert httpx.get(f"{url}/health").json() == {"status": "running"}
    assert httpx.get(docs).status_code == 200


def test_arguments_win_over_the_environment(start):
    process = start('host="127.0.0.2", port=0', FTAPI_HOST="127.0.0.3", FTAPI_PORT="1")
    assert "http://127.0.0.2:" in process.stdout.readline()


def test_a_port_that_is_none_is_refused_with_a_sentence(start):
    _, errors = start(FTAPI_PORT="eighty").communicate(timeout=20)
    assert "FTAPI_PORT is 'eighty'; it must be a port number, 0 to 65535." in errors


def test_the_local_backend_is_known_by_its_older_name(start):
    assert " serves at " in start(FTAPI_PORT="0", FTAPI_BACKEND="fastapi").stdout.readline()


def test_a_port_that_is_taken_ends_the_program_with_a_failure(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(FTAPI_PORT=str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "in use" in errors


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_at_once_while_jobs_run_and_warns_of_nothing(start, how):
    process = start("port=0", grace=0)
    url = re.search(r"http://\S+?:\d+", process.stdout.readline())[0]
    for path in ("/slow", "/aslow", "/slow"):
        assert httpx.post(url + path, headers={"prefer": "wait=0.05"}).status_code == 200
    process.send_signal(how)
    _, errors = process.communicate(timeout=8)
    assert errors == ""
    assert process.returncode in {0, -how}


@pytest.mark.parametrize(
    ("environment", "warned"),
    [({"FTAPI_HOST": "0.0.0.0"}, True), ({"FTAPI_HOST": "0.0.0.0", "FTAPI_API_KEYS": "k"}, False), ({}, False)],
)
def test_a_server_that_others_reach_without_a_key_says_so_loudly(start, environment, warned):
    process = start(FTAPI_PORT="0", **environment)
    assert "serves at" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert ("everybody who reaches it may run its functions" in said) is warned


def test_what_was_there_when_the_server_began_can_be_forgotten_once_it_has_stopped(serve, app):
    class Model:
        pass

    model = Model()
    model.itself = model  # so that only the search for garbage finds it
    left = weakref.ref(model)
    client = serve(app)
    assert gc.get_freeze_count()
    client.server.stop()
    del model
    gc.collect()
    assert left() is None
