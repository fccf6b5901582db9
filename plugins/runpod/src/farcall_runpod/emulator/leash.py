"""Runs a worker's program, and ends it when the emulator is gone, however that came to its end.

Handed to the interpreter as text, `python -c … app.py`: it needs nothing but Python. `app.py` is run as it is, the app
of `app.py:app` is served by farcall-server.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from pathlib import Path


def main() -> None:
    """Hold on to the other end of stdin, and run the program."""
    threading.Thread(target=_until_let_go, name="leash", daemon=True).start()
    program, colon, _ = sys.argv[1].partition(".py:")
    if colon:
        from farcall.cli import main as farcall

        sys.argv = ["farcall", "serve", sys.argv[1], "--backend", "runpod"]
        farcall()
        return
    file = str(Path(program).resolve())
    sys.argv = [file, *sys.argv[2:]]
    sys.path[0] = str(Path(file).parent)
    runpy.run_path(file, run_name="__main__")


def _until_let_go() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
