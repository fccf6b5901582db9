"""Finds, loads and lists plugins: lazily, one by one, so that a broken one breaks nobody else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType
from typing import Any, Final

import pluggy

from farcall.errors import PluginError, UsageError
from farcall.hints import did_you_mean

log = logging.getLogger("farcall")

GROUPS: Final[Mapping[str, str]] = {
    "provider": "farcall.providers",
    "storage": "farcall.storages",
    "backend": "farcall.backends",
    "command": "farcall.commands",
    "extension": "farcall.extensions",
}
EXTENSION_HOOKS: Final = frozenset({"farcall_send", "farcall_event"})


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin as installed.

    Args:
        name: What the user types.
        kind: `provider storage backend command extension`.
        distribution: Whose it is, with version; `registered` if code registered it.
        error: Why it cannot be used; None if nothing is known against it.
    """

    name: str
    kind: str
    distribution: str
    error: str | None = None


_registered: dict[tuple[str, str], Any] = {}
_loaded: dict[tuple[str, str], Any] = {}
_found: dict[str, dict[str, list[metadata.EntryPoint]]] = {}
_complained: set[str] = set()
_lock = threading.RLock()
version = 0
"""Grows whenever plugins are registered or unregistered, so that what was cached is made anew."""


def register(name: str, plugin: Any, *, kind: str = "provider") -> None:
    """Make a plugin known to this process, as if it were installed; for tests. Seen by later connects.

    Raises:
        PluginError: The name is taken.
    """
    global version  # noqa: PLW0603
    with _lock:
        _group(kind)
        if (kind, name) in _registered or name in _entry_points(kind):
            raise PluginError(f"Two {kind} plugins claim the name {name!r}; unregister the other first.")
        _registered[kind, name] = plugin
        version += 1


def unregister(name: str, *, kind: str = "provider") -> None:
    """Take back what `register` did; unknown names are no error."""
    global version  # noqa: PLW0603
    with _lock:
        _registered.pop((kind, name), None)
        version += 1


def names(kind: str) -> list[str]:
    """Names of the installed plugins of a kind, sorted; nothing is imported."""
    with _lock:
        return sorted({*_entry_points(kind), *(name for k, name in _registered if k == kind)})


def load(kind: str, name: str) -> Any:
    """The plugin of that name, imported at first use.

    Raises:
        UsageError: None of that name is installed; close matches are named.
        PluginError: It cannot be imported, or two distributions claim the name.
    """
    with _lock:
        if (kind, name) in _registered:
            return _registered[kind, name]
        if (kind, name) in _loaded:
            found = _loaded[kind, name]
            if isinstance(found, PluginError):
                raise found
            return found
        points = _entry_points(kind).get(name)
        if not points:
            raise UsageError(_unknown(kind, name))
        try:
            _loaded[kind, name] = loaded = _import(kind, name, points)
        except PluginError as error:
            _loaded[kind, name] = error
            raise
        return loaded


def installed(kind: str) -> list[Plugin]:
    """Every plugin of a kind, imported to see whether it works; the broken ones with their reason."""
    listed = []
    for name in names(kind):
        points = _entry_points(kind).get(name, [])
        owners = ", ".join(_owner(point) for point in points) or "registered"
        error = None
        try:
            plugin = load(kind, name)
            if kind == "extension":
                check_extension(name, plugin)
            elif kind == "storage":
                check_storage(name, plugin)
            elif kind == "provider":
                from farcall.provider import provider

                provider(name)
        except PluginError as broken:
            error = str(broken)
        listed.append(Plugin(name, kind, owners, error))
    return listed


def extensions() -> list[tuple[str, Any]]:
    """The working extensions; a broken one is logged once and left out."""
    working = []
    for name in names("extension"):
        try:
            plugin = load("extension", name)
            check_extension(name, plugin)
        except PluginError as error:
            if name not in _complained:
                _complained.add(name)
                log.warning("The extension %r is left out: %s", name, error)
        else:
            working.append((name, plugin))
    return working


def check_extension(name: str, plugin: Any) -> None:
    """Refuse an extension that would answer in a provider's place.

    Raises:
        PluginError: It implements another hook than a wrapping `farcall_send` or `farcall_event`.
    """
    implemented = hook_names(plugin)
    if wrong := implemented - EXTENSION_HOOKS:
        raise PluginError(
            f"The extension {name!r} implements {', '.join(sorted(wrong))}; "
            f"an extension may implement only {' and '.join(sorted(EXTENSION_HOOKS))}."
        )
    options = getattr(getattr(plugin, "farcall_send", None), "farcall_impl", None)
    if options is not None and not options["wrapper"]:
        raise PluginError(
            f"The extension {name!r} implements farcall_send without wrapping it: "
            "mark it with @farcall.hookimpl(wrapper=True)."
        )


def check_storage(name: str, plugin: Any) -> pluggy.PluginManager:
    """A plugin manager that holds one storage.

    Raises:
        PluginError: Its hooks do not fit the contract, or `farcall_storage` is missing.
    """
    if "farcall_storage" not in hook_names(plugin):
        raise PluginError(f"The storage {name!r} has no hook farcall_storage.")
    return manager(name, plugin)


def hook_names(plugin: Any) -> set[str]:
    """Names of the functions in a plugin that are marked with `hookimpl`."""
    members = vars(plugin) if isinstance(plugin, ModuleType) else {n: getattr(plugin, n) for n in dir(plugin)}
    return {name for name, member in members.items() if isinstance(getattr(member, "farcall_impl", None), dict)}


def manager(name: str, plugin: Any) -> pluggy.PluginManager:
    """A plugin manager that holds one provider and the extensions, and no other provider.

    Raises:
        PluginError: The provider's hooks do not fit the contract.
    """
    from farcall import hookspecs

    made = pluggy.PluginManager("farcall")
    made.add_hookspecs(hookspecs)
    try:
        made.register(plugin, name)
        made.check_pending()
        for extension, module in extensions():
            made.register(module, f"extension {extension}")
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"The plugin {name!r} does not fit farcall's hooks: {error}") from error
    return made


def _group(kind: str) -> str:
    if kind not in GROUPS:
        raise UsageError(f"{kind!r} is no kind of plugin; the kinds are {', '.join(GROUPS)}.")
    return GROUPS[kind]


def _entry_points(kind: str) -> dict[str, list[metadata.EntryPoint]]:
    if kind not in _found:
        table: dict[str, list[metadata.EntryPoint]] = {}
        for point in metadata.entry_points(group=_group(kind)):
            table.setdefault(point.name, []).append(point)
        _found[kind] = table
    return _found[kind]


def _import(kind: str, name: str, points: list[metadata.EntryPoint]) -> Any:
    if len({(point.value, _owner(point)) for point in points}) > 1:
        owners = " and ".join(_owner(point) for point in points)
        raise PluginError(f"The {kind} name {name!r} is claimed by {owners}; uninstall one of them.")
    try:
        return points[0].load()
    except Exception as error:  # a plugin's module may raise anything, and must not take the program with it
        raise PluginError(
            f"The {kind} {name!r} of {_owner(points[0])} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _owner(point: metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def _unknown(kind: str, name: str) -> str:
    known = names(kind)
    hint = did_you_mean(name, known)
    have = f" Installed: {', '.join(known)}." if known else " None is installed."
    return f"No {kind} named {name!r} is installed.{hint}{have} Plugins are distributions, often named farcall-{name}."
