"""What a bucket takes."""

from __future__ import annotations

from typing import Any, Self

from farcall.storage_driver import bare_prefix
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator


class Options(BaseModel):
    """A bucket, and how to reach it.

    Without keys, `profile` or `session`, the credentials are found as boto3 always finds them: environment, shared
    files, container, instance; and are refreshed as it refreshes them.

    Args:
        bucket: The bucket's name.
        prefix: What every key begins with, without slashes around it; empty: nothing.
        endpoint_url: Where it is, for MinIO, SeaweedFS and the like; None: AWS.
        region: `eu-central-1`; None: as boto3 finds it.
        profile: A profile of the shared credentials file; None: as boto3 finds it.
        access_key_id: A key of its own; None: as boto3 finds it.
        secret_access_key: Its secret.
        session_token: What a temporary key has besides.
        session: A `boto3.Session` of the user's own, in the place of all these.
        path_style: Whether the bucket's name stands in the path; None: only with an `endpoint_url`.
        ca_bundle: A file of certificates to trust, for an `endpoint_url` of one's own; None: the usual ones.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True, strict=True
    )

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    session: Any = None
    path_style: bool | None = None
    ca_bundle: str | None = None

    @field_validator("prefix")
    @classmethod
    def _bare(cls, prefix: str) -> str:
        return bare_prefix(prefix)

    @field_validator("endpoint_url")
    @classmethod
    def _without_key(cls, url: str | None) -> str | None:
        if url is not None and (not url.startswith(("http://", "https://")) or "@" in url or "?" in url):
            raise ValueError("an endpoint is an http or https address without key and query")
        return url

    @model_validator(mode="after")
    def _whole_key(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key come together")
        return self
