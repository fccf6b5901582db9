"""A rival's server as a process group that ends with its test run."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from rivals.environments import HERE, python_of

PR_SET_PDEATHSIG = 1
READY_S = 90
QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "LIT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Rival:
    """How a server starts: what its interpreter runs, and an address that answers 200 once it is up.

    Args:
        name: Of its pins, `<name>.txt`, and its program, `<name>_app.py`.
        arguments: Of the interpreter; `{port}` is the port.
        ready: The path that answers.
        ours: Whether it runs in this very environment instead of one of its own.
    """

    name: str
    arguments: tuple[str, ...]
    ready: str
    ours: bool = False


class Running:
    """A started rival."""

    def __init__(self, rival, folder: Path):
        self.rival, self.folder = rival, folder
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        python = sys.executable if rival.ours else python_of(rival.name)
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, *(piece.format(port=port) for piece in rival.arguments)],
                cwd=HERE,
                env=self._environment(Path(python).parent),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call of libc
            )

    def _environment(self, bin_folder):
        home = self.folder / "home"
        home.mkdir()
        places = {name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "BENTOML_HOME", "TMPDIR")}
        path = f"{bin_folder}{os.pathsep}{os.defpath}"
        return {**places, **QUIET, "PATH": path, "LANG": "C.UTF-8", "PYTHONPATH": str(HERE)}

    def wait(self):
        """Until it answers; a server that ended or stays silent raises with the end of its log."""
        end = time.monotonic() + READY_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.rival.name} did not come up:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def _answers(self):
        try:
            with urllib.request.urlopen(self.url + self.rival.ready, timeout=5) as reply:
                return reply.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def stop(self):
        """The whole group: some of these leave their children behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
