"""Runs a benchmark's service in a process of its own, on a free port."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Program:
    """A program that serves."""

    url: str
    pid: int

    @property
    def memory_mb(self) -> float:
        """What of it lies in memory now, in MB of 10^6 bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6

    @property
    def cpu_s(self) -> float:
        """Seconds of a processor that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(script: str, *arguments: str) -> Iterator[Program]:
    """A script beside this one that says where it serves; its state lies in a folder that goes with it."""
    with tempfile.TemporaryDirectory() as state:
        process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_STATE_HOME": state},
            start_new_session=True,
        )
        try:
            greeting = process.stdout.readline()
            yield Program(greeting.split(" serves at ")[1].split()[0], process.pid)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
            process.stdout.close()


@contextlib.contextmanager
def service() -> Iterator[str]:
    """The address of service.py, running with a durable queue."""
    with running("service.py") as program:
        yield program.url
