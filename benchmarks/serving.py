"""Runs a benchmark's service in a process of its own, on a free port."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def service(script: str = "service.py", *args: str) -> Iterator[str]:
    """The address of the running service."""
    with running(script, *args) as (url, _):
        yield url


@contextlib.contextmanager
def running(script: str, *args: str) -> Iterator[tuple[str, int]]:
    """The address of a running script of this folder, and its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    path = Path(__file__).with_name(script)
    process = subprocess.Popen(
        [sys.executable, str(path), str(port), *args], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        for _ in range(500):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/health").close()
                break
            time.sleep(0.02)
        yield url, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
