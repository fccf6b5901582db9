"""The steps of a container, each one request of the Azure SDK."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, ContentSettings
from farcall.storage_driver import StorageDriver, StorageLimits, StoredFile

from farcall_storage_azure import ranges
from farcall_storage_azure.access import access
from farcall_storage_azure.faults import FAULTS, code_of, fault
from farcall_storage_azure.options import Options
from farcall_storage_azure.signing import DELEGATION, Signing

T = TypeVar("T")

PARTS: Final = 50_000
"""Azure Storage REST, "Put Block List", 2026."""


class AzureDriver(StorageDriver):
    """A container, or what in it begins with a prefix."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._access = access(options)
        self._signing = Signing(options)
        self._prefix = f"{options.prefix}/" if options.prefix else ""
        self._place = f"{self._access.client.url.partition('?')[0]}/{_encoded(self._prefix)}"
        if options.create:
            self._do(self._create)

    @property
    def limits(self) -> StorageLimits:
        """50,000 blocks; addresses last as long as they are asked to, 7 days where a token signs."""
        link_s = DELEGATION.total_seconds() if self._access.token else None
        return StorageLimits(parts=PARTS, link_s=link_s, cannot_sign=self._signing.hindrance(self._access))

    def address(self, key: str) -> str:
        """The blob's address, encoded as the SDK does."""
        return self._place + _encoded(key)

    def put(self, key: str, content: bytes, media_type: str) -> None:
        """Put Blob."""
        settings = ContentSettings(content_type=media_type)
        self._do(lambda: self._blob(key).upload_blob(content, overwrite=True, content_settings=settings))

    def begin(self, key: str, media_type: str) -> str:  # noqa: ARG002 - told at the end
        """Azure has no such step: blocks are told apart by the names we give them."""
        return secrets.token_hex(8)

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        """Put Block; the receipt is the block's id, of one length for all blocks of a blob."""
        block = f"{upload}-{number:06d}"
        self._do(lambda: self._blob(key).stage_block(block, content, length=len(content)))
        return block

    def finish(self, key: str, upload: str, receipts: Sequence[str], media_type: str) -> None:  # noqa: ARG002 - the receipts hold it
        """Put Block List."""
        blocks = [BlobBlock(block_id=receipt) for receipt in receipts]
        settings = ContentSettings(content_type=media_type)
        self._do(lambda: self._blob(key).commit_block_list(blocks, content_settings=settings))

    def abort(self, key: str, upload: str) -> None:
        """Nothing to do: Azure drops blocks that are in no list after a week, and there is no request for it."""

    def head(self, key: str) -> StoredFile | None:
        """Get Blob Properties."""
        found = self._if_there(lambda: self._blob(key).get_blob_properties())
        return None if found is None else _stored(key, found)

    def read(self, key: str, start: int, end: int, etag: str) -> Iterator[bytes]:
        """Get Blob, of the version that `etag` names."""
        same: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
        answer = self._do(lambda: ranges.answer(self._blob(key), start, end - start, **same))
        return self._pieces(ranges.pieces(answer))

    def _pieces(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        while (piece := self._do(lambda: next(pieces, None))) is not None:
            yield piece

    def sign(self, key: str, method: str, expires_s: float) -> str:
        """The address with a shared access signature for this one blob."""
        query = self._do(lambda: self._signing.query(self._access, self._prefix + key, method, expires_s))
        return f"{self.address(key)}?{query}"

    def delete(self, key: str) -> None:
        """Delete Blob, with its snapshots."""
        self._if_there(lambda: self._blob(key).delete_blob(delete_snapshots="include"))

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """List Blobs, page by page."""
        found = iter(self._do(lambda: self._access.client.list_blobs(name_starts_with=self._prefix + prefix)))
        while (blob := self._do(lambda: next(found, None))) is not None:
            yield _stored(blob.name.removeprefix(self._prefix), blob)

    def renew(self) -> bool:
        """Ask for the secrets, or look for them in the environment, once more."""
        newer = access(self._options)
        if newer.same_as(self._access):
            return False
        self._access = newer
        return True

    def close(self) -> None:
        """Close the connections."""
        self._access.client.close()

    def _blob(self, key: str) -> BlobClient:
        return self._access.client.get_blob_client(self._prefix + key)

    def _create(self) -> None:
        try:
            self._access.client.create_container()
        except ResourceExistsError:
            return

    def _if_there(self, step: Callable[[], T]) -> T | None:
        """Take a step; None if there is no such blob."""

        def taken() -> T | None:
            try:
                return step()
            except ResourceNotFoundError as error:
                if code_of(error) != "BlobNotFound":
                    raise
                return None

        return self._do(taken)

    def _do(self, step: Callable[[], T]) -> T:
        """Take a step; an error of the SDK is told as ours, without its own in tow, which may hold a secret."""
        try:
            return step()
        except FAULTS as error:
            client = self._access.client
            told = fault(error, client.container_name, client.url, self._access.sas)
        raise told


def _stored(key: str, found: Any) -> StoredFile:
    settings = found.content_settings
    return StoredFile(
        key=key,
        size=found.size,
        media_type=settings.content_type or "application/octet-stream",
        etag=found.etag,
        modified=found.last_modified,
    )


def _encoded(key: str) -> str:
    return quote(key, safe="/~")
