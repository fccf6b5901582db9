"""The backend `runpod`: the app's functions run as a Runpod serverless worker."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from farcall import hookimpl

from farcall_runpod.watching import watch

if TYPE_CHECKING:
    from farcall_server import FastTaskAPI

if find_spec("runpod") is None:  # told now, but loaded only in the worker: it takes seconds
    raise ModuleNotFoundError("No module named 'runpod'", name="runpod")


@hookimpl
def farcall_prepare() -> None:
    """See `watching`."""
    watch()


@hookimpl
def farcall_serve(app: FastTaskAPI) -> None:
    """See `serving`."""
    from farcall_runpod import serving

    serving.serve(app)
