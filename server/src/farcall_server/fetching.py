"""Fetches a file by its address for somebody who must not reach this machine's network through it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from farcall.errors import FileError
from farcall.wire import FileValue, without_query

from farcall_server.uploads import Folder

Lookup = Callable[..., list[Any]]
"""As `socket.getaddrinfo`."""


class Room:
    """How many bytes may still come, over all downloads that share it.

    Args:
        most_bytes: In all.
    """

    __slots__ = ("left", "most_bytes")

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = self.left = most_bytes

    def take(self, size: int) -> bool:
        """Whether so many bytes more may come; then they are counted."""
        self.left -= size
        return self.left >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Fetches files over http and https from public addresses, piece by piece to the disk.

    Each connection is checked where it is made, at the address that its socket is about to connect to: no name that
    resolves anew, no redirect and no spelling of an address gets past that. No proxy, cookie or credential is used.

    Args:
        hosts: What is fetched from though it is not public: names, addresses, networks (`10.0.0.0/8`); `*` is all.
        total_s: Seconds one file may take.
        silence_s: Seconds without a byte after which it is given up.
        lookup: Finds a name's addresses; called on a thread.
    """

    hosts: frozenset[str] = frozenset()
    total_s: float = 600.0
    silence_s: float = 30.0
    lookup: Lookup = field(default=socket.getaddrinfo, repr=False)

    @classmethod
    def configured(cls, hosts: Collection[str] | None) -> Fetcher:
        """As `FastTaskAPI(fetch_hosts=…)` says; None: as `FTAPI_FETCH_HOSTS` says, separated by commas."""
        named = os.environ.get("FTAPI_FETCH_HOSTS", "").split(",") if hosts is None else hosts
        return cls(hosts=frozenset(name.strip().lower() for name in named if name.strip()))

    async def fetch(self, file: FileValue, folder: Folder, *, room: Room) -> FileValue:
        """A file that lies at an address, with its bytes in memory or in the folder.

        Args:
            file: Its `url` is fetched; its name and media type stay where the reply does not know better.
            folder: Where it goes once it has more than 64 kB.
            room: What may still come.

        Raises:
            FileError: It could not be fetched; the sentence says why, without the address's query.
        """
        from farcall_server.downloading import download  # aiohttp is imported only where something is fetched

        where = without_query(file.url or "")
        try:
            async with asyncio.timeout(self.total_s):
                return await download(self, file, folder, room)
        except TimeoutError as error:
            raise FileError(f"{where} was not fetched within {self.total_s:g} s.") from error
