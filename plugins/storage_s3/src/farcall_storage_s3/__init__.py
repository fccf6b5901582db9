"""Keeps files in S3, or in what speaks its protocol: `farcall.open_storage("s3://bucket/prefix")`."""

from __future__ import annotations

from collections.abc import Mapping

from farcall.hookspecs import hookimpl
from farcall.storage_driver import StorageDriver, checked, split_url

from farcall_storage_s3.driver import S3Driver
from farcall_storage_s3.options import Options
from farcall_storage_s3.redaction import keep_signatures_out_of_logs


@hookimpl
def farcall_storage(url: str | None, options: Mapping[str, object]) -> StorageDriver:
    """The bucket's driver; an address's bucket and prefix go before those of the options."""
    bucket, prefix = split_url(url)
    keep_signatures_out_of_logs()
    told = {name: text for name, text in (("bucket", bucket), ("prefix", prefix)) if text}
    return S3Driver(checked(Options, {**options, **told}, "s3"))
