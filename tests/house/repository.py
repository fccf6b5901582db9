"""The repository as the house tests see it."""

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    path.parent
    for pattern in ("core", "plugins/*", "server", "examples/*")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)


def project(member):
    return tomllib.loads((member / "pyproject.toml").read_text())["project"]


def files():
    """Every file that is, or is about to be, tracked."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def texts():
    """Path and text of every file that is text."""
    for path in files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path, content.decode()
