"""Refuses to be one of several processes: each would have a queue of its own, and know nothing of the others' jobs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from farcall.errors import UsageError

SERVERS: Final = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian", "fastapi"})
"""ASGI servers whose command line says how many processes there are to be."""

VARIABLE: Final = "WEB_CONCURRENCY"
"""Source: the manuals of uvicorn and gunicorn, 2026-11-24: the number of processes where the command line says none."""


def told(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """How many processes an ASGI server was told to start; 1 if the program is none that we know.

    >>> told(["/usr/bin/uvicorn", "service:app", "--workers", "2"], {})
    2
    """
    program = Path(arguments[0] if arguments else "")
    if not {program.stem, program.parent.name} & SERVERS:  # the latter is `python -m uvicorn`
        return 1
    number = environment.get(VARIABLE, "")
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name in {"--workers", "-w"}:
            number = value or "".join(arguments[place + 1 : place + 2])
    return int(number) if number.isdecimal() else 1


def handed() -> int:
    """How many processes a program has started by `uvicorn.run("app:app", workers=2)`, if this is one of them; else 1.

    Source: uvicorn 0.54, `_subprocess.py`: each is a process of multiprocessing that is handed the settings.
    """
    config = vars(multiprocessing.current_process()).get("_kwargs", {}).get("config")
    if config is None:
        return 1
    from uvicorn import Config

    return config.workers if isinstance(config, Config) and not config.should_reload else 1


def refuse_several(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raise if this is one of several processes.

    Raises:
        UsageError: It is.
    """
    if (number := max(told(arguments, environment), handed())) > 1:
        raise UsageError(
            f"The server was told to start {number} processes, of which none would know the others' jobs. Start one "
            f"(workers=1, no {VARIABLE}): it serves thousands of jobs a second, and functions use more cores by "
            'task_endpoint(isolation="process", concurrency=…).'
        )
