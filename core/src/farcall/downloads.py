"""Brings a file in from where it lies: taken up again where a link broke, its size and its digest checked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from farcall import digests, replies
from farcall.errors import FileError, Unreachable
from farcall.fetching import Fetch, give_up
from farcall.wire import FileValue, Response

MOST_LINKS: Final = 200
"""How often a file is taken up at most, however much each link brings."""
FRUITLESS: Final = 5
"""How many links in a row may bring nothing."""
PAUSE_S: Final = 0.1
"""Before a file is taken up again, in seconds; doubled by every link in a row that brought nothing."""
LONGEST_PAUSE_S: Final = 30.0
"""The longest pause a host may ask for."""
PLAIN: Final = {"accept-encoding": "identity"}
"""A compressed reply can be neither measured nor taken up again."""

_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Download:
    """One file on its way to us.

    Args:
        value: What is known of it; `url` says where it lies.
        fetch: What asks for it.
        moved: Called with the bytes so far and the bytes in all (None if unknown), after each piece.
    """

    def __init__(self, value: FileValue, fetch: Fetch, moved: Callable[[int, int | None], None]) -> None:
        self._name = value.name
        self._url = value.url or ""
        self._fetch = fetch
        self._moved = moved
        self._at = 0
        self._size = value.size
        self._validator: str | None = None
        self._promise: digests.Promise | None = None

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes, each once, from the first to the last.

        Raises:
            FileError: It cannot be fetched, is not whole, or is not what was promised.
        """
        fruitless = 0
        for _ in range(MOST_LINKS):
            before = self._at
            try:
                async with aclosing(self._link()) as pieces:
                    async for chunk in pieces:
                        yield chunk
            except (Unreachable, FileError) as error:
                fruitless = 0 if self._at > before else fruitless + 1
                if not self._may_pass(error) or fruitless == FRUITLESS:
                    raise self._broken(error) from error
                await asyncio.sleep(_pause(error, fruitless))
            else:
                self._check()
                return
        raise FileError(f"The link broke {MOST_LINKS} times while {self._name!r} was being fetched; fetch it again.")

    async def _link(self) -> AsyncGenerator[bytes]:
        """What one link brings of the rest."""
        response = await self._fetch(self._url, self._asking())
        try:
            if self._at:
                self._go_on(response)
            else:
                self._begin(response)
            async for chunk in _chunks(response):
                self._take(chunk)
                yield chunk
        finally:
            await give_up(response)
        if self._size is not None and self._at < self._size:  # a host without framing ends as a broken link does
            raise Unreachable(f"it ended after {self._at:,} of {self._size:,} bytes")

    def _asking(self) -> dict[str, str]:
        if not self._at or self._validator is None:
            return PLAIN
        return {**PLAIN, "range": f"bytes={self._at}-", "if-range": self._validator}

    def _begin(self, response: Response) -> None:
        """Take in what the first reply says of the whole file."""
        if response.status == 206:
            raise FileError(f"The host sent a part of {self._name!r} where all of it was asked for.")
        if response.headers.get("content-encoding", "identity") != "identity":
            return
        stated = response.headers.get("content-length", "")
        if stated.isdigit():
            if self._size is not None and int(stated) != self._size:
                raise self._wrong_size(int(stated))
            self._size = int(stated)
        self._validator = _validator(response)
        self._promise = digests.promised(response.headers)
        self._moved(0, self._size)

    def _go_on(self, response: Response) -> None:
        """Make sure that a reply goes on where the last one broke off."""
        part = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if response.status != 206 or part is None:
            raise FileError(
                f"The link broke while {self._name!r} was being fetched, and the host cannot go on after "
                f"{self._at:,} bytes, or the file has changed there; fetch it again."
            )
        whole = part[3] in {"*", str(self._size)} or self._size is None
        if int(part[1]) != self._at or not whole:
            raise FileError(f"The host went on with other bytes of {self._name!r} than were asked for.")

    def _take(self, chunk: bytes) -> None:
        self._at += len(chunk)
        if self._size is not None and self._at > self._size:
            raise self._wrong_size(self._at)
        if self._promise is not None:
            self._promise.update(chunk)
        self._moved(self._at, self._size)

    def _check(self) -> None:
        if self._promise is not None:
            self._promise.check(self._name)

    def _may_pass(self, error: Unreachable | FileError) -> bool:
        if isinstance(error, FileError):
            return error.response is not None and error.response.status in replies.PASSING
        return not self._at or self._validator is not None

    def _broken(self, error: Unreachable | FileError) -> FileError:
        if isinstance(error, FileError):
            return error
        return FileError(f"The link broke while {self._name!r} was being fetched: {error}")

    def _wrong_size(self, size: int) -> FileError:
        return FileError(f"{self._name!r} should have {self._size:,} bytes and came with {size:,}; fetch it again.")


async def _chunks(response: Response) -> AsyncIterator[bytes]:
    if response.body is None:
        yield response.content
        return
    async for chunk in response.body.chunks():
        yield chunk


def _pause(error: Unreachable | FileError, fruitless: int) -> float:
    """Seconds before the next link: as the host asks, within reason, else the longer the less the last ones brought."""
    asked = replies.retry_after(error.response, datetime.now(UTC)) if error.response is not None else None
    return max(PAUSE_S * (1 << fruitless), min(asked or 0.0, LONGEST_PAUSE_S))


def _validator(response: Response) -> str | None:
    """What tells that a file is still the same (RFC 9110, 13.1.5: only what is strong); None if nothing does."""
    tag = response.headers.get("etag", "")
    if tag.startswith('"'):
        return tag
    changed, now = response.headers.get("last-modified"), response.headers.get("date")
    try:
        old = changed and now and (parsedate_to_datetime(now) - parsedate_to_datetime(changed)).total_seconds() >= 1
    except (TypeError, ValueError):
        return None
    return changed if old else None
