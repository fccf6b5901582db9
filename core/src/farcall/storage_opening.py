"""Opens a storage by its address or by the name it has in farcall.toml."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Mapping
from typing import Any, Final

from farcall import background, config, plugins, threads
from farcall.errors import ConfigError, PluginError, UsageError
from farcall.storage import LINK_S, AsyncStorage, lasting
from farcall.storage_blocking import Storage
from farcall.storage_driver import StorageDriver

OWN: Final = ("link_s", "expire_after_s")
"""What of a storage's options is the core's; everything else is the plugin's."""
_NAME: Final = re.compile(r"[\w-]+")
"""What TOML lets stand in `[storages.NAME]` as it is."""


def open_storage(place: str, **options: Any) -> Storage:
    """Open a storage.

    >>> storage = farcall.open_storage("s3://my-bucket/jobs", expire_after_s=3600)

    Args:
        place: An address, `s3://bucket/prefix`, whose scheme is an installed storage's name; or a name in
            farcall.toml, `[storages.NAME]`.
        options: The storage's own (its README names them), and for every one: `link_s`, how long signed addresses
            last, in seconds, by default a day; `expire_after_s`, after how many seconds without use an uploaded
            file may be deleted, by default never.

    Raises:
        UsageError: No such storage is installed.
        ConfigError: farcall.toml does not name it, or an option is wrong.
    """
    return Storage(background.run(_open(place, options)))


def open_storage_async(place: str, **options: Any) -> Opening:
    """Open a storage, on the running event loop: `await` it, or use it in `async with`.

    The arguments are those of `open_storage`.
    """
    return Opening(place, options)


class Opening:
    """A storage being opened: awaitable, and an async context manager that closes it."""

    def __init__(self, place: str, options: Mapping[str, Any]) -> None:
        self._place = place
        self._options = options
        self._storage: AsyncStorage | None = None

    def __await__(self) -> Generator[Any, None, AsyncStorage]:
        return _open(self._place, self._options).__await__()

    async def __aenter__(self) -> AsyncStorage:
        self._storage = await self
        return self._storage

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UsageError(f"The storage is not open yet, so it has no {name}; `await` it, or use it in `async with`.")

    async def __aexit__(self, *_: object) -> None:
        if self._storage is not None:
            await self._storage.close()


async def _open(place: str, options: Mapping[str, Any]) -> AsyncStorage:
    name, url, told = _meant(place, options)
    own = {key: _seconds(key, told.pop(key)) for key in OWN if key in told}
    driver = await threads.store(_driver, name, url, told)
    link_s = own.get("link_s")
    try:
        lasts_s = LINK_S if link_s is None else lasting("link_s", link_s, driver)
    except UsageError:
        await threads.store(driver.close)
        raise
    return AsyncStorage(driver, link_s=lasts_s, expire_after_s=own.get("expire_after_s"))


def _meant(place: str, options: Mapping[str, Any]) -> tuple[str, str | None, dict[str, Any]]:
    """The plugin's name, the address if one was given, and all options."""
    if not isinstance(place, str):
        raise UsageError(f"A storage is an address like 's3://bucket' or a name, not {type(place).__name__}.")
    if "://" in place:
        return place.partition("://")[0], place, dict(options)
    loaded = config.load()
    if place not in loaded.storages and not _NAME.fullmatch(place):
        raise ConfigError(f"{place!r} is no address like 's3://bucket', and no name that farcall.toml could have.")
    if place not in loaded.storages:
        known = ", ".join(sorted(loaded.storages)) or "none"
        raise ConfigError(
            f"{place!r} is no address like 's3://bucket', and farcall.toml has no [storages.{place}]; it has: {known}."
        )
    storage = loaded.storages[place]
    told = {**(storage.model_extra or {}), **options}
    return storage.provider, told.pop("url", None), told


def _driver(name: str, url: str | None, options: Mapping[str, Any]) -> StorageDriver:
    """What the plugin gives; may block."""
    manager = plugins.check_storage(name, plugins.load("storage", name))
    driver: StorageDriver | None = manager.hook.farcall_storage(url=url, options=options)
    if driver is None:
        raise PluginError(f"The storage {name!r} gave no driver.")
    return driver


def _seconds(key: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UsageError(f"{key} is a number of seconds, more than 0.")
    return float(value)
