"""An app handed to Runpod's SDK: whether it can be, and how its worker is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import runpod.serverless
from farcall.errors import ConfigError
from farcall_server.inprocess import InProcess

from farcall_runpod.home import Home
from farcall_runpod.watching import QUEUE, Marks
from farcall_runpod.worker import Worker

if TYPE_CHECKING:
    from farcall_server import FastTaskAPI

# Source: runpod 1.12.0, serverless/__init__.py and serverless/worker.py (read 2026-11-24).
REALTIME: Final = "RUNPOD_REALTIME_PORT"
LOCAL_API: Final = "--rp_serve_api"
TEST_FLAG: Final = "--test_input"
TEST_FILE: Final = "test_input.json"

CONCURRENCY: Final = "FARCALL_RUNPOD_CONCURRENCY"
ROUTE: Final = "path"


def serve(app: FastTaskAPI) -> None:
    """Feed the app with Runpod's jobs until Runpod stops the worker.

    Raises:
        ConfigError: This is no worker, or the app cannot be one.
    """
    _check_place()
    _check_parameters(app)
    home, inside = Home(), InProcess(app)
    home.run(inside.start())
    try:
        worker = Worker(app=inside, home=home, marks=Marks(), deployed=QUEUE in os.environ)
        runpod.serverless.start(configuration(worker))
    finally:
        home.run(inside.stop())
        home.close()


def configuration(worker: Worker) -> dict[str, Any]:
    """What the SDK is started with. Whether a worker streams, Runpod decides once for all its jobs.

    Raises:
        ConfigError: `FARCALL_RUNPOD_CONCURRENCY` is no number.
    """
    most = _concurrency(worker.app)
    streams = any(operation.signature.streams for operation in worker.app.app.operations)
    # Source: runpod 1.12.0, rp_local.py: a run of one test input does not read a handler that streams; nor realtime.
    listed = streams and (worker.deployed or LOCAL_API in sys.argv) and not os.environ.get(REALTIME)
    return {
        "handler": worker.stream if listed else worker.handle,
        "return_aggregate_stream": listed,
        "concurrency_modifier": lambda _: most,
    }


def _concurrency(app: InProcess) -> int:
    text = os.environ.get(CONCURRENCY)
    if text is None:
        return app.concurrency
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{CONCURRENCY} is {text!r}; it must be the number of jobs a worker may run at once.")
    return int(text)


def _check_place() -> None:
    fed = os.environ.get(QUEUE) or os.environ.get(REALTIME) or LOCAL_API in sys.argv
    if fed or any(argument.startswith(TEST_FLAG) for argument in sys.argv) or Path(TEST_FILE).exists():
        return
    raise ConfigError(
        f"This is no Runpod worker: {QUEUE} is not set. To try the app here run "
        f"`farcall runpod-emulator --app APP.py`, or give the program Runpod's own argument {LOCAL_API}."
    )


def _check_parameters(app: FastTaskAPI) -> None:
    for operation in app.operations:
        if ROUTE in operation.signature.spec.parameters:
            raise ConfigError(
                f"{operation.signature.spec.path} has a parameter called {ROUTE!r}, which on Runpod says which "
                "endpoint is called; give it another name."
            )
