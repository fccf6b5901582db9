"""Functions that run in a process of their own: how such a process finds them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from farcall.errors import UsageError

from farcall_server.signature import Signature

Isolation = Literal["thread", "process", "async"]

MAIN: Final = "__main__"
MAIN_THERE: Final = "__mp_main__"
"""What the program's own module is called in a worker process, as `multiprocessing` calls it."""

loaded: Final[dict[tuple[str, str, str], Signature]] = {}
"""In a worker process: the endpoints of the modules it has loaded, by module, name and path."""


class _Here:
    """Whether this process is a worker process."""

    worker = False


def become_worker() -> None:
    """This process runs functions for a server."""
    _Here.worker = True


def in_worker() -> bool:
    """Whether this process runs functions for a server, and is none."""
    return _Here.worker


def note(function: Callable[..., Any], path: str, signature: Signature) -> None:
    """In a worker process remember an endpoint; elsewhere do nothing."""
    if _Here.worker:
        module = MAIN if function.__module__ == MAIN_THERE else function.__module__
        loaded[module, function.__qualname__, path] = signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a function is to be found.

    Args:
        module: The module that defines it.
        name: Its name there, with those of the classes around it.
        path: The endpoint's, as it was written.
        program: The file of the program's own module, if that defines it; else None.
        package: The package that file belongs to, if the program was started by `python -m`.
    """

    module: str
    name: str
    path: str
    program: str | None = None
    package: str | None = None

    @classmethod
    def of(cls, function: Callable[..., Any], path: str) -> Origin:
        """Where this function is to be found.

        Raises:
            UsageError: No other process can find it.
        """
        said = f"{getattr(function, '__name__', function)!s} ({path})"
        name: str = getattr(function, "__qualname__", "")  # a callable object has none
        if not name or "<" in name:
            raise UsageError(
                f"{said}: a process of its own cannot find a lambda, a callable object or a function that is defined "
                'inside another one. Write it with def at the top of a module, or use isolation="thread".'
            )
        if function.__module__ != MAIN:
            return cls(module=function.__module__, name=name, path=path)
        program = getattr(sys.modules[MAIN], "__file__", None)  # a notebook has none
        if program is None or not Path(program).is_file():
            raise UsageError(
                f"{said}: a process of its own cannot find a function that was typed in. Write it into a file, or use "
                'isolation="thread".'
            )
        spec = sys.modules[MAIN].__spec__
        return cls(
            module=MAIN,
            name=name,
            path=path,
            program=str(Path(program).absolute()),
            package=None if spec is None else spec.parent,
        )

    def described(self) -> Mapping[str, Any]:
        """As JSON values: what the class takes."""
        return asdict(self)


def isolation_of(signature: Signature, asked: Isolation | None) -> Isolation:
    """Where a function runs: as asked, else as its kind wants.

    Raises:
        UsageError: It cannot run there.
    """
    kind: Isolation = "async" if signature.asynchronous else "thread"
    if asked == "process" and os.name != "posix":
        raise UsageError('isolation="process" needs Linux, macOS or another POSIX system.')
    if asked in {None, kind, "process"}:
        return asked or kind
    where = f"{signature.spec.name} ({signature.spec.path})"
    if asked not in {"thread", "async"}:
        raise UsageError(f'{where}: isolation is {asked!r}; it must be "thread", "process" or "async".')
    is_one = "an async def, which runs on the event loop" if signature.asynchronous else "a def, which runs on a thread"
    raise UsageError(f'{where} is {is_one}: write isolation="{kind}", or "process".')
