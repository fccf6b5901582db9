"""The emulated Runpod's workers: processes that run the user's program, started again when they exit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from farcall_runpod.emulator import leash

log = logging.getLogger("farcall_runpod.emulator")

LEASH: Final = Path(leash.__file__).read_text("utf-8")
"""Handed over as text, since the interpreter may be one that has nothing of ours installed."""
QUICK_S: Final = 1.0
"""A worker that lives no longer is broken, and started again only after a while."""
PAUSE_S: Final = 1.0


class Workers:
    """So many worker processes.

    Args:
        program: The file each runs, or `app.py:app`.
        python: The interpreter that runs it.
        count: How many.
        variables: The environment of a worker, by its id.
        on_exit: Called with the id of a worker that has exited.
        log_file: Where their output goes; None: to ours.
    """

    def __init__(
        self,
        program: str,
        count: int,
        *,
        python: str,
        variables: Callable[[str], Mapping[str, str]],
        on_exit: Callable[[str], None],
        log_file: Path | None,
    ) -> None:
        self._program = program
        self._python = python
        self._count = count
        self._variables = variables
        self._on_exit = on_exit
        self._log_file = log_file
        self._processes: dict[str, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start them."""
        self._keepers = [asyncio.create_task(self._keep(number + 1)) for number in range(self._count)]

    async def stop(self) -> None:
        """End them, and all they started."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def alive(self) -> int:
        """How many there are."""
        return len(self._processes)

    def kill(self, worker: str) -> None:
        """End one at once; another takes its place."""
        process = self._processes.get(worker)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    async def _keep(self, number: int) -> None:
        """Have one worker running, always."""
        loop, started = asyncio.get_running_loop(), 0
        while True:
            started += 1
            worker, began = f"emulated-{number}-{started}", loop.time()
            process = await self._begin(worker)
            self._processes[worker] = process
            try:
                code = await process.wait()
            finally:
                self.kill(worker)
                del self._processes[worker]
                await process.wait()
                self._on_exit(worker)
            log.warning("worker %s of %s exited with %s and is started again", worker, self._program, code)
            if loop.time() - began < QUICK_S:
                await asyncio.sleep(PAUSE_S)

    async def _begin(self, worker: str) -> Process:
        """One process, with all it starts in a group of its own; it ends when our end of its stdin does."""
        environment = {**os.environ, "FARCALL_BACKEND": "runpod", "FTAPI_BACKEND": "runpod", **self._variables(worker)}
        command = (self._python, "-c", LEASH, self._program)
        with contextlib.ExitStack() as closing:
            output = None if self._log_file is None else closing.enter_context(self._log_file.open("ab"))
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=output,
                stderr=None if output is None else STDOUT,
                env=environment,
                start_new_session=True,
            )
