"""fastSDK's names for cloud storages, and for a service that uses one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import farcall
from farcall import media
from farcall.errors import UsageError
from farcall.spec import Place

CONTAINER: Final = "uploads"
"""Where files go if no container is named."""
MB: Final = 1_000_000


class CloudStorage:
    """A storage by fastSDK's verbs.

    Args:
        storage: farcall's own.
    """

    def __init__(self, storage: farcall.Storage) -> None:
        self.storage = storage

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.storage!r}>"

    def upload(self, file: Any, file_name: str | None = None) -> str:
        """Store a file and give its address.

        Args:
            file: A path, bytes, an open file, an address, or a file object of farcall's or media-toolkit's.
            file_name: Its key in the storage; None: one that nobody guesses.

        Returns:
            A signed address, good for a day, by which `download` knows the file, too.
        """
        return self.storage.upload(file, key=file_name)

    def download(self, file_id: str) -> str:
        """A fresh address to fetch a file from, good for a day.

        Args:
            file_id: What `upload` returned, or the file's key.
        """
        return self.storage.signed_url(file_id)

    def delete(self, file_id: str) -> None:
        """Delete a file.

        Args:
            file_id: What `upload` returned, or the file's key.
        """
        self.storage.delete(file_id)


class AzureBlobStorage(CloudStorage):
    """A container of Azure Blob Storage.

    Args:
        sas_access_token: A shared access signature; or an address with it, which names the account and the container.
        connection_string: Of the account. It goes first, since it can sign addresses.
        container: The container; None: what the SAS names, else `uploads`.
    """

    def __init__(
        self,
        sas_access_token: str | None = None,
        connection_string: str | None = None,
        container: str | None = None,
    ) -> None:
        if connection_string is not None:
            options: dict[str, Any] = {"connection_string": connection_string, "create": container is None}
        else:
            options = {"sas": sas_access_token}
        named = container or (None if _names_a_container(options.get("sas")) else CONTAINER)
        super().__init__(_opened("azure", {**options, "container": named or "", "share_sas": True}))


class S3Storage(CloudStorage):
    """A bucket.

    Args:
        bucket: Its name.
        endpoint_url: Where it is; None: AWS.
        access_key_id: A key; None: as boto3 finds one.
        access_key_secret: The key's secret.
        region: `eu-central-1`; None: as boto3 finds it.
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint_url: str | None = None,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        region: str | None = None,
    ) -> None:
        key = {"access_key_id": access_key_id, "secret_access_key": access_key_secret}
        super().__init__(_opened("s3", {"bucket": bucket, "endpoint_url": endpoint_url, "region": region, **key}))


def create_cloud_storage(  # noqa: PLR0913 - fastSDK's
    *,
    azure_sas_access_token: str | None = None,
    azure_connection_string: str | None = None,
    azure_container: str | None = None,
    s3_endpoint_url: str | None = None,
    s3_access_key_id: str | None = None,
    s3_access_key_secret: str | None = None,
    s3_bucket: str | None = None,
) -> CloudStorage:
    """The storage these credentials are for.

    Raises:
        UsageError: They are for none, or for both Azure and S3.
    """
    azure = azure_sas_access_token is not None or azure_connection_string is not None
    s3 = s3_endpoint_url is not None or s3_access_key_id is not None or s3_bucket is not None
    if azure == s3:
        raise UsageError("Give credentials for Azure (azure_…=) or for S3 (s3_…=), one of them.")
    if azure:
        return AzureBlobStorage(azure_sas_access_token, azure_connection_string, azure_container)
    if s3_bucket is None:
        raise UsageError("Name the bucket: s3_bucket=.")
    return S3Storage(
        s3_bucket,
        endpoint_url=s3_endpoint_url,
        access_key_id=s3_access_key_id,
        access_key_secret=s3_access_key_secret,
    )


class ServiceClient:
    """A service, described by hand, whose large files go through a cloud storage.

    Args:
        service_url: Where it is: `localhost:8020/api`.
        api_key: Its key; None: as farcall finds it.
        cloud_storage: Where large files go; None: nowhere, all travel inline.
        upload_to_cloud_storage_threshold_mb: What is larger goes there, in MB (1,000,000 bytes); None: only what is
            above the host's own limit.

    Raises:
        UsageError: The storage is none, or the threshold no number of megabytes.
    """

    def __init__(
        self,
        service_url: str | None = None,
        *,
        api_key: str | None = None,
        cloud_storage: CloudStorage | None = None,
        upload_to_cloud_storage_threshold_mb: float | None = None,
    ) -> None:
        self._service_url = service_url
        self._api_key = api_key
        self._storage = cloud_storage
        if not isinstance(cloud_storage, CloudStorage | None):
            raise UsageError("cloud_storage= is what create_cloud_storage(…) or AzureBlobStorage(…) returns.")
        self._threshold_bytes = _bytes(upload_to_cloud_storage_threshold_mb)
        self._endpoints: list[farcall.EndpointSpec] = []

    def add_endpoint(
        self,
        endpoint_route: str,
        *,
        get_params: Mapping[str, Any] | None = None,
        post_params: Mapping[str, Any] | None = None,
        file_params: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe an endpoint.

        Args:
            endpoint_route: Its path: `add_face`.
            get_params: Name to type, for what goes into the query.
            post_params: Name to type, for what goes into the body.
            file_params: Name to `bytes`, or to media-toolkit's `ImageFile` and the like.
        """
        query = {name: farcall.Parameter(kind, place=Place.QUERY) for name, kind in (get_params or {}).items()}
        files = {name: farcall.File if kind is bytes else kind for name, kind in (file_params or {}).items()}
        path = f"/{endpoint_route.lstrip('/')}"
        parameters = {**query, **(post_params or {})}
        self._endpoints.append(farcall.EndpointSpec(path=path, parameters=parameters, file_params=files))

    def connect(self) -> farcall.Service:
        """Connect to the service; without endpoints described here, to those it describes itself.

        Raises:
            UsageError: No `service_url` was given.
        """
        if self._service_url is None:
            raise UsageError("Say where the service is: ServiceClient(service_url=…).")
        storage = None if self._storage is None else self._storage.storage
        return farcall.connect(
            self._service_url,
            api_key=self._api_key,
            endpoints=self._endpoints or None,
            storage=storage,
            upload_threshold_bytes=self._threshold_bytes,
        )


def __getattr__(name: str) -> Any:
    """media-toolkit's classes, which fastSDK re-exports: `from farcall_compat.fastsdk import ImageFile`."""
    if name in set(media.Kind):
        return getattr(media, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _bytes(mb: float | None) -> int | None:
    if mb is None:
        return None
    if isinstance(mb, bool) or not isinstance(mb, int | float) or not 0 <= mb < math.inf:
        raise UsageError(f"upload_to_cloud_storage_threshold_mb= is a number of megabytes, 0 or more, not {mb!r}.")
    return int(mb * MB)


def _names_a_container(sas: str | None) -> bool:
    return sas is not None and "://" in sas and "sr=c" in sas.partition("?")[2].split("&")


def _opened(kind: str, options: Mapping[str, Any]) -> farcall.Storage:
    """By options alone, those that were given; the address only says which kind."""
    told = {name: value for name, value in options.items() if value not in (None, "")}
    place = told.pop("container", None) or told.pop("bucket", None)
    if place is None:
        place = told["sas"].partition("?")[0].rpartition("/")[2]
    return farcall.open_storage(f"{kind}://{place}", **told)
