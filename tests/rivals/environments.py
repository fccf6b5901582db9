"""An environment of its own for each rival, made once and kept until its pins change."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = ROOT / ".rivals"


def python_of(rival):
    """The interpreter that has this rival's pins, and nothing else, installed; what cannot be installed raises."""
    pins = HERE / f"{rival}.txt"
    key = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = KEPT / f"{rival}-{key}"
    python, whole = folder / "bin" / "python", folder / "whole"
    if not whole.exists():
        uv("venv", "--clear", "--no-project", "--python", sys.executable, str(folder))
        uv("pip", "install", "--python", str(python), "--requirement", str(pins))
        whole.touch()  # so that an install that was broken off is made anew
    return python


def uv(*arguments):
    run([sys.executable, "-m", "uv", "--quiet", *arguments])


def run(command):
    """Run an installer with its caches in the project: nothing of the user's is read or written."""
    pins = str(ROOT / "constraints.txt")  # make names it by a relative path
    own = {
        "UV_CACHE_DIR": str(KEPT / "uv"),
        "UV_BUILD_CONSTRAINT": pins,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "1",
        "PIP_CACHE_DIR": str(KEPT / "pip"),
        "PIP_BUILD_CONSTRAINT": pins,
        "npm_config_cache": str(KEPT / "npm"),
    }
    environment = {**os.environ, **own}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
