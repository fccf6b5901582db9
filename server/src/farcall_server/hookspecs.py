"""The contract with backends: the hooks by which an app's functions are served, here or at a host.

A backend is a module with these hooks, marked with `farcall.hookimpl` and registered under the entry point group
`farcall.backends`; the entry point's name is what the user types. An implementation may leave out arguments it does
not need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from farcall_server.app import FastTaskAPI

hookspec = pluggy.HookspecMarker("farcall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `app.start()` and `farcall serve` were given.

    Args:
        host: Where to listen; None: not said. A backend that does not listen leaves it alone.
        port: On which port, 0 for a free one; None: not said.
    """

    host: str | None = None
    port: int | None = None


@hookspec(firstresult=True)
def farcall_prepare() -> None:
    """Do what has to be done before the program is loaded. Optional. Called by `farcall serve`, as soon as it is known.

    It is not called where only the program itself says which backend serves it. It may run the same command once more
    as a child process, watch that, and end with it by raising `SystemExit`.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def farcall_serve(app: FastTaskAPI, options: Options) -> None:
    """Serve the app until told to stop, then return. Required. Called once, in the main thread, with no event loop.

    `farcall_server.inprocess.InProcess` calls the app's endpoints as the local server would, without a socket.

    Args:
        app: All its endpoints are registered; its lifespan has not begun.
        options: What the user said, `Options(host="127.0.0.1", port=8000)`.

    Raises:
        ConfigError: The app cannot be served there; the sentence says what to do.
    """
    raise NotImplementedError
