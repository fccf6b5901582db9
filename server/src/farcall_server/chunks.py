"""What a generator has yielded so far: kept in order, so that a reader who comes late or again misses nothing."""

from __future__ import annotations

import inspect
import struct
import threading
from array import array
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from pathlib import Path
from typing import Any, Final

from farcall import threads
from pydantic_core import from_json, to_json

from farcall_server import payloads
from farcall_server.listeners import Listener
from farcall_server.outputs import files_of, paths_of
from farcall_server.uploads import Folder

IN_MEMORY_BYTES: Final = 256 * 1024
"""A job's newest pieces up to this size are in memory; the others lie in a file."""

MOST_WHOLE_BYTES: Final = 64 * 1024 * 1024
"""A larger output is only streamed: it is no job's result."""

READ_BYTES: Final = 64 * 1024
_EVERY: Final = 256
_INDEX: Final = struct.Struct("QQ")  # how many pieces, and the file's size; the marks follow
_PLAIN: Final = b"V"
_WITH_FILES: Final = b"F"


def is_generator(function: Any) -> bool:
    """Whether a function, decorated or not, yields its output."""
    bare = inspect.unwrap(function)
    return inspect.isgeneratorfunction(bare) or inspect.isasyncgenfunction(bare)


def line_of(value: Any, folder: Folder) -> bytes:
    """A piece, a plain value, as one line without its end."""
    if files_of(value):
        return _WITH_FILES + payloads.pack(value, folder).encode()
    return _PLAIN + to_json(value)


def json_of(line: bytes) -> bytes | None:
    """A piece as JSON; None if there are files in it."""
    return line[1:] if line.startswith(_PLAIN) else None


class Chunks:
    """One job's output in pieces. Written by one thread at a time, read on the event loop.

    Args:
        folder: Where a long output goes; one that outlives the process gets all of it in the end.

    Attributes:
        count: How many pieces there are.
    """

    __slots__ = (
        "_first", "_folder", "_listeners", "_lock", "_marks", "_paths", "_run", "_run_bytes", "_size", "_tail",
        "_tail_bytes", "count",
    )  # fmt: skip

    def __init__(self, folder: Folder) -> None:
        self.count = 0
        self._folder = folder
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._first = 0  # the number of the tail's first piece; those before it are in the file
        self._size = 0
        self._marks = array("Q")  # where every 256th piece begins in the file
        self._run = self._run_bytes = 0
        self._paths: set[str] = set()

    @classmethod
    def left(cls, folder: Folder) -> Chunks | None:
        """The output that lies in a folder; None if there is none. Blocks."""
        made = cls(folder)
        if not folder or not made.path.exists():
            return None
        if not made._read_index():
            with made.path.open("rb") as source:
                for line in source:
                    if line.endswith(b"\n"):  # else it was being written when the server was killed
                        made._index(line)
        made.count = made._first
        return made

    def _read_index(self) -> bool:
        """Take the index that `close` has written. False: there is none that fits."""
        try:
            content = self.index_path.read_bytes()
            first, size = _INDEX.unpack_from(content)
            marks = array("Q", content[_INDEX.size :])
        except (OSError, struct.error, ValueError):
            return False
        if size != self.path.stat().st_size or len(marks) != -(-first // _EVERY):
            return False
        self._first, self._size, self._marks = first, size, marks
        return True

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder.path() / "chunks"

    @property
    def index_path(self) -> Path:
        """Where `close` writes what it takes to find a piece in the file."""
        return self._folder.path() / "chunks.index"

    @property
    def paths(self) -> AbstractSet[str]:
        """The files without which it cannot be read."""
        return {*self._paths, str(self.path), str(self.index_path)} if self._first else self._paths

    # --- writing

    def begin(self) -> None:
        """A run of the function begins: what comes from now on is its result."""
        self._run, self._run_bytes = self.count, 0
        if self._folder and not self._first:
            self.path.unlink(missing_ok=True)  # of a run that a killed server has left

    def append(self, line: bytes) -> None:
        """Add a piece, a line, and tell those who wait for it."""
        if line.startswith(_WITH_FILES):
            self._paths |= paths_of(files_of(self.value(line)))
        with self._lock:
            self._tail.append(line)
            self._tail_bytes += len(line)
            self._run_bytes += len(line)
            self.count += 1
            listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            listener.tell()

    @property
    def heavy(self) -> bool:
        """Whether there is so much in memory that `spill` is due."""
        return self._tail_bytes >= IN_MEMORY_BYTES

    def spill(self) -> None:
        """Move what is in memory to the file. Blocks, and so holds up a function that is faster than the disk."""
        with self._lock:
            if not self._tail:
                return
            with self.path.open("ab" if self._first else "wb") as target:
                target.write(b"\n".join(self._tail) + b"\n")
            for line in self._tail:
                self._index(line + b"\n")
            self._tail, self._tail_bytes = [], 0

    def _index(self, line: bytes) -> None:
        if self._first % _EVERY == 0:
            self._marks.append(self._size)
        self._first += 1
        self._size += len(line)

    def close(self) -> None:
        """No more comes. Blocks while it is brought to where it outlives the process."""
        if self._folder.name:
            self.spill()
            if self._first:
                self.index_path.write_bytes(_INDEX.pack(self._first, self._size) + self._marks.tobytes())

    # --- reading

    def value(self, line: bytes) -> Any:
        """The piece that a line holds."""
        plain = json_of(line)
        return payloads.unpack(line[1:].decode(), self._folder) if plain is None else from_json(plain)

    async def read(self, seen: int) -> list[bytes]:
        """Some of the pieces after those seen, as lines."""
        if seen >= self._first:
            return self._read(seen)
        return await threads.run(self._read, seen)

    def _read(self, seen: int) -> list[bytes]:
        with self._lock:
            if seen >= self._first:
                return self._tail[seen - self._first :]
        return list(_some(self._filed(seen)))

    def _filed(self, seen: int) -> Iterator[bytes]:
        """The pieces in the file after those seen."""
        number, skipped = divmod(seen, _EVERY)
        with self.path.open("rb") as source:
            source.seek(self._marks[number])
            for line in islice(source, skipped, self._first - seen + skipped):
                yield line[:-1]

    def whole(self) -> Any:
        """The pieces of the last run as one result: texts put together, else the list of them; None if too large."""
        if self._run_bytes > MOST_WHOLE_BYTES:
            return None
        with self._lock:
            tail, filed = self._tail[max(self._run - self._first, 0) :], self._run < self._first
        lines = [*(self._filed(self._run) if filed else ()), *tail]
        values = [self.value(line) for line in lines]
        return "".join(values) if values and all(isinstance(value, str) for value in values) else values

    def listen(self, listener: Listener, seen: int) -> None:
        """Tell this listener once there are more pieces than those seen; at once if there are."""
        with self._lock:
            waits = self.count <= seen
            if waits:
                self._listeners.add(listener)
        if not waits:
            listener.settle()

    def forget(self, listener: Listener) -> None:
        """Tell this listener nothing any more."""
        with self._lock:
            self._listeners.discard(listener)


def _some(lines: Iterator[bytes]) -> Iterator[bytes]:
    left = READ_BYTES
    for line in lines:
        yield line
        left -= len(line)
        if left <= 0:
            return
