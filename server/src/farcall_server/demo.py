"""`farcall demo`: starts the photo laboratory on this machine, calls it, and stops it again."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

START_S: Final = 30.0
STOP_S: Final = 5.0

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    photo: Annotated[Path | None, typer.Option(help="Your own photograph, instead of NASA's.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("demo-output"),
) -> None:
    """Send a photograph through a job service on this machine, then 200 jobs at once."""
    example = _example()
    picture = photo or example / "astronaut.png"
    if not picture.is_file():
        raise typer.BadParameter(f"{str(picture)!r} is no file.", param_hint="--photo")
    if importlib.util.find_spec("PIL") is None:
        _give_up("The demo works on a photograph and needs Pillow: pip install pillow")
    _check_picture(picture)
    folder.mkdir(parents=True, exist_ok=True)
    with _ended_by_signals(), _service(example / "service.py", folder / "service.log") as url:
        command = [sys.executable, str(example / "demo.py"), url, str(picture), str(folder)]
        done = subprocess.run(command, check=False)  # noqa: S603 - our own example
        if done.returncode == 0 and sys.stdin.isatty():
            with contextlib.suppress(EOFError):
                input("The service is still running. Press Enter to stop it. ")
    raise typer.Exit(done.returncode)


def _check_picture(path: Path) -> None:
    """A file that is no picture is told from one before a service is started for it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            picture.verify()
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise typer.BadParameter(f"{str(path)!r} is no picture that Pillow knows.", param_hint="--photo") from error


def _example() -> Path:
    """The folder of the example: inside the installed wheel, or beside it in a checkout."""
    here = Path(__file__).parent
    packed, checkout = here / "_demo", here.parents[2] / "examples" / "photo"
    found = next((folder for folder in (packed, checkout) if (folder / "service.py").is_file()), None)
    return found or _give_up("This farcall-server was installed without its example: pip install ./server")


@contextlib.contextmanager
def _service(script: Path, log: Path) -> Iterator[str]:
    """The service's address, while it runs in a process group of its own."""
    port = _free_port()
    environment = {
        **os.environ,
        "FTAPI_HOST": "127.0.0.1",
        "FTAPI_PORT": str(port),
        "FARCALL_BACKEND": "local",
        "XDG_STATE_HOME": str((log.parent / "state").resolve()),  # its jobs stay among what the demo leaves
    }
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own example
            [sys.executable, str(script)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log)
        yield url
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=1):  # noqa: S310
            return
        time.sleep(0.05)
    _give_up(f"The service did not start; {log} says why:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the service and whatever it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Being told to end raises, as Ctrl-C does, so that the service is stopped on the way out."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _give_up(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
