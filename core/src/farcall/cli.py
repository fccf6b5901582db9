"""The command `farcall`: call an endpoint, list plugins, and whatever other distributions add."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from typer.core import TyperGroup
from typer.main import get_command

from farcall import background, plugins
from farcall.errors import FarcallError, FileError, PluginError, UsageError, WaitTimeout
from farcall.spec import EndpointSpec

if TYPE_CHECKING:
    from farcall.files import File

INTERRUPTED: Final = 130
REFRESH_S: Final = 0.05
_SERVER: Final = "farcall-server: pip install ./server"
OF_OTHERS: Final[Mapping[str, str]] = MappingProxyType({"demo": _SERVER, "serve": _SERVER})
"""Commands that come with another distribution: which one, and how to install it."""


class _Commands(TyperGroup):
    """Our commands and those of other distributions, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({*super().list_commands(ctx), *plugins.names("command"), *OF_OTHERS})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        ours = super().get_command(ctx, cmd_name)
        if ours is not None:
            return ours
        try:
            command = _loaded(cmd_name)
        except PluginError as error:
            return _absent(cmd_name, str(error))
        except UsageError:
            wanted = OF_OTHERS.get(cmd_name)
            return wanted and _absent(cmd_name, f"`farcall {cmd_name}` needs {wanted}")
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FarcallError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt


def _loaded(name: str) -> Any:
    plugin = plugins.load("command", name)
    if not isinstance(plugin, typer.Typer):
        raise PluginError(f"The command {name!r} is a {type(plugin).__name__}, not a typer.Typer.")
    return get_command(plugin)


def _fault(name: str) -> str | None:
    try:
        _loaded(name)
    except PluginError as error:
        return str(error)
    return None


def _absent(name: str, why: str) -> Any:
    """A command that cannot run and says why."""
    stand_in = typer.Typer(add_completion=False)
    anything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

    @stand_in.command(name, help=why, context_settings=anything)
    def explain() -> None:
        raise UsageError(why)

    return get_command(stand_in)


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _farcall() -> None:
    """Call any hosted service like a Python function."""


