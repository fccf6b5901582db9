"""How many connections and files this process may hold open at once."""

from __future__ import annotations

import contextlib
from typing import Final

MOST: Final = 65_536


def allow_many() -> None:
    """Let this process have as many as its user may, `MOST` at the most: every client that waits is one.

    Shells and service managers give 1024 to begin with, for the sake of programs that use `select`.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if most == resource.RLIM_INFINITY else min(MOST, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS tells a limit that it does not grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
