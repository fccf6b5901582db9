"""Where a server's jobs are kept: what `queue=` says, or the user's state directory."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Final

from farcall.errors import ConfigError

MEMORY: Final = "memory://"
_SQLITE: Final = "sqlite:///"


def database(queue: str) -> Path | None:
    """The database a `queue=` names; None for memory.

    >>> database("sqlite:///jobs.db")
    PosixPath('jobs.db')

    Raises:
        ConfigError: It is neither `memory://` nor `sqlite:///path`.
    """
    if queue == MEMORY:
        return None
    if not queue.startswith(_SQLITE) or queue == _SQLITE:
        raise ConfigError(
            f'queue is {queue!r}; write "sqlite:///jobs.db" (a path in this folder), "sqlite:////srv/jobs.db" '
            'or "memory://".'
        )
    return Path(queue.removeprefix(_SQLITE))


def default() -> Path:
    """The database of the program that runs now, in the user's state directory: one for each path of a program."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    program = Path(sys.argv[0]).resolve()
    readable = re.sub(r"[^\w.-]", "_", program.stem) or "app"
    key = hashlib.sha256(str(program).encode()).hexdigest()[:12]
    return Path(home) / "farcall" / f"{readable}-{key}" / "jobs.db"
