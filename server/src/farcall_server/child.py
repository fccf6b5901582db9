"""The inside of a worker process: it loads a function's module once, then runs one job after another."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Coroutine, Mapping
from functools import reduce
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from farcall.jobs import State

from farcall_server import inputs, isolation, payloads, rows, signature
from farcall_server.arguments import Fetching
from farcall_server.draining import awaited, drained
from farcall_server.fetching import Fetcher
from farcall_server.frames import Pipe
from farcall_server.isolation import MAIN, MAIN_THERE, Origin
from farcall_server.job import Outcome
from farcall_server.outcomes import failed
from farcall_server.outputs import plain
from farcall_server.progress import JobProgress
from farcall_server.signature import Signature
from farcall_server.uploads import Folder

_PIECES: Final = object()
"""In the place of a result: the pieces that were sent."""


def main(handle: int, lifeline: int) -> None:
    """Serve the server at the other end of a connected socket.

    Args:
        handle: The socket's file descriptor.
        lifeline: The end of a pipe of which the server has the other.
    """
    if sys.platform == "linux":
        _die_with_the_server(lifeline)
    isolation.become_worker()
    Worker(Pipe(socket.socket(fileno=handle))).work()


def _die_with_the_server(lifeline: int) -> None:
    """Have the system kill this process group once nobody has the pipe's other end.

    So it also goes when its function never lets another thread run, and takes along what that has started, which a
    signal on the parent's death would not.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


class Worker:
    """Takes jobs from the server, and tells it what becomes of them.

    Args:
        pipe: The connection; of ours alone.
    """

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.cancelling = False
        self._inbox: queue.SimpleQueue[tuple[dict[str, Any], bytes] | None] = queue.SimpleQueue()
        self._busy = True
        self._number = 0
        self._task: asyncio.Task[Any] | None = None
        self._runner = asyncio.Runner()

    def work(self) -> None:
        """Load the module, then run jobs until the server hangs up."""
        threading.Thread(target=self._listen, name="farcall-pipe", daemon=True).start()
        greeting = self._inbox.get()
        found = None if greeting is None else self._found(greeting[0])
        while found is not None:
            self._busy = False
            message = self._inbox.get()
            if message is None:
                break
            self._busy = True
            self._serve(found, *message)
        self._runner.close()

    def _found(self, greeting: Mapping[str, Any]) -> Signature | None:
        self.fetching = Fetching(fetcher=Fetcher.configured(greeting["hosts"]), most_bytes=greeting["most"])
        try:
            sys.argv = greeting["argv"]
            found = find(Origin(**greeting["origin"]))
        except BaseException as error:  # noqa: BLE001 - a user's module may raise anything; the server is told
            ended = failed(error, cancelling=False)
            why = f"The worker process could not load the function's module: {ended.error}"
            self.pipe.send(_end("broken", Outcome(state=ended.state, error=why, traceback=ended.traceback)))
            return None
        self.pipe.send({"kind": "ready"})
        return found

    def _listen(self) -> None:
        try:
            while True:
                head, body = self.pipe.receive()
                if "cancel" in head:
                    self._cancel(head["cancel"])
                else:
                    self._inbox.put((head, body))
        except EOFError:  # the server has stopped, or was killed
            if self._busy:
                os.killpg(0, signal.SIGKILL)  # also what the function has started
            self._inbox.put(None)

    def _cancel(self, number: int) -> None:
        if number == self._number:
            self.cancelling = True
            if self._task is not None:
                self._runner.get_loop().call_soon_threadsafe(self._task.cancel)

    # --- one job

    def _serve(self, found: Signature, head: Mapping[str, Any], body: bytes) -> None:
        self.cancelling, self._number = False, head["number"]
        folder = Folder(Path(head["folder"]))
        try:
            text = body.decode()
            given = rows.unpacked(None, text, folder) if head["form"] else rows.unpacked(text, None, folder)
            ended, result = self._run(found, inputs.again(found, given, folder), Output(self, folder))
        except BaseException as error:  # noqa: BLE001 - a user's function may raise anything; the process goes on
            ended, result = failed(error, cancelling=self.cancelling), b""
        self._number = 0
        self.pipe.send(_end("end", ended, whole=ended.result is _PIECES), result)

    def _run(self, found: Signature, arguments: Mapping[str, Any], output: Output) -> tuple[Outcome, bytes]:
        if found.asynchronous:
            value = self._on_loop(self._called(found, arguments, output))
        else:
            ready = self._on_loop(self._ready(found, arguments, output)) if found.file_kinds else arguments
            value = drained(found.function(**self._with_progress(found, ready)), output)
        if value is _PIECES:
            return Outcome(state=State.SUCCEEDED, result=_PIECES), b""
        return Outcome(state=State.SUCCEEDED), payloads.pack(plain(value, output.folder), output.folder).encode()

    def _with_progress(self, found: Signature, ready: Mapping[str, Any]) -> Mapping[str, Any]:
        return ready if found.progress is None else {**ready, found.progress: JobProgress(Report(self))}

    async def _ready(self, found: Signature, arguments: Mapping[str, Any], output: Output) -> Mapping[str, Any]:
        return await self.fetching.ready(found, arguments, output.folder)

    async def _called(self, found: Signature, arguments: Mapping[str, Any], output: Output) -> Any:
        ready = await self._ready(found, arguments, output)
        return await awaited(found.function(**self._with_progress(found, ready)), output)

    def _on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await this, which a cancel ends where it waits."""
        value, error = self._runner.run(self._caught(work))
        if error is not None:
            raise error
        return value

    async def _caught(self, work: Coroutine[Any, Any, Any]) -> tuple[Any, BaseException | None]:
        """What this returns or raises: some exceptions would take the event loop with them."""
        self._task = asyncio.current_task()
        try:
            if self.cancelling:  # before there was a task
                work.close()
                raise asyncio.CancelledError
            return await work, None
        except BaseException as error:  # noqa: BLE001 - as above
            return None, error
        finally:
            self._task = None


class Report:
    """Carries a function's progress to the server."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @property
    def cancelling(self) -> bool:
        """Whether somebody asked for the job's end."""
        return self._worker.cancelling

    def tell(self, *, progress: float | None = None, message: str | None = None, line: str | None = None) -> None:
        """Note what is not None."""
        self._worker.pipe.send({"kind": "report", "progress": progress, "message": message, "line": line})


