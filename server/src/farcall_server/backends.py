"""Which backend serves an app: chosen by a variable, an option or the program, loaded by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pluggy
from farcall import plugins
from farcall.errors import ConfigError, PluginError, UsageError

from farcall_server import hookspecs
from farcall_server.hookspecs import Options

if TYPE_CHECKING:
    from farcall_server.app import FastTaskAPI

LOCAL: Final = "local"

# Source: fast_task_api 1.3.3 (run 2026-11-23): FTAPI_BACKEND is `fastapi` or `runpod`.
VARIABLES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {"FARCALL_BACKEND": {}, "FTAPI_BACKEND": {"fastapi": LOCAL}}
)
"""The variables that choose, the first one first, and what a value of theirs means where it is no backend's name."""

OF_OTHERS: Final[Mapping[str, str]] = MappingProxyType(
    {"runpod": 'pip install ./core ./plugins/fasttaskapi ./server "./plugins/runpod[worker]"'}
)
"""Backends that come with another distribution: how to install it."""


def chosen(given: str | None) -> str:
    """The backend's name: what the environment says, else what the program was given, else `local`.

    Args:
        given: By the program.
    """
    for variable, meanings in VARIABLES.items():
        if named := os.environ.get(variable):
            return meanings.get(named, named)
    return given or LOCAL


def prepare(name: str) -> None:
    """Let the backend of that name do what it does before a program is loaded. Raises as `serve` does."""
    _manager(name).hook.farcall_prepare()


def serve(name: str, app: FastTaskAPI, options: Options) -> None:
    """Serve an app by the backend of that name, until told to stop.

    Raises:
        ConfigError: It is not installed; the sentence says how to install it.
        PluginError: It is broken.
    """
    _manager(name).hook.farcall_serve(app=app, options=options)


def _manager(name: str) -> pluggy.PluginManager:
    """A plugin manager that holds this backend alone."""
    made = pluggy.PluginManager("farcall")
    made.add_hookspecs(hookspecs)
    plugin = _loaded(name)
    if "farcall_serve" not in plugins.hook_names(plugin):
        raise PluginError(f"The backend {name!r} lacks the required hook farcall_serve.")
    try:
        made.register(plugin, name)
        made.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"The backend {name!r} does not fit farcall's hooks: {error}") from error
    return made


def _loaded(name: str) -> Any:
    how = OF_OTHERS.get(name)
    try:
        return plugins.load("backend", name)
    except PluginError as error:
        if how and isinstance(error.__cause__, ModuleNotFoundError):
            missing = error.__cause__.name
            raise ConfigError(f"The backend {name!r} lacks the module {missing!r}. Install it: {how}") from error
        raise
    except UsageError as error:
        said = f"The backend {name!r} is not installed. Install it: {how}" if how else str(error)
        raise ConfigError(said) from error
