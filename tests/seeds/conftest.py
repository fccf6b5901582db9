"""Programs and files for the blocks of code."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import wave

import av
import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def program(tmp_path):
    """Run a program that starts a server: `program("service.py")` is its address; keywords are its environment."""
    with contextlib.ExitStack() as stack:

        def run(*arguments, **environment):
            state = {"XDG_STATE_HOME": str(tmp_path / "state"), "FTAPI_PORT": "0", "PYTHONUNBUFFERED": "1"}
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, *arguments],
                    cwd=tmp_path,
                    env={**os.environ, **state, **environment},
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )
            stack.callback(os.killpg, process.pid, signal.SIGKILL)
            return process.stdout.readline().split(" serves at ")[1].split()[0]

        yield run


@pytest.fixture
def media(tmp_path):
    """A folder with a picture, a sound and a film."""
    Image.effect_noise((8, 6), 50).convert("RGB").save(tmp_path / "my_image_file.png")
    with wave.open(str(tmp_path / "my_audio_file.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    with av.open(str(tmp_path / "my_video_file.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for _ in range(3):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        film.mux(stream.encode())
    return tmp_path


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
