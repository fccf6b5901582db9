"""A server that is told to be several processes is refused with a sentence."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest
from farcall_server.supervisors import told

APP = "from farcall_server import FastTaskAPI\napp = FastTaskAPI()\n"
REFUSED = "of which none would know the others' jobs. Start one (workers=1"


def started(tmp_path, *options, **environment):
    (tmp_path / "service.py").write_text(APP)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "service:app", "--port", port, *options]
    return subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})


@pytest.mark.parametrize(
    ("options", "environment"), [(["--workers", "2"], {}), (["--workers=3"], {}), ([], {"WEB_CONCURRENCY": "2"})]
)
def test_several_workers_of_uvicorn_are_refused_and_the_server_ends(tmp_path, options, environment):
    process = started(tmp_path, *options, **environment)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert REFUSED in said
    assert process.returncode is not None


def test_several_processes_that_a_program_starts_are_refused_alike(tmp_path):
    (tmp_path / "service.py").write_text(APP)
    (tmp_path / "program.py").write_text(
        'import uvicorn\nif __name__ == "__main__":\n    uvicorn.run("service:app", port=0, workers=2)\n'
    )
    command = [sys.executable, "program.py"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its processes too
    assert REFUSED in said
    assert "Traceback" not in said


def test_one_worker_is_served(tmp_path):
    process = started(tmp_path, "--workers", "1")
    try:
        assert any("Application startup complete" in line for line in process.stderr)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "environment", "number"),
    [
        (["/usr/bin/gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-w", "4", "service:app"], {}, 4),
        (["/lib/uvicorn/__main__.py", "service:app"], {"WEB_CONCURRENCY": "3"}, 3),
        (["/usr/bin/hypercorn", "service:app", "--workers", "1"], {"WEB_CONCURRENCY": "3"}, 1),
        (["service.py", "--workers", "4"], {"WEB_CONCURRENCY": "4"}, 1),
        (["/usr/bin/uvicorn", "service:app", "--workers"], {}, 1),
        ([], {}, 1),
    ],
)
def test_the_command_line_says_how_many(arguments, environment, number):
    assert told(arguments, environment) == number
