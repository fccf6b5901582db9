"""The storage of a service, called or hosted: takes files that are too large to travel inline, and gives links."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from farcall.errors import ConfigError, UsageError
from farcall.files import File
from farcall.storage import AsyncStorage
from farcall.storage_blocking import Storage
from farcall.storage_opening import open_storage_async
from farcall.storage_upload import Progress
from farcall.wire import FileValue

AT_ONCE: Final = 4
"""How many files of one service go up at the same time; each goes in several parts at once itself."""


class Store:
    """A storage in the service of one engine, or of one app.

    Args:
        storage: Where the files go.
        ours: Whether it was opened for this service, and is closed with it.
    """

    def __init__(self, storage: AsyncStorage, *, ours: bool) -> None:
        self._storage = storage
        self._ours = ours
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def put(self, file: FileValue, progress: Progress | None = None) -> tuple[str, float]:
        """Upload a file.

        Args:
            file: With its bytes within reach.
            progress: Told the bytes stored so far and their sum, None if unknown.

        Returns:
            Its signed address, and for how many seconds that is good.
        """
        async with self._turns:
            url = await self._storage.upload(File(file), progress=progress)
        return url, self._storage.link_s

    def check(self) -> None:
        """Raise `UsageError` if there would be no address of what is put here."""
        self._storage._check_signing()  # noqa: SLF001 - no verb of its users

    async def close(self) -> None:
        """Close the storage, if it was opened for this service."""
        if self._ours:
            await self._storage.close()


async def store_of(given: Any) -> Store:
    """The storage that is meant by `storage=`, for the running event loop.

    Args:
        given: A name of farcall.toml, an address, or an open storage, which its owner closes.

    Raises:
        ConfigError: farcall.toml does not name it, or it is no storage.
        UsageError: No such storage is installed, or it cannot sign addresses.
    """
    if isinstance(given, str):
        return await _usable(Store(await open_storage_async(given), ours=True))
    if isinstance(given, Storage):
        given = given._async  # noqa: SLF001 - its other half
    if isinstance(given, AsyncStorage):
        return await _usable(Store(given.alike(), ours=False))
    raise ConfigError(
        f"storage= is a name of farcall.toml, an address or an open storage, not a {type(given).__name__}."
    )


async def _usable(store: Store) -> Store:
    try:
        store.check()
    except UsageError:
        await store.close()
        raise
    return store
