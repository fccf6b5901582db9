"""The process above a worker: when the worker dies, what it ran ends as failed, at once and with the reason.

Runpod gives a job whose worker died to the next worker, and so on, each of which may die of it and be paid for.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Final

from farcall.jobs import Snapshot, State

from farcall_runpod import outputs

log = logging.getLogger("farcall_runpod")

HANDLE: Final = "FARCALL_RUNPOD_MARKS"
"""The variable in which a worker finds the pipe to the process above it."""

QUEUE: Final = "RUNPOD_WEBHOOK_GET_JOB"
PAUSE_S: Final = 0.2
TRIES: Final = 3
POST_S: Final = 10.0


class Marks:
    """Tells the process above which jobs run; without one it tells nobody."""

    def __init__(self) -> None:
        written = os.environ.pop(HANDLE, None)
        self._handle = None if written is None else int(written)
        if self._handle is not None:
            os.set_inheritable(self._handle, False)  # no concern of what the app starts

    def begun(self, job_id: str) -> None:
        """A job begins to run."""
        self._tell(f"+{job_id}\n")

    def ended(self, job_id: str) -> None:
        """It has come to its end, which is told by the worker itself."""
        self._tell(f"-{job_id}\n")

    def _tell(self, line: str) -> None:
        if self._handle is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._handle, line.encode())


def watch() -> None:
    """Run this very command once more, as the worker, and end as it does. Returns only in the worker.

    Nothing is done where no queue of Runpod's feeds a worker.
    """
    if HANDLE in os.environ or QUEUE not in os.environ:
        return
    reading, writing = os.pipe()
    command = [sys.executable, *sys.orig_argv[1:]]
    environment = {**os.environ, HANDLE: str(writing)}
    worker = subprocess.Popen(command, env=environment, pass_fds=(writing,))  # noqa: S603 - ourselves
    os.close(writing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda told, _: worker.send_signal(told))
    left = _left(worker, reading)
    for job_id in left:
        _report(job_id, worker.returncode)
    raise SystemExit(worker.returncode if worker.returncode >= 0 else 128 - worker.returncode)


def _left(worker: subprocess.Popen[bytes], reading: int) -> set[str]:
    """The jobs that the worker was running when it ended."""
    running: set[str] = set()
    rest = b""
    while True:
        ended = worker.poll() is not None  # first, so that all it told before is read
        ready, _, _ = select.select([reading], [], [], 0 if ended else PAUSE_S)
        read = os.read(reading, 65536) if ready else b""
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            change = running.add if line.startswith(b"+") else running.discard
            change(line[1:].decode())
        if ended and not read:
            return running
        if ready and not read:
            worker.wait()


def _report(job_id: str, code: int) -> None:
    """Tell Runpod that a job has failed, as the SDK tells it."""
    look = Snapshot(state=State.FAILED, job_id=job_id, error=_reason(code), error_type="WorkerDied")
    place = os.environ.get("RUNPOD_WEBHOOK_POST_OUTPUT", "")
    place = place.replace("$RUNPOD_POD_ID", os.environ.get("RUNPOD_POD_ID", "")).replace("$ID", job_id)
    request = urllib.request.Request(  # noqa: S310 - Runpod's own address
        f"{place}&isStream=false",
        data=json.dumps(outputs.failed(look)).encode(),
        headers={
            "Authorization": os.environ.get("RUNPOD_AI_API_KEY", ""),
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Request-ID": job_id,
        },
        method="POST",
    )
    for attempt in range(1, TRIES + 1):
        try:
            urllib.request.urlopen(request, timeout=POST_S).close()  # noqa: S310 - as above
            return
        except (OSError, ValueError) as error:
            log.warning("Runpod could not be told that %s has failed (try %d of %d): %s", job_id, attempt, TRIES, error)
            time.sleep(attempt)


def _reason(code: int) -> str:
    if code == -signal.SIGKILL:
        return "The worker was killed while it ran this job, as a system does that runs out of memory."
    if code < 0:
        return f"The worker died of {signal.Signals(-code).name} while it ran this job."
    return f"The worker exited with {code} while it ran this job."