class Output:
    """Carries a function's pieces to the server; a pipe that is full holds the function up.

    Args:
        worker: Its pipe takes them.
        folder: Where files among them are kept.
    """

    heavy = False

    def __init__(self, worker: Worker, folder: Folder) -> None:
        self._worker, self.folder = worker, folder

    @property
    def cancelling(self) -> bool:
        """Whether somebody asked for the job's end."""
        return self._worker.cancelling

    def begin(self) -> None:
        """Announce pieces."""
        self._worker.pipe.send({"kind": "begin"})

    def put(self, line: bytes) -> None:
        """Send a piece."""
        self._worker.pipe.send({"kind": "piece"}, line)

    def spill(self) -> None:
        """Nothing is kept here."""

    def close(self) -> None:
        """The server knows by the job's end."""

    def whole(self) -> Any:
        """The server has them all."""
        return _PIECES


def _end(kind: str, ended: Outcome, *, whole: bool = False) -> dict[str, Any]:
    return {
        "kind": kind, "state": ended.state, "whole": whole, "error": ended.error, "error_type": ended.error_type,
        "traceback": ended.traceback,
    }  # fmt: skip


# --- finding the function


def find(origin: Origin) -> Signature:
    """The endpoint that the server has at this place: its module is loaded, and with it what it decorates."""
    module = importlib.import_module(origin.module) if origin.program is None else _program(origin)
    registered = isolation.loaded.get((origin.module, origin.name, origin.path))
    if registered is not None:
        return registered
    function: Any = reduce(getattr, origin.name.split("."), module)  # decorated by another module
    return signature.read(function, origin.path, job=True)


def _program(origin: Origin) -> ModuleType:
    """The program's own module, under a name by which `if __name__ == "__main__"` knows that it is not started."""
    loader = SourceFileLoader(MAIN_THERE, str(origin.program))
    spec = spec_from_loader(MAIN_THERE, loader)
    if spec is None:
        raise ImportError(f"{origin.program} cannot be loaded")
    module = module_from_spec(spec)
    module.__package__ = origin.package or None
    module.__spec__ = None  # as a program's own is; its package counts for relative imports
    sys.modules[MAIN] = sys.modules[MAIN_THERE] = module
    loader.exec_module(module)
    return module
