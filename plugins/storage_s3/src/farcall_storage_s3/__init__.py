"""Keeps files in S3, or in what speaks its protocol: `farcall.open_storage("s3://bucket/prefix")`."""

from __future__ import annotations

from collections.abc import Mapping

from farcall.hookspecs import hookimpl
from farcall.storage_driver import StorageDriver, checked, with_address

from farcall_storage_s3.driver import S3Driver
from farcall_storage_s3.options import Options
from farcall_storage_s3.redaction import keep_signatures_out_of_logs


@hookimpl
def farcall_storage(url: str | None, options: Mapping[str, object]) -> StorageDriver:
    """The bucket's driver; its address and options may not say different things."""
    keep_signatures_out_of_logs()
    return S3Driver(checked(Options, with_address(url, options, "bucket"), "s3"))
