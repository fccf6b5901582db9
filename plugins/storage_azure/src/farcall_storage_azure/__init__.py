"""Keeps files in Azure Blob Storage: `farcall.open_storage("azure://container/prefix")`."""

from __future__ import annotations

from collections.abc import Mapping

from farcall.hookspecs import hookimpl
from farcall.storage_driver import StorageDriver, checked, with_address

from farcall_storage_azure.driver import AzureDriver
from farcall_storage_azure.options import Options
from farcall_storage_azure.redaction import keep_signatures_out_of_logs


@hookimpl
def farcall_storage(url: str | None, options: Mapping[str, object]) -> StorageDriver:
    """The container's driver; its address and options may not say different things."""
    keep_signatures_out_of_logs()
    return AzureDriver(checked(Options, with_address(url, options, "container"), "azure"))
