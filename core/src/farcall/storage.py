"""A place in the cloud that keeps files: upload, download, signed addresses; the verbs are coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Literal, Self, TypeVar
from weakref import WeakValueDictionary

from farcall import loops, storage_keys, threads
from farcall.errors import AuthRefused, FarcallError, FileError, InputError, UsageError
from farcall.files import File
from farcall.files_async import AsyncFile
from farcall.storage_download import StoredBody
from farcall.storage_driver import StorageDriver, StoredFile
from farcall.storage_journal import Journal
from farcall.storage_source import PartSource, source_of
from farcall.storage_turns import turn
from farcall.storage_upload import PART_BYTES, Hands, Progress, Upload
from farcall.wire import FileValue, base_name, without_query

log = logging.getLogger("farcall")
T = TypeVar("T")

LINK_S: Final = 24 * 3600.0
MOST_S: Final = 100 * 365 * 24 * 3600.0
"""The longest life of a signed address where the storage has no limit of its own; calendars end."""
METHODS: Final = ("GET", "PUT")
ABANDONED_S: Final = 7 * 24 * 3600.0
"""An upload that nobody went on with for so long is given up."""
SWEEP_S: Final = 60.0
"""Uploads clean up that often, at most."""
PAGE: Final = 500


class AsyncStorage:
    """A storage; its verbs are coroutines.

    Made by `farcall.open_storage_async`.
    """

    def __init__(
        self,
        driver: StorageDriver,
        *,
        link_s: float = LINK_S,
        expire_after_s: float | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._driver = driver
        self._hands = Hands(driver)
        self._journal = journal or Journal()
        self._place = driver.address("")
        self._link_s = link_s
        self._expire_after_s = expire_after_s
        self._swept = 0.0
        self._home = loops.running()
        self._sending: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {without_query(self._place)}>"

    @property
    def link_s(self) -> float:
        """How long its signed addresses last, in seconds, unless they are asked for otherwise."""
        return self._link_s

    def alike(self) -> AsyncStorage:
        """The same storage for another event loop; it ends with this one."""
        kept, expires = self._journal, self._expire_after_s
        twin = AsyncStorage(self._driver, link_s=self._link_s, expire_after_s=expires, journal=kept)
        twin._hands.closed = self._hands.closed
        return twin

    def _check_signing(self) -> None:
        """Raise `UsageError` if the credential it was opened with cannot sign an address; nothing is asked or sent."""
        if why := self._driver.limits.cannot_sign:
            raise UsageError(why)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def upload(
        self,
        file: Any,
        *,
        key: str | None = None,
        expires_s: float | None = None,
        progress: Progress | None = None,
    ) -> str:
        """Store a file and give a signed address from which anybody can fetch it for a while.

        A file (not a stream) that was uploaded before is not sent again; one whose upload was broken off, also in
        another process, goes on where it was.

        Args:
            file: A path, bytes, an open binary file, an address, or a `File`.
            key: Where to store it, replacing what is there; None: where nobody can guess.
            expires_s: How long the address lasts, in seconds; None: as the storage was opened, by default a day.
            progress: Called with the bytes stored so far and their sum, None if unknown.

        Returns:
            The signed address. It grants access: do not log it.

        Raises:
            InputError: There is no such file, or the key is none.
            AuthRefused, Refused, Unreachable, ServerFault: The storage does not take it.
            FileError: The file was changed while it was being uploaded.
            UsageError: The storage was opened on another event loop, or cannot sign addresses.
        """
        self._check_signing()
        if self._home is not loops.running():
            raise UsageError("This storage was opened on another event loop; open and use it in one asyncio.run().")
        wanted = storage_keys.named(key) if key is not None else None
        value = (await threads.run(File.of, file)).carried()
        lasts_s = self._lasting(expires_s)
        until = None if self._expire_after_s is None else time.time() + max(self._expire_after_s, lasts_s)
        await self._clean_up_quietly()
        stored = await self._store(value, wanted, until, progress)
        return await self.signed_url(stored, expires_s=lasts_s)

    async def download(self, url: str) -> AsyncFile:
        """A file that lies here; its bytes come when they are wanted, and a broken link is taken up where it broke.

        Args:
            url: Its address, signed or not, or its key.

        Raises:
            FileError: There is no such file.
            UsageError: The address lies elsewhere.
        """
        key = self._key(url)
        found = await self._hands.do(self._driver.head, key)
        if found is None:
            raise FileError(f"There is no file {key!r} in {without_query(self._place)}.")
        value = FileValue(
            name=base_name(key), media_type=found.media_type, body=StoredBody(self._hands, found), size=found.size
        )
        return AsyncFile(value)

    async def signed_url(
        self, key: str, expires_s: float | None = None, *, method: Literal["GET", "PUT"] = "GET"
    ) -> str:
        """An address by which anybody can fetch a file, or store one, for a while. It grants access: do not log it.

        Args:
            key: The file's key, or an address of it.
            expires_s: How long it lasts, in seconds; None: as the storage was opened, by default a day.
            method: What it is good for.

        Raises:
            UsageError: The storage cannot sign, or not for so long or for such a method.
        """
        if method not in METHODS:
            raise UsageError(f"A signed address is good for GET or for PUT, not for {method!r}.")
        lasts_s = self._lasting(expires_s)
        return await self._hands.do(self._driver.sign, self._key(key), method, lasts_s)

    async def delete(self, key: str) -> None:
        """Delete a file; one that is not there is no error.

        Args:
            key: The file's key, or an address of it.
        """
        gone = self._key(key)
        await threads.run(self._journal.forget, self._place, gone)
        await self._hands.do(self._driver.delete, gone)

    async def exists(self, key: str) -> bool:
        """Whether a file lies there.

        Args:
            key: The file's key, or an address of it.
        """
        return await self._hands.do(self._driver.head, self._key(key)) is not None

    async def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        """The files whose keys begin with `prefix`, as the storage tells them.

        Raises:
            InputError: The prefix is no text.
        """
        if not isinstance(prefix, str):
            raise InputError(f"A prefix is a text, like 'reports/', not {type(prefix).__name__}.")
        files = await self._hands.do(self._driver.list, prefix)
        while page := await self._hands.do(_page, files):
            for file in page:
                yield file

    async def clean_up(self) -> int:
        """Delete what was uploaded from here and is past its `expire_after_s`, and give up abandoned uploads.

        Uploads do so too, once a minute at most.

        Returns:
            How many files were deleted.
        """
        now = time.time()
        for abandoned in await threads.run(self._journal.stale, self._place, now - ABANDONED_S):
            await self._hands.do(self._driver.abort, abandoned.key, abandoned.upload)
            await threads.run(self._journal.ended, self._place, abandoned)
        overdue = await threads.run(self._journal.overdue, self._place, now)
        for key in overdue:
            await self._hands.do(self._driver.delete, key)
            await threads.run(self._journal.deleted, self._place, key)
        return len(overdue)

    async def close(self) -> None:
        """Give up connections; may be called twice. Addresses that were given out stay good."""
        self._hands.closed.set()
        await threads.store(self._driver.close)

    # --- storing ----------------------------------------------------------------------------------------------

    async def _store(self, value: FileValue, wanted: str | None, until: float | None, progress: Progress | None) -> str:
        source = source_of(value)
        digest = await source.digest()
        if digest is None:
            key = wanted or storage_keys.random(value)
            await self._sent(source, value, key, None, progress, ours=wanted is None)
            return key
        what = f"{digest} {value.name} {value.media_type}" if wanted is None else f"to {wanted}"
        in_parts = (source.size or 0) > PART_BYTES
        async with (
            self._sending.setdefault(what, asyncio.Lock()),  # the second of two finds what the first has stored
            self._turn(what, value.name) if in_parts else contextlib.nullcontext(),
        ):
            if wanted is None:
                return await self._once(source, value, digest, until, progress)
            await self._sent(source, value, wanted, digest, progress, ours=False)
            return wanted

    @contextlib.asynccontextmanager
    async def _turn(self, what: str, name: str) -> AsyncIterator[None]:
        folder = await threads.run(self._journal.folder)
        async with turn(folder, f"{self._place} {what}", name, self._hands.still_open):
            yield

    async def _once(
        self, source: PartSource, value: FileValue, digest: str, until: float | None, progress: Progress | None
    ) -> str:
        """Store a file under the key its content gives it, unless it lies there."""
        same = _same(digest, value)
        kept = await threads.run(self._journal.kept, self._place, same)
        secret = await threads.run(self._journal.secret)
        key = kept.key or storage_keys.guarded(secret, digest, value, kept.generation)
        may_lie_there = kept.key is not None or (source.size or 0) > PART_BYTES
        if may_lie_there and await self._lies(key, source.size):
            if progress is not None:
                progress(source.size or 0, source.size)
            if kept.key is None or await threads.run(self._journal.refresh, self._place, same, key, until):
                await threads.run(self._journal.keep, self._place, same, key, kept.generation, until)
                return key
            return await self._once(source, value, digest, until, progress)  # cleaned up just now: under a new key
        await self._sent(source, value, key, digest, progress, ours=True)
        await threads.run(self._journal.keep, self._place, same, key, kept.generation, until)
        return key

    async def _sent(
        self,
        source: PartSource,
        value: FileValue,
        key: str,
        digest: str | None,
        progress: Progress | None,
        *,
        ours: bool,
    ) -> None:
        await Upload(self._hands, self._journal, source, value.media_type, progress).to(key, digest, ours=ours)
        log.info("Stored %s (%s) in %s", value.name, value.media_type, without_query(self._place))

    async def _lies(self, key: str, size: int | None) -> bool:
        try:
            found = await self._hands.do(self._driver.head, key)
        except AuthRefused:  # a storage may say so of what is not there to one who may not list it
            return False
        return found is not None and found.size == size

    async def _clean_up_quietly(self) -> None:
        if time.time() < self._swept + SWEEP_S:
            return
        self._swept = time.time()
        try:
            await self.clean_up()
        except FarcallError as error:  # nobody asked for it here: the upload goes on
            log.warning("What has expired in %s could not be deleted: %s", without_query(self._place), error)

    def _lasting(self, expires_s: float | None) -> float:
        return self._link_s if expires_s is None else lasting("expires_s", expires_s, self._driver)

    def _key(self, text: str) -> str:
        return storage_keys.key_of(self._place, text)


def lasting(name: str, seconds: Any, driver: StorageDriver) -> float:
    """For how long an address is signed, in seconds.

    Args:
        name: What the user calls it.
        seconds: As the user wrote it.
        driver: Signs it.

    Raises:
        UsageError: It is no such number, or the storage does not sign for so long.
    """
    most = MOST_S if driver.limits.link_s is None else driver.limits.link_s
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= most:
        said = f"{seconds:,.0f}" if isinstance(seconds, float) else repr(seconds)
        raise UsageError(f"{name} is {said}; a signed address lasts more than 0 s and at most {most:,.0f} here.")
    return float(seconds)


def _same(digest: str, value: FileValue) -> str:
    """What two files have in common that are stored once: content, name and media type."""
    return hashlib.sha256(f"{digest}\0{value.name}\0{value.media_type}".encode()).hexdigest()


def _page(files: Iterator[StoredFile]) -> list[StoredFile]:
    return [file for _, file in zip(range(PAGE), files, strict=False)]
