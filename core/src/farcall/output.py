"""The pieces of output that a job has given so far, of a long output the latest ones."""

from __future__ import annotations

from typing import Any, Final

from farcall.errors import ProtocolError

MOST_BYTES: Final = 64 * 1024 * 1024
"""How much of a job's output is kept, counted as text; above it the older half is let go."""
_OBJECT_BYTES: Final = 64
"""What keeping a piece costs besides its text."""


class Output:
    """A job's output in order; a piece is known by its number, counted from 0.

    An endless output is read for as long as anybody likes, but only what came last can be read again.
    """

    __slots__ = ("_bytes", "_first", "_sizes", "_values")

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._first = 0

    def __len__(self) -> int:
        """How many pieces have come, also those that are no longer kept."""
        return self._first + len(self._values)

    def __getitem__(self, number: int) -> Any:
        """A piece that is still kept."""
        return self._values[number - self._first]

    def missing(self, number: int) -> ProtocolError | None:
        """Why a piece cannot be had; None if it can."""
        if number >= self._first:
            return None
        return ProtocolError(
            f"The output has more than {MOST_BYTES:,} bytes, and its first {self._first:,} pieces are no longer kept; "
            "read it with stream() from the beginning, as it comes."
        )

    def whole(self) -> list[Any] | None:
        """Every piece; None if the first ones are no longer kept."""
        return None if self._first else list(self._values)

    def add(self, value: Any) -> None:
        """Take a piece in."""
        size = _OBJECT_BYTES + len(value if isinstance(value, str | bytes) else repr(value))
        self._values.append(value)
        self._sizes.append(size)
        self._bytes += size
        if self._bytes > MOST_BYTES:
            self._let_go()

    def _let_go(self) -> None:
        gone = 0
        while self._bytes > MOST_BYTES // 2 and gone < len(self._values) - 1:
            self._bytes -= self._sizes[gone]
            gone += 1
        del self._values[:gone], self._sizes[:gone]
        self._first += gone
