"""`farcall serve`: loads a program and serves its app, by the backend that is asked for."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from farcall.errors import UsageError

from farcall_server import backends, starting
from farcall_server.app import FastTaskAPI
from farcall_server.hookspecs import Options

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    program: Annotated[str, typer.Argument(metavar="APP.py[:NAME]", help="The program, and which app in it.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENT]...", help="The program's own arguments.")
    ] = None,
    *,
    backend: Annotated[str | None, typer.Option(help="Who serves it: local, or an installed backend.")] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen.")] = None,
    port: Annotated[int | None, typer.Option(help="On which port, 0 for a free one.", min=0, max=65535)] = None,
) -> None:
    """Serve a program's app, here or as a host's worker."""
    path, _, name = program.partition(".py:")
    file = Path(path if path.endswith(".py") else f"{path}.py")
    sys.argv = [str(file), *(arguments or ())]
    backends.prepare(backend or backends.chosen(None))
    served, options = load(file, name or None)
    told = Options(host=host or options.host, port=options.port if port is None else port)
    backends.serve(backend or backends.chosen(served.backend), served, told)


def load(file: Path, name: str | None = None) -> tuple[FastTaskAPI, Options]:
    """The app of a program, and what its `start()` was given.

    Args:
        file: The program, which may call `app.start()` or not.
        name: What the app is called in it; None: the one it starts, else `app`, else the only one.

    Raises:
        UsageError: There is no such program, or no such app in it.
    """
    if not file.is_file():
        raise UsageError(f"There is no program {str(file)!r}; give the file that makes the app: farcall serve app.py")
    with starting.held() as started:
        module = _imported(file)
    apps = {key: value for key, value in vars(module).items() if isinstance(value, FastTaskAPI)}
    found = _chosen(str(file), apps, started, name)
    return found, started.get(found, Options())


def _imported(file: Path) -> ModuleType:
    """The program as a module, its folder on the path as if it had been run."""
    sys.path.insert(0, str(file.parent.resolve()))
    name = file.stem if file.stem not in sys.modules else f"_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{str(file)!r} is no Python program.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _chosen(
    file: str, apps: Mapping[str, FastTaskAPI], started: Mapping[FastTaskAPI, Options], name: str | None
) -> FastTaskAPI:
    known = ", ".join(apps) or "none"
    if name is not None:
        if name not in apps:
            raise UsageError(f"{file} has no FastTaskAPI called {name!r}; it has {known}.")
        return apps[name]
    only = list(dict.fromkeys(apps.values()))
    for candidates in (list(started), [apps[key] for key in ("app",) if key in apps], only):
        if len(candidates) == 1:
            return candidates[0]
    raise UsageError(f"Which app is meant cannot be told; {file} has {known}. Write {file}:NAME.")
