"""Worker processes, seen from the server: started when they are needed, kept warm, killed where nothing else helps."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from typing import Any, Final

from farcall.jobs import State

from farcall_server import payloads, rows
from farcall_server.arguments import Fetching
from farcall_server.draining import JobOutput
from farcall_server.frames import Pipe
from farcall_server.isolation import Origin
from farcall_server.job import Job, Outcome
from farcall_server.outputs import files_of
from farcall_server.queue import Store

FAREWELL_S: Final = 2.0
"""Seconds an idle worker process has to end by itself when the server stops."""

_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from farcall_server.child import main; main(int(sys.argv[1]), int(sys.argv[3]))"
)


class Child:
    """One worker process. A new interpreter, no fork: threads and locks of the server's do not follow it.

    It has a process group of its own, so that Ctrl-C is the server's alone, and a kill takes along what it has started.

    Args:
        origin: Where it finds its function.
        fetching: How it gets files that lie elsewhere.
    """

    def __init__(self, origin: Origin, fetching: Fetching) -> None:
        ours, theirs = socket.socketpair()
        end, self._lifeline = os.pipe()
        try:
            handles = [theirs.fileno(), end]
            command = [sys.executable, "-u", "-c", _START, str(handles[0]), json.dumps(sys.path), str(end)]
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                command, stdin=subprocess.DEVNULL, pass_fds=handles, process_group=0
            )
        except BaseException:
            ours.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(end)
        self.pipe = Pipe(ours)
        self.number = 0
        self._killed = False
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._free = threading.Event()
        self._waiter = threading.Thread(target=self._wait, name="farcall-worker-end", daemon=True)
        self._waiter.start()
        self._greet(origin, fetching)

    def _wait(self) -> None:
        self.process.wait()
        self.pipe.hang_up()  # a process it has forked may hold its end open

    def _greet(self, origin: Origin, fetching: Fetching) -> None:
        hosts = sorted(fetching.fetcher.hosts)
        said = {"argv": sys.argv, "origin": dict(origin.described()), "hosts": hosts, "most": fetching.most_bytes}
        with contextlib.suppress(EOFError):  # told by what is received next
            self.pipe.send(said)

    @property
    def alive(self) -> bool:
        """Whether it may be given a job."""
        return not self._killed and self.process.poll() is None

    def fault(self) -> Outcome | None:
        """Wait until it has loaded its module; why not, if it has not."""
        try:
            head, _ = self.pipe.receive()
        except EOFError:
            return self._died("while it loaded the function's module")
        return None if head["kind"] == "ready" else _outcome(head, None)

    def run(self, job: Job, store: Store, grace_s: float) -> Outcome:
        """Have it run a job's function, and carry to the job what that says.

        Args:
            job: It runs already.
            store: Where it is kept.
            grace_s: Seconds that the function has to end once it was asked to, before it is killed.
        """
        output = JobOutput(store, job)
        self._free.clear()
        self.number += 1
        with self._lock:
            self._job = job
        try:
            self._hand_over(job)
            job.stop = partial(self._stop, job, self.number, grace_s)
            if job.cancelling:  # before there was anything to stop it
                job.stop()
            return self._follow(job, store, output)
        except EOFError:
            died = self._died("while it ran the function")
            return Outcome(state=State.CANCELLED) if job.cancelling else died
        except BaseException:
            self.kill()
            raise
        finally:
            with self._lock:
                self._job = None
            self._free.set()

    def _hand_over(self, job: Job) -> None:
        body, fields = rows.packed(job)
        head = {"number": self.number, "folder": str(job.folder.path()), "form": fields is not None}
        self.pipe.send(head, (fields or body or "{}").encode())

    def _follow(self, job: Job, store: Store, output: JobOutput) -> Outcome:
        while True:
            head, body = self.pipe.receive()
            if head["kind"] == "report":
                store.update(job, progress=head["progress"], message=head["message"], line=head["line"])
            elif head["kind"] == "begin":
                output.begin()
            elif head["kind"] == "piece":
                output.put(body)
                if output.heavy:
                    output.spill()
            elif head["kind"] == "end":
                return _end(head, body, job, output)

    # --- the end of a job that does not end, and of the process

    def _stop(self, job: Job, number: int, grace_s: float) -> None:
        """Ask the function to end, and see to it that it does. Does not wait: the store's lock is held."""
        see_to_it = partial(self._see_to_it, job, number, grace_s)
        threading.Thread(target=see_to_it, name="farcall-worker-stop", daemon=True).start()

    def _see_to_it(self, job: Job, number: int, grace_s: float) -> None:
        with contextlib.suppress(EOFError):  # it has ended
            self.pipe.send({"cancel": number})
        if not self._free.wait(grace_s):
            with self._lock:
                if self._job is job:
                    self.kill()

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        self._killed = True  # it may seem to live a moment longer
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a dead one
            os.killpg(self.process.pid, signal.SIGKILL)

    def _died(self, when: str) -> Outcome:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(FAREWELL_S)
        self.kill()  # what it has started, and itself if it only hung up
        code = self.process.wait()
        how = f"was killed by {_signal(-code)}" if code < 0 else f"ended with exit code {code}"
        return Outcome(state=State.FAILED, error=f"The worker process {how} {when}.", error_type="WorkerDied")

    def hang_up(self) -> None:
        """Tell it that no more jobs come; if it runs one, it ends at once."""
        self.pipe.hang_up()

    def dismiss(self) -> None:
        """Have it ended. Blocks for `FAREWELL_S` at most."""
        self.hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(FAREWELL_S)
        self.kill()
        self._waiter.join()
        self.pipe.close()
        os.close(self._lifeline)


def _end(head: dict[str, Any], body: bytes, job: Job, output: JobOutput) -> Outcome:
    if job.chunks is not None:
        output.close()
    if head["whole"]:
        return _outcome(head, output.whole())
    return _outcome(head, payloads.unpack(body.decode(), job.folder) if body else None)


def _outcome(head: dict[str, Any], result: Any) -> Outcome:
    return Outcome(
        state=State(head["state"]), result=result, files=files_of(result), error=head["error"],
        error_type=head["error_type"], traceback=head["traceback"],
    )  # fmt: skip


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
