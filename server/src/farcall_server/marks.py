"""Which jobs run now, noted where a killed process leaves it to read."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_MARK: Final = struct.Struct("<16sI")  # a job's id, and how many times it has been begun


class Marks:
    """A mapped file with one place for each job that runs.

    A job must be marked before its function begins, or a killed server would not know that it did. A mark is a copy
    in memory that the system keeps when the process dies: no write, no waiting for a transaction.

    Args:
        path: The file; made anew, with every place free.
        most: How many jobs may be marked at once.
    """

    def __init__(self, path: Path, most: int) -> None:
        size = _MARK.size * max(most, 1)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, bytes(size))  # really there: a hole would be found only when the disk is full
            self._map = mmap.mmap(handle, size)
        finally:
            os.close(handle)
        self._free = list(range(0, size, _MARK.size))
        self._taken: dict[str, int] = {}

    @staticmethod
    def left(path: Path) -> Mapping[str, int]:
        """The jobs that were marked when the last owner ended, and how many times each had been begun."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return {}
        whole = len(content) // _MARK.size * _MARK.size
        return {name.hex(): begun for name, begun in _MARK.iter_unpack(content[:whole]) if begun}

    def put(self, job_id: str, begun: int) -> None:
        """Mark a job as begun for the `begun`-th time."""
        if (place := self._taken.get(job_id)) is None:
            place = self._taken[job_id] = self._free.pop()
        _MARK.pack_into(self._map, place, bytes.fromhex(job_id), begun)

    def remove(self, job_id: str) -> None:
        """Free the job's place; nothing if it has none."""
        if (place := self._taken.pop(job_id, None)) is not None:
            _MARK.pack_into(self._map, place, bytes(16), 0)
            self._free.append(place)

    def close(self) -> None:
        """Leave the file as it is."""
        self._map.close()
