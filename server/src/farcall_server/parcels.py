"""What a job gives back to a host that takes only so much: its files inside it, the largest in a storage if need be."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

from farcall.bodies import BytesBody
from farcall.errors import FarcallError, FileError
from farcall.stores import Store
from farcall.wire import FileValue
from farcall_fasttaskapi.envelope import render_chunk
from pydantic_core import to_json

from farcall_server.outputs import files_of, with_files
from farcall_server.replies import in_base64

LINK_BYTES: Final = 4096
"""What a file takes up by its signed address; those of S3 with a session token, the longest, have 2 kB."""


class Parcel:
    """A result, or a piece of output, on its way to a host.

    Which files are stored is decided here: none if all fit, else the largest first until the others do.

    Args:
        value: JSON values, with a `FileValue` where a file stands.
        room_bytes: How much of it the host takes, as JSON.
        store: Takes files that do not fit; None: they all stay inside.

    Attributes:
        size_bytes: What it has as JSON at most, files as base64; more than `room_bytes` where it cannot be made to fit.
    """

    def __init__(self, value: Any, room_bytes: int, store: Store | None) -> None:
        self._value = value
        self._files = files_of(value)
        self._store = store
        self._stored: set[int] = set()
        inside = [_inside_bytes(file) for file in self._files]
        self.size_bytes = len(to_json(render_chunk(with_files(value, _emptied)))) + sum(inside)
        for number in sorted(range(len(inside)), key=inside.__getitem__, reverse=True):
            if store is None or self.size_bytes <= room_bytes or inside[number] <= LINK_BYTES:
                break
            self._stored.add(number)
            self.size_bytes -= inside[number] - LINK_BYTES

    async def packed(self) -> Any:
        """The value, with the bytes of each file in memory, or its signed address in the storage.

        Raises:
            FileError: A file could not be read or stored; the sentence says which and why.
        """
        try:
            async with asyncio.TaskGroup() as group:
                coming = [group.create_task(self._sent(number, file)) for number, file in enumerate(self._files)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        sent = iter([task.result() for task in coming])
        return with_files(self._value, lambda _: next(sent))

    async def _sent(self, number: int, file: FileValue) -> FileValue:
        if self._store is None or number not in self._stored:
            return await in_base64(file)
        try:
            url, _ = await self._store.put(file)
        except FarcallError as error:
            raise FileError(f"{file.name!r} could not be put into the app's storage: {error}") from error
        return replace(file, body=None, url=url)


def _emptied(file: FileValue) -> FileValue:
    return file if file.body is None else replace(file, body=BytesBody(b""), url=None)


def _inside_bytes(file: FileValue) -> int:
    """What its bytes have as base64; 0 for one that is known by its address."""
    size = 0 if file.body is None else file.body.length or file.size or 0
    return -(-size // 3) * 4
