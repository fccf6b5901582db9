"""`farcall runpod-emulator`, as a user runs it."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import farcall
import pytest
from plugins.runpod.conftest import HANDLER, STREAMER

FARCALL = Path(sys.executable).with_name("farcall")


@contextlib.contextmanager
def emulated(*arguments):
    """The command's first line, and the process."""
    command = [FARCALL, "runpod-emulator", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        yield process.stdout.readline(), process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_it_says_where_it_listens_serves_and_ends_with_ctrl_c():
    with emulated("--app", HANDLER, "--endpoint-id", "voice", "--api-key", "s3cret") as (line, process):
        url = re.match(r"(http://127\.0\.0\.1:\d+/v2/voice) ", line)[1]
        with farcall.connect(url, provider="runpod", api_key="s3cret") as service:
            assert service.run(give=3) == 3
        command = [FARCALL, "call", f"runpod:{url}", "run", "give=[1,2]"]
        keyed = {**os.environ, "RUNPOD_API_KEY": "s3cret"}
        called = subprocess.run(command, env=keyed, capture_output=True, text=True, check=True)
        assert json.loads(called.stdout) == [1, 2]
        with (
            farcall.connect(url, provider="runpod", api_key="other") as service,
            pytest.raises(farcall.errors.AuthRefused),
        ):
            service.health()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_its_workers_end_with_it_however_it_ends(tmp_path):
    program = tmp_path / "pid.py"
    program.write_text(
        "import os, pathlib, time\npathlib.Path(__file__).with_suffix('.pid').write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    with emulated("--app", str(program)) as (_, process):
        note = tmp_path / "pid.pid"
        while not (note.exists() and note.read_text()):
            pass
        worker = os.pidfd_open(int(note.read_text()))
        process.kill()
        process.wait()
        assert select.select([worker], [], [], 20)[0], "the worker outlived its emulator"
        os.close(worker)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--app", "nothing.py"], "There is no program 'nothing.py'"),
        (["--app", str(STREAMER), "--fault", "busy=1"], "There is no fault 'busy'"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(arguments, said):
    done = subprocess.run([FARCALL, "runpod-emulator", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
