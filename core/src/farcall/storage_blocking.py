"""The blocking face of a storage: the same verbs, over the same code on a thread of ours."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from typing import Any, Literal, Self, TypeVar

from farcall import background
from farcall.blocking import _each, _run
from farcall.files import File
from farcall.storage import AsyncStorage
from farcall.storage_driver import StoredFile
from farcall.storage_upload import Progress

T = TypeVar("T")


class Storage:
    """A place in the cloud that keeps files. Made by `farcall.open_storage`.

    >>> storage = farcall.open_storage("s3://my-bucket/jobs")
    >>> url = storage.upload("holiday.mp4")
    """

    def __init__(self, storage: AsyncStorage) -> None:
        self._async = storage
        self._generation = background.generation

    def __repr__(self) -> str:
        return repr(self._async).replace("AsyncStorage", "Storage")

    @property
    def link_s(self) -> float:
        """How long its signed addresses last, in seconds, unless they are asked for otherwise."""
        return self._async.link_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def upload(
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
            progress: Called, on farcall's own thread, with the bytes stored so far and their sum, None if unknown.

        Returns:
            The signed address. It grants access: do not log it.

        Raises:
            InputError: There is no such file, or the key is none.
            AuthRefused, Refused, Unreachable, ServerFault: The storage does not take it.
            FileError: The file was changed while it was being uploaded.
        """
        return self._run(self._async.upload(file, key=key, expires_s=expires_s, progress=progress))

    def download(self, url: str) -> File:
        """A file that lies here; its bytes come when they are wanted, and a broken link is taken up where it broke.

        Args:
            url: Its address, signed or not, or its key.

        Raises:
            FileError: There is no such file.
            UsageError: The address lies elsewhere.
        """
        return File.of(self._run(self._async.download(url)))

    def signed_url(self, key: str, expires_s: float | None = None, *, method: Literal["GET", "PUT"] = "GET") -> str:
        """An address by which anybody can fetch a file, or store one, for a while. It grants access: do not log it.

        Args:
            key: The file's key, or an address of it.
            expires_s: How long it lasts, in seconds; None: as the storage was opened, by default a day.
            method: What it is good for.

        Raises:
            UsageError: The storage cannot sign, or not for so long or for such a method.
        """
        return self._run(self._async.signed_url(key, expires_s, method=method))

    def delete(self, key: str) -> None:
        """Delete a file; one that is not there is no error.

        Args:
            key: The file's key, or an address of it.
        """
        self._run(self._async.delete(key))

    def exists(self, key: str) -> bool:
        """Whether a file lies there.

        Args:
            key: The file's key, or an address of it.
        """
        return self._run(self._async.exists(key))

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """The files whose keys begin with `prefix`, as the storage tells them.

        Raises:
            InputError: The prefix is no text.
        """
        return _each(self._generation, self._async.list(prefix))

    def clean_up(self) -> int:
        """Delete what was uploaded from here and is past its `expire_after_s`, and give up abandoned uploads.

        Uploads do so too, once a minute at most.

        Returns:
            How many files were deleted.
        """
        return self._run(self._async.clean_up())

    def close(self) -> None:
        """Give up connections; may be called twice. Addresses that were given out stay good."""
        self._run(self._async.close())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return _run(self._generation, coroutine)
