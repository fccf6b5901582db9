"""How a storage's author writes against farcall, typed. Never executed; mypy checks it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from farcall import hookimpl
from farcall.storage_driver import StorageDriver, StorageLimits, StoredFile, UploadLost, checked, split_url
from pydantic import BaseModel


class Options(BaseModel):
    """What a place takes."""

    shelf: str = ""
    token: str | None = None


class Shelf(StorageDriver):
    """Every step; `put`, `limits`, `renew` and `close` may be left out."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._files: dict[str, bytes] = {}

    @property
    def limits(self) -> StorageLimits:
        """A table."""
        return StorageLimits(parts=100, link_s=3600.0)

    def address(self, key: str) -> str:
        """Where it lies."""
        return f"https://shelf.example/{self._options.shelf}/{key}"

    def begin(self, key: str, media_type: str) -> str:
        """An id."""
        return f"{key} {media_type}"

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        """A receipt."""
        if not upload.startswith(key):
            raise UploadLost(upload)
        return f"{number} {len(content)}"

    def finish(self, key: str, upload: str, receipts: Sequence[str], media_type: str) -> None:
        """Seen from here on."""
        self._files[key] = f"{upload} {media_type} {receipts}".encode()

    def abort(self, key: str, upload: str) -> None:
        """Never seen."""
        self._files.pop(f"{key} {upload}", None)

    def head(self, key: str) -> StoredFile | None:
        """A value, or None."""
        found = self._files.get(key)
        return None if found is None else StoredFile(key=key, size=len(found), modified=datetime.now(UTC))

    def read(self, key: str, start: int, end: int, etag: str) -> Iterator[bytes]:
        """The bytes from somewhere on."""
        yield self._files[key][start:end] + etag.encode()

    def sign(self, key: str, method: str, expires_s: float) -> str:
        """An address that is good for a while."""
        return f"{self.address(key)}?{method}={expires_s}"

    def delete(self, key: str) -> None:
        """Gone."""
        self._files.pop(key, None)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """One after the other."""
        yield from (found for key in self._files if key.startswith(prefix) and (found := self.head(key)))


@hookimpl
def farcall_storage(url: str | None, options: Mapping[str, object]) -> StorageDriver:
    """By address, or by options alone."""
    shelf, _ = split_url(url)
    return Shelf(checked(Options, {**options, "shelf": shelf}, "shelf"))
