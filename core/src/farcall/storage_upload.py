"""Brings one file into a storage: whole at once, or in parts side by side that a later process can go on with."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

from farcall import threads
from farcall.errors import AuthRefused, FileError, ServiceError, UsageError
from farcall.storage_driver import StorageDriver, UploadLost
from farcall.storage_journal import Journal, UnderWay
from farcall.storage_source import Part, PartSource

T = TypeVar("T")

PART_BYTES: Final = 8 * 1024 * 1024
SMALL_BYTES: Final = 1024 * 1024
PARTS_AT_ONCE: Final = 4
SMALL_AT_ONCE: Final = 12
"""Files up to `SMALL_BYTES` beside the parts of large ones: 4 x 8 MiB + 12 x 1 MiB is all that is held in memory."""

Progress = Callable[[int, int | None], None]


class Hands:
    """A driver's steps on threads of ours; a refused credential is looked for anew, once."""

    def __init__(self, driver: StorageDriver) -> None:
        self.driver = driver
        self._renewals = 0
        self._renewing = asyncio.Lock()
        self.parts = asyncio.Semaphore(PARTS_AT_ONCE)
        self.small = asyncio.Semaphore(SMALL_AT_ONCE)
        self.closed = threading.Event()

    async def do(self, step: Callable[..., T], *args: Any) -> T:
        """Take a step, and take it again if there is a newer credential than the one that was refused.

        Raises:
            AuthRefused: There is none, or it is refused too.
            UsageError: The storage was closed.
        """
        return await self._done(threads.store, step, *args)

    async def fetch(self, step: Callable[..., T], *args: Any) -> T:
        """The same for a step that brings a file's bytes, which takes long."""
        return await self._done(threads.fetch, step, *args)

    def still_open(self) -> None:
        """Say whether steps can still be taken.

        Raises:
            UsageError: The storage was closed.
        """
        if self.closed.is_set():
            raise UsageError("This storage was closed; open it again.")

    async def _done(self, on: Callable[..., Awaitable[T]], step: Callable[..., T], *args: Any) -> T:
        self.still_open()
        renewals = self._renewals
        try:
            return await on(step, *args)
        except AuthRefused:
            async with self._renewing:
                if self._renewals == renewals:
                    if not await threads.store(self.driver.renew):
                        raise
                    self._renewals += 1
        return await on(step, *args)


