"""`app.start()` where it must not serve yet: while `farcall serve` loads its module, or a child process imports it."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from typing import TYPE_CHECKING

from farcall_server.hookspecs import Options
from farcall_server.isolation import in_worker

if TYPE_CHECKING:
    from farcall_server.app import FastTaskAPI

_loading: list[dict[FastTaskAPI, Options]] = []


@contextlib.contextmanager
def held() -> Iterator[dict[FastTaskAPI, Options]]:
    """While this lasts, `start()` only notes the app and what it was given, and returns."""
    noted: dict[FastTaskAPI, Options] = {}
    _loading.append(noted)
    try:
        yield noted
    finally:
        _loading.remove(noted)


def is_held(app: FastTaskAPI, options: Options) -> bool:
    """Whether `start()` must return at once; what it was given is noted for whoever loads the module."""
    if _loading:
        _loading[-1].setdefault(app, options)
        return True
    return in_worker() or _imported_by_child()


def _imported_by_child() -> bool:
    """Whether a process that was spawned imports the program's main module now, to find a function in it.

    What multiprocessing itself looks at before it refuses to start a further process there.
    """
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))