def _place(folder: Path) -> Path:
    """The folder to save in, which may be made later; a file in its way is told before anything is called."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))  # noqa: PTH110 - False where it may not look
    if not there.is_dir():
        raise typer.BadParameter(f"{str(there)!r} is a file; name a folder.")
    return folder


@app.command("call")
def call(  # noqa: PLR0913 - each is an option on the command line
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A configured name, a URL, or PROVIDER:ADDRESS.")],
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's name, or its path.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="JSON, else text; @PATH is a file."),
    ] = None,
    *,
    provider: Annotated[str | None, typer.Option(help="Who hosts it; found out if not given.")] = None,
    profile: Annotated[str | None, typer.Option(help="A profile of farcall.toml.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for the result.")] = None,
    save: Annotated[Path, typer.Option(callback=_place, help="The folder result files are saved in.")] = Path(),
) -> None:
    """Call an endpoint and print its result as JSON."""
    import farcall

    with farcall.connect(source, provider=provider, profile=profile) as service:
        callable_ = service[endpoint]
        job = callable_.submit(**_arguments(arguments or (), callable_.spec))
        try:
            result = _result(job, endpoint, timeout)
        except WaitTimeout as error:
            raise WaitTimeout(f"{endpoint} has not ended within {timeout:g} s; job {job.id} goes on.") from error
        try:
            shown = saved(result, save)
        except OSError as error:
            raise FileError(f"The result of job {job.id} cannot be saved: {error}.") from error
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))


@app.command("plugins")
def list_plugins() -> None:
    """List what is installed, and what is wrong with it."""
    table = Table("Kind", "Name", "Distribution", "Fault")
    for kind in plugins.GROUPS:
        for plugin in plugins.installed(kind):
            fault = plugin.error or (_fault(plugin.name) if kind == "command" else None)
            table.add_row(kind, plugin.name, plugin.distribution, escape(fault or ""))
    Console().print(table)


@app.command("services")
def list_services() -> None:
    """List what farcall.toml names: who hosts it, where its key is from, and whether it answers."""
    from farcall import background, config, inventory

    configuration = config.load()
    if not configuration.services:
        raise UsageError(f"No service is named: write [services.NAME] into a {config.FILE_NAME}.")
    table = Table()
    for title in ("Service", "Profile", "Provider", "Address", "Key", "Answers"):
        table.add_column(title, overflow="fold")  # a place that is cut short tells nothing
    for entry in background.run(inventory.entries(configuration)):
        said = "yes" if entry.fault is None else entry.fault
        cells = (entry.service, entry.profile, entry.provider, entry.url, entry.key, said)
        table.add_row(*map(escape, cells))
    Console().print(table)


@app.command("check")
def check(
    service: Annotated[str, typer.Argument(metavar="NAME", help="A configured service.")],
    *,
    profile: Annotated[str, typer.Option(help="The profile whose description is compared with the service's own.")],
) -> None:
    """Compare what a service offers under a profile with what it offers without; exit with 1 if that differs."""
    import farcall
    from farcall import config
    from farcall.differences import differences

    binding = config.load().binding(service, profile)
    if binding.spec is not None or binding.endpoints:
        said = f"Under {profile!r} the configuration says what is offered (spec, endpoints): the service is not asked."
        typer.echo(said, err=True)
    with farcall.connect(service, profile="") as here, farcall.connect(service, profile=profile) as there:
        one, other = ([e.spec for e in svc.endpoints.values()] for svc in (here, there))
    found = list(differences(one, other, there=f"under {profile!r}"))
    for sentence in found:
        typer.echo(sentence)
    if found:
        raise typer.Exit(1)
    typer.echo(f"{service} offers the same under {profile!r}.")


def main() -> None:
    """The console script."""
    app()


def _arguments(texts: Sequence[str], spec: EndpointSpec) -> dict[str, Any]:
    """Each `key=value`, once."""
    arguments: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{text!r} is no argument of an endpoint; write KEY=VALUE.")
        if key in arguments:
            raise UsageError(f"The argument {key!r} is given twice.")
        parameter = spec.parameters.get(key)
        arguments[key] = _value(value, is_text=parameter is not None and parameter.type is str)
    return arguments


def _value(text: str, *, is_text: bool) -> Any:
    """`@path` is a file or folder; what a text parameter is given is text; else JSON if it is JSON, or text."""
    from farcall.files import File

    if text.startswith("@"):
        place = Path(text[1:])
        return place if place.is_dir() else File.from_path(place)
    try:
        return text if is_text else json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> None:
    raise ValueError(name)  # Python's json reads NaN and Infinity, which are no JSON


def _result(job: Any, endpoint: str, timeout_s: float | None) -> Any:
    """Wait for the result, and show how far the upload and the job are where somebody looks on."""
    if not sys.stderr.isatty():
        return job.result(timeout_s=timeout_s)
    until = time.monotonic() + (math.inf if timeout_s is None else timeout_s)
    _show(endpoint, lambda: job.done() or time.monotonic() >= until, lambda: (job.message or job.state, job.progress))
    return job.result(timeout_s=None if timeout_s is None else max(0.0, until - time.monotonic()))


def _show(title: str, over: Callable[[], bool], look: Callable[[], tuple[str, float | None]]) -> None:
    """A bar on the terminal until something is over.

    Args:
        title: What it says at first.
        over: Whether it is.
        look: What it says now, and how far it is, 0.0 to 1.0; None if nobody knows.
    """
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(escape(title), total=None)
        while not over():
            doing, part = look()
            total = None if part is None else 1.0
            progress.update(bar, completed=part or 0.0, total=total, description=escape(doing))
            time.sleep(REFRESH_S)


def saved(value: Any, folder: Path) -> Any:
    """A result with each file in it saved into the folder, and its path in its place.

    A file that is there already is left alone: the new one, whose name the service chose, gets a number.
    """
    from farcall.files import File

    if isinstance(value, File):
        folder.mkdir(parents=True, exist_ok=True)
        return str(_saved(value, folder))
    if isinstance(value, Mapping):
        return {key: saved(item, folder) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [saved(item, folder) for item in value]
    return value


def _saved(file: File, folder: Path) -> Path:
    """The path of a file saved; how much of it has come in is shown where somebody looks on."""
    if not sys.stderr.isatty():
        return file.save(folder)
    saving = background.start(file._async.save(folder))  # noqa: SLF001 - the same file, to be looked at meanwhile
    try:
        _show(file.name, saving.done, lambda: (f"downloading {file.name}", file.progress))
        return saving.result()
    except BaseException:
        saving.cancel()
        raise
