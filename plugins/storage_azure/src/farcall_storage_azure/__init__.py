"""Keeps files in Azure Blob Storage: `farcall.open_storage("azure://container/prefix")`."""

from __future__ import annotations

from collections.abc import Mapping

from farcall.hookspecs import hookimpl
from farcall.storage_driver import StorageDriver, checked, split_url

from farcall_storage_azure.driver import AzureDriver
from farcall_storage_azure.options import Options
from farcall_storage_azure.redaction import keep_signatures_out_of_logs


@hookimpl
def farcall_storage(url: str | None, options: Mapping[str, object]) -> StorageDriver:
    """The container's driver; an address's container and prefix go before those of the options."""
    container, prefix = split_url(url)
    told = {name: text for name, text in (("container", container), ("prefix", prefix)) if text}
    keep_signatures_out_of_logs()
    return AzureDriver(checked(Options, {**options, **told}, "azure"))
