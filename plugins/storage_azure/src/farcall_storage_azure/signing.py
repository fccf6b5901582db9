"""Signed addresses of blobs: by the account's key, by a key that Azure gives to a token, or by a SAS that is there."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Final

from azure.storage.blob import BlobSasPermissions, BlobServiceClient, UserDelegationKey, generate_blob_sas
from farcall.errors import UsageError

from farcall_storage_azure.access import Access
from farcall_storage_azure.options import Options, text

PERMISSIONS: Final = {
    "GET": BlobSasPermissions(read=True),
    "PUT": BlobSasPermissions(create=True, write=True),
}
DELEGATION: Final = timedelta(days=7)
"""The longest life of a key that is given to a token. Azure Storage REST, "Get User Delegation Key", 2026."""
UNSIGNED: Final = (
    "Azure: a SAS cannot sign addresses. Give the account's key or connection string, or read_sas=, a SAS that may "
    "only read; or share_sas=True, if whoever gets an address may have all that this SAS allows."
)


class Signing:
    """Signs addresses of one container."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._delegated: UserDelegationKey | None = None
        self._until = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def query(self, access: Access, blob: str, method: str, expires_s: float) -> str:
        """What goes behind the `?` of a blob's address.

        Raises:
            UsageError: There is nothing to sign with; the sentence says what would do.
        """
        until = datetime.now(UTC) + timedelta(seconds=expires_s)
        client = access.client
        if access.key is None and not access.token:
            return self._borrowed(access, method)
        return generate_blob_sas(
            str(client.account_name),
            client.container_name,
            blob,
            account_key=access.key,
            user_delegation_key=self._delegation(access, until) if access.token else None,
            permission=PERMISSIONS[method],
            expiry=until,
        )

    def hindrance(self, access: Access) -> str:
        """Why no address to fetch a blob can be signed, and what would do; empty: one can."""
        can = access.key is not None or access.token or self._options.read_sas is not None or self._options.share_sas
        return "" if can else UNSIGNED

    def _borrowed(self, access: Access, method: str) -> str:
        if method == "GET" and (read := text(self._options.read_sas)) is not None:
            return read.rpartition("?")[2]
        if self._options.share_sas and access.sas:
            return access.sas
        raise UsageError(UNSIGNED)

    def _delegation(self, access: Access, until: datetime) -> UserDelegationKey:
        with self._lock:
            if self._delegated is None or until > self._until:
                now = datetime.now(UTC)
                self._until = now + DELEGATION
                service = BlobServiceClient(
                    str(access.client.primary_endpoint).rpartition("/")[0],
                    credential=access.client.credential,
                )
                self._delegated = service.get_user_delegation_key(now - timedelta(minutes=5), self._until)
            return self._delegated