class Upload:
    """One file on its way to one key.

    Args:
        hands: The storage's.
        journal: What this machine remembers.
        source: The bytes.
        media_type: What they are.
        progress: Told the bytes stored so far and their sum, None if unknown.
    """

    def __init__(
        self, hands: Hands, journal: Journal, source: PartSource, media_type: str, progress: Progress | None = None
    ) -> None:
        self._hands = hands
        self._driver = hands.driver
        self._place = hands.driver.address("")
        self._journal = journal
        self._source = source
        self._media_type = media_type
        self._progress = progress
        self._stored = 0

    async def to(self, key: str, digest: str | None, *, ours: bool) -> None:
        """Store the file; nothing is seen under the key before all of it is there.

        Args:
            key: Where.
            digest: The content's, by which a later try knows the same file; None: it will not go on.
            ours: Whether nothing but this very file can lie under the key.

        Raises:
            ServiceError: The storage is down, refuses, or is full. What has arrived stays for the next try.
            FileError: The file was changed meanwhile.
        """
        size = self._source.size
        if size is not None and size <= PART_BYTES:
            await self._whole(key, small=size <= SMALL_BYTES)
            return
        try:
            await self._in_parts(key, digest)
        except UploadLost as lost:
            if ours and await self._lies(key):  # it was finished, and the answer to that lost
                return
            if not self._source.repeatable:
                raise FileError(f"The storage gave up the upload of {key!r} half-way; send it again.") from lost
            self._stored = 0
            await self._once_more(key, digest)

    async def _once_more(self, key: str, digest: str | None) -> None:
        try:
            await self._in_parts(key, digest)
        except UploadLost as lost:
            raise FileError(
                f"The storage gave up the upload of {key!r} twice; is another to this key going on?"
            ) from lost

    async def _lies(self, key: str) -> bool:
        found = await self._hands.do(self._driver.head, key)
        size = self._stored if self._source.size is None else self._source.size
        return found is not None and found.size == size

    async def _whole(self, key: str, *, small: bool) -> None:
        async with self._hands.small if small else self._hands.parts:
            async for _, read in self._source.parts(PART_BYTES):
                content = await threads.run(read)
                await self._source.unchanged()
                await self._hands.do(self._driver.put, key, content, self._media_type)
        self._tell(self._source.size or 0)

    async def _in_parts(self, key: str, digest: str | None) -> None:
        begun = await self._begun(key, digest)
        try:
            receipts = await self._sent(begun, kept=digest is not None)
            await self._source.unchanged()
            in_order = [receipts[number] for number in sorted(receipts)]
            await self._hands.do(self._driver.finish, key, begun.upload, in_order, self._media_type)
        except UploadLost:
            await threads.run(self._journal.ended, self._place, begun)
            raise
        except BaseException as error:
            if digest is None or isinstance(error, FileError):  # nobody can go on with it
                await asyncio.shield(self._given_up(begun))
            raise
        if digest is not None:
            await threads.run(self._journal.ended, self._place, begun)

    async def _begun(self, key: str, digest: str | None) -> UnderWay:
        """The upload that was begun before, else a new one."""
        if digest is not None:
            before = await threads.run(self._journal.under_way, self._place, key, digest)
            if before is not None:
                return before
        part_bytes = self._part_bytes()
        upload = await self._hands.do(self._driver.begin, key, self._media_type)
        begun = UnderWay(key, upload, part_bytes, {})
        if digest is not None:
            replaced = await threads.run(self._journal.begun, self._place, digest, begun, time.time())
            if replaced is not None:
                await self._given_up(replaced)
        return begun

    async def _sent(self, begun: UnderWay, *, kept: bool) -> dict[int, str]:
        """Send what has not arrived, a few parts at a time; returns every part's receipt."""
        receipts = dict(begun.receipts)
        self._tell(min(len(receipts) * begun.part_bytes, self._source.size or 0))

        async def send(part: Part) -> None:
            receipts[part[0]], length = await self._hands.do(self._put_part, begun, part, kept)
            self._tell(length)

        parts = self._source.parts(begun.part_bytes, begun.receipts)
        with first_error():
            async with asyncio.TaskGroup() as group, contextlib.aclosing(parts):
                while (part := await self._next(parts)) is not None:
                    task = group.create_task(send(part))
                    task.add_done_callback(lambda _: self._hands.parts.release())  # also of one that never began
        return receipts

    def _put_part(self, begun: UnderWay, part: Part, kept: bool) -> tuple[str, int]:  # noqa: FBT001
        """Store a part and write it down, in one go on one thread: if we are stopped here, it still counts."""
        number, content = part
        piece = content()
        receipt = self._driver.put_part(begun.key, begun.upload, number, piece)
        if kept:
            self._journal.arrived(self._place, begun, number, receipt)
        return receipt, len(piece)

    async def _next(self, parts: AsyncGenerator[Part]) -> Part | None:
        """The next part, once there is room for it in memory."""
        await self._hands.parts.acquire()
        try:
            part = await anext(parts, None)
            self._check(0 if part is None else part[0])
        except BaseException:
            self._hands.parts.release()
            raise
        if part is None:
            self._hands.parts.release()
        return part

    async def _given_up(self, begun: UnderWay) -> None:
        with contextlib.suppress(ServiceError):  # the error that ended the upload is the one to be told
            await threads.store(self._driver.abort, begun.key, begun.upload)
        await threads.run(self._journal.ended, self._place, begun)

    def _part_bytes(self) -> int:
        """So large that the storage's number of parts suffices, in whole MiB."""
        needed = math.ceil((self._source.size or 0) / self._driver.limits.parts / SMALL_BYTES) * SMALL_BYTES
        return max(PART_BYTES, needed)

    def _check(self, number: int) -> None:
        if number > self._driver.limits.parts:
            raise FileError(
                f"A stream of unknown size went on for more than {self._driver.limits.parts:,} parts; "
                "write it to a file first, or hand over its size."
            )

    def _tell(self, more: int) -> None:
        self._stored += more
        if self._progress is not None:
            self._progress(self._stored, self._source.size)


@contextlib.contextmanager
def first_error() -> Iterator[None]:
    """The first error of a task group, alone: the others follow from it."""
    try:
        yield
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
