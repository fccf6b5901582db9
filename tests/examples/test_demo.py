"""`farcall demo`: the photograph goes through, and nothing of it stays behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

DEMO = [sys.executable, "-c", "from farcall.cli import main; main()", "demo"]
LIVE = {**os.environ, "PYTHONUNBUFFERED": "1"}


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def port_in(text):
    return int(re.search(r"127\.0\.0\.1:(\d+)", text)[1])


def test_the_photograph_comes_back_enhanced_and_200_jobs_go_through(own_home):
    done = subprocess.run(DEMO, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"200 jobs at once: [\d,]+ jobs/s", done.stdout)
    picture = own_home / re.search(r"The picture: (.*)", done.stdout)[1]
    with Image.open(picture) as image:
        assert image.format == "JPEG"
        assert min(image.size) > 3000
    assert "/docs" in done.stdout
    assert not answers(port_in(done.stdout))


def test_a_photograph_of_ones_own_goes_through(own_home):
    Image.effect_noise((64, 48), 80).save(own_home / "mine.jpg")
    words = ["--photo", "mine.jpg", "--folder", "out"]
    subprocess.run([*DEMO, *words], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert (own_home / "out" / "mine-enhanced.jpg").stat().st_size > 0


def test_a_photograph_that_is_none_ends_in_an_error_and_leaves_nothing(own_home):
    Path("text.jpg").write_text("no picture")
    done = subprocess.run(
        [*DEMO, "--photo", "text.jpg"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no picture" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("demo-output").exists()
    assert subprocess.run([*DEMO, "--photo", "none.jpg"], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_being_told_to_end_stops_the_service_too(own_home, number, code):
    demo = subprocess.Popen(
        DEMO,
        env=LIVE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with demo:
        log = own_home / "demo-output" / "service.log"
        until = time.monotonic() + 30
        while not (log.exists() and "serves at" in log.read_text()):
            assert time.monotonic() < until
            assert demo.poll() is None, demo.stdout.read()
            time.sleep(0.01)
        port = port_in(log.read_text())
        os.killpg(demo.pid, number)  # as a terminal does
        demo.communicate(timeout=20)
    assert demo.returncode == code
    assert not answers(port)
