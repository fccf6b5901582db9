"""Watches a function for whatever a pure one does not do: clock, chance, environment, files, network, threads."""

from __future__ import annotations

import datetime as dt
import gc
import os
import random
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, ModuleType
from typing import Any, Final

_CLOCK: Final = frozenset({"time", "monotonic", "perf_counter", "process_time", "thread_time", "localtime", "sleep"})
_TODAY: Final = frozenset({"now", "utcnow", "today"})
_HARMLESS: Final = frozenset({"fspath", "strerror"})
"""Functions of the system's module that ask the system nothing."""
_OUTSIDE: Final[dict[str, frozenset[str] | None]] = {
    "builtins": frozenset({"print", "input"}),
    "io": frozenset({"open"}),
    "_io": frozenset({"open", "open_code"}),
    "_socket": None,
    "_ssl": None,
    "_posixsubprocess": None,
    "_thread": frozenset({"start_new_thread", "start_joinable_thread"}),
    "select": None,
}
"""Built-in modules that reach outside, with the functions that do; None: all."""
_STDLIB: Final = sysconfig.get_path("stdlib")


def _codes() -> dict[CodeType, str]:
    """Python functions that reach outside: the environment, sockets, programs."""
    environment = {m: f"os.environ.{n}" for n, m in vars(type(os.environ)).items() if hasattr(m, "__code__")}
    others = {socket.socket.__init__: "socket.socket", subprocess.Popen.__init__: "subprocess.Popen"}
    return {function.__code__: name for function, name in {**environment, **others}.items()}


_CODES: Final = _codes()


class ImpureError(AssertionError):
    """A function reached outside; the sentence says for what and where."""


@contextmanager
def watched() -> Iterator[list[str]]:
    """Within the block nothing may reach outside: what tries is stopped by `ImpureError`, and listed.

    Every call in this thread is seen, under whatever name it was imported. A module that is imported on the way may
    do what it likes. A built-in function that is called by another one (`map(time.time, …)`) is not seen.
    """
    seen: list[str] = []
    before = sys.getprofile()
    collecting = gc.isenabled()
    gc.disable()  # a finaliser that runs by chance is no doing of the watched function
    sys.setprofile(_watcher(seen))
    try:
        yield seen
    finally:
        sys.setprofile(before)
        if collecting:
            gc.enable()


def _watcher(seen: list[str]) -> Callable[[FrameType, str, Any], None]:
    def look(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            name = _builtin(argument)
        elif event == "call":
            name = _CODES.get(frame.f_code)
        else:
            return
        if name is not None and not _importing(frame):
            seen.append(f"{name} in {_place(frame)}")
            raise ImpureError(seen[-1])

    return look


def _builtin(function: Any) -> str | None:
    """The name of a built-in function if it reaches outside; None if not."""
    name, owner = function.__name__, getattr(function, "__self__", None)
    if isinstance(owner, ModuleType):
        module = owner.__name__
        if module == "time":
            return f"time.{name}" if name.removesuffix("_ns") in _CLOCK else None
        if module == os.name:
            return None if name in _HARMLESS or name.startswith("_path_") else f"os.{name}"
        reaching = _OUTSIDE.get(module, frozenset())
        return f"{module}.{name}" if reaching is None or name in reaching else None
    if isinstance(owner, type) and issubclass(owner, dt.date) and name in _TODAY:
        return f"{owner.__name__}.{name}"
    return f"random.{name}" if owner is random.random.__self__ else None  # type: ignore[attr-defined]


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _place(frame: FrameType | None) -> str:
    """The nearest line that is not Python's own."""
    while frame is not None:
        file = frame.f_code.co_filename
        own = file.startswith("<") or (file.startswith(_STDLIB) and "site-packages" not in file)
        if not own:
            return f"{os.path.basename(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return "Python itself"
