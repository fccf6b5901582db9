"""The steps of a bucket, each one request of boto3."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any, Final, NoReturn
from urllib.parse import quote

from botocore.exceptions import ClientError
from farcall.storage_driver import PIECE_BYTES, StorageDriver, StorageLimits, StoredFile

from farcall_storage_s3.client import client_of, credentials_of, session_of
from farcall_storage_s3.faults import FAULTS, code_of, fault
from farcall_storage_s3.options import Options

CHECKSUM: Final = "CRC32"
"""boto3's own default, which every part's upload bears."""
LIMITS: Final = StorageLimits(parts=10_000, link_s=7 * 24 * 3600.0)
"""Amazon S3 User Guide, "Multipart upload limits" and "Expiration time for presigned URLs", 2026."""


class S3Driver(StorageDriver):
    """A bucket, or what in it begins with a prefix."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._bucket = options.bucket
        self._prefix = f"{options.prefix}/" if options.prefix else ""
        self._session = session_of(options)
        self._client = client_of(self._session, options)
        self._key = credentials_of(self._session)
        self._place = self.sign("x", "GET", 60).partition("?")[0][:-1]

    @property
    def limits(self) -> StorageLimits:
        """10,000 parts; addresses that last 7 days."""
        return LIMITS

    def address(self, key: str) -> str:
        """The object's address, encoded as S3 signs it."""
        return self._place + _encoded(key)

    def put(self, key: str, content: bytes, media_type: str) -> None:
        """PutObject."""
        self._do("put_object", Key=self._prefix + key, Body=content, ContentType=media_type)

    def begin(self, key: str, media_type: str) -> str:
        """CreateMultipartUpload."""
        checksum = {"ChecksumAlgorithm": CHECKSUM} if self._with_checksums() else {}
        told = self._do("create_multipart_upload", Key=self._prefix + key, ContentType=media_type, **checksum)
        return str(told["UploadId"])

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        """UploadPart; the receipt is the ETag and the checksum."""
        body = io.BytesIO(content)  # boto3 copies plain bytes, and sends them before it is told whether it may
        told = self._do("upload_part", Key=self._prefix + key, UploadId=upload, PartNumber=number, Body=body)
        return f"{told['ETag']} {told.get('ChecksumCRC32', '')}".strip()

    def finish(self, key: str, upload: str, receipts: Sequence[str], media_type: str) -> None:  # noqa: ARG002 - told at the beginning
        """CompleteMultipartUpload."""
        parts = [_part(number, receipt) for number, receipt in enumerate(receipts, 1)]
        self._do("complete_multipart_upload", Key=self._prefix + key, UploadId=upload, MultipartUpload={"Parts": parts})

    def abort(self, key: str, upload: str) -> None:
        """AbortMultipartUpload."""
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._prefix + key, UploadId=upload)
        except FAULTS as error:
            if not (isinstance(error, ClientError) and code_of(error) == "NoSuchUpload"):
                self._fail(error)

    def head(self, key: str) -> StoredFile | None:
        """HeadObject."""
        try:
            told = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except FAULTS as error:
            if isinstance(error, ClientError) and code_of(error) in {"404", "NoSuchKey"}:
                return None
            self._fail(error)
        return _stored(key, told, told["ContentLength"], told.get("ContentType"))

    def read(self, key: str, start: int, end: int, etag: str) -> Iterator[bytes]:
        """GetObject, of the version that `etag` names."""
        same = {"IfMatch": etag} if etag else {}
        told = self._do("get_object", Key=self._prefix + key, Range=f"bytes={start}-{end - 1}", **same)
        return self._pieces(told["Body"])

    def _pieces(self, body: Any) -> Iterator[bytes]:
        try:
            yield from body.iter_chunks(PIECE_BYTES)
        except FAULTS as error:
            self._fail(error)
        finally:
            body.close()

    def sign(self, key: str, method: str, expires_s: float) -> str:
        """A presigned address (SigV4), made without asking S3; with a temporary key it ends when that does."""
        operation = {"GET": "get_object", "PUT": "put_object"}[method]
        wanted = {"Bucket": self._bucket, "Key": self._prefix + key}
        try:
            return str(self._client.generate_presigned_url(operation, Params=wanted, ExpiresIn=math.ceil(expires_s)))
        except FAULTS as error:
            self._fail(error)

    def delete(self, key: str) -> None:
        """DeleteObject."""
        self._do("delete_object", Key=self._prefix + key)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """ListObjectsV2, page by page."""
        pages = self._client.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for told in page.get("Contents", ()):
                    yield _stored(told["Key"].removeprefix(self._prefix), told, told["Size"], None)
        except FAULTS as error:
            self._fail(error)

    def renew(self) -> bool:
        """Look where the credentials come from once more."""
        session = session_of(self._options)
        key = credentials_of(session)
        if key is None or key == self._key:
            return False
        self._session, self._client, self._key = session, client_of(session, self._options), key
        return True

    def close(self) -> None:
        """Close the connections; the next step would open new ones."""
        self._client.close()

    def _do(self, operation: str, **told: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self._bucket, **told)
        except FAULTS as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> NoReturn:
        raise fault(error, self._bucket, self._client.meta.endpoint_url) from None

    def _with_checksums(self) -> bool:
        return bool(self._client.meta.config.request_checksum_calculation == "when_supported")


def _part(number: int, receipt: str) -> dict[str, Any]:
    etag, _, checksum = receipt.partition(" ")
    return {"PartNumber": number, "ETag": etag, **({"ChecksumCRC32": checksum} if checksum else {})}


def _stored(key: str, told: Any, size: int, media_type: str | None) -> StoredFile:
    modified = told["LastModified"].astimezone(UTC) if "LastModified" in told else None
    kind = media_type or "application/octet-stream"
    return StoredFile(key=key, size=size, media_type=kind, etag=told.get("ETag", ""), modified=modified)


def _encoded(key: str) -> str:
    return quote(key, safe="/~")
