"""A part of a file, as a `Range` header asks for it (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from farcall import threads
from farcall.bodies import CHUNK_BYTES, PathBody
from farcall.wire import Body

_ONE: Final = re.compile(r"bytes=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.IGNORECASE)


class UnsatisfiableError(ValueError):
    """The file ends before the part that was asked for begins."""


def asked(header: str | None, size: int) -> range | None:
    """The bytes asked for; None for the whole file: none or several parts were asked for, or the header is no range.

    >>> asked("bytes=0-499", 1000), asked("bytes=-5", 1000), asked("bytes=990-", 1000)
    (range(0, 500), range(995, 1000), range(990, 1000))

    Args:
        header: The `Range` header; None if there was none.
        size: The file's, in bytes.

    Raises:
        UnsatisfiableError: There is no such part.
    """
    match = _ONE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise UnsatisfiableError
    return range(start, stop)


async def cut(body: Body, part: range) -> AsyncIterator[bytes]:
    """The bytes of a part of a file; one on the disk is read from where the part begins."""
    pieces = _sought(body, part) if isinstance(body, PathBody) else _skipped(body, part)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


async def _sought(body: PathBody, part: range) -> AsyncGenerator[bytes]:
    handle = await threads.run(body.open)
    try:
        handle.seek(part.start)
        left = len(part)
        while left and (piece := await threads.run(handle.read, min(CHUNK_BYTES, left))):
            left -= len(piece)
            yield piece
    finally:
        handle.close()


async def _skipped(body: Body, part: range) -> AsyncGenerator[bytes]:
    at = 0
    async for piece in body.chunks():
        if at >= part.stop:
            break
        if kept := piece[max(part.start - at, 0) : max(part.stop - at, 0)]:
            yield kept
        at += len(piece)
