"""Finds what a container is reached with, and makes its client."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from azure.storage.blob import ContainerClient
from farcall.errors import ConfigError, KeyMissing
from farcall.storage_download import RANGE_BYTES
from farcall.storage_driver import PIECE_BYTES

from farcall_storage_azure.options import Options, text

SETTINGS: Final[Mapping[str, Any]] = {
    "max_single_put_size": 64 * 1024 * 1024,  # farcall cuts what is larger than its own part itself
    "max_single_get_size": RANGE_BYTES,  # one request for each range that farcall asks for
    "connection_data_block_size": PIECE_BYTES,
    "connection_timeout": 10,
    "read_timeout": 60,
    "retry_total": 3,
    "initial_backoff": 1,
    "increment_base": 1,
}
_CONTAINER: Final = re.compile(r"\$root|\$web|\$logs|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""Azure Storage REST, "Naming and Referencing Containers, Blobs, and Metadata", 2026."""
PUBLIC_SUFFIX: Final = ".blob.core.windows.net"
WANTED: Final = (
    "Azure: no credential was found. Looked at the options connection_string, sas, account_key and credential, then at "
    "AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_KEY, then for azure-identity, which is "
    "not installed (pip install azure-identity)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A container's client, and what it may sign with. Its repr shows no secret.

    Args:
        client: The SDK's.
        key: The account's key; None if there is none.
        sas: The shared access signature it is reached with; None if there is none.
        token: Whether it is reached with a token, so that Azure gives a key to sign with.
    """

    client: ContainerClient
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)
    token: bool = False

    def same_as(self, other: Access) -> bool:
        """Whether it would be refused just as the other was."""
        return (self.key, self.sas, self.token) == (other.key, other.sas, other.token)


def access(options: Options) -> Access:
    """What there is to reach the container with.

    Raises:
        ConfigError: It is not known which account or container is meant.
        KeyMissing: There is no credential.
    """
    told = text(options.connection_string)
    if told is None and options.account_url is None and options.sas is None:
        told = os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
    if told is not None:
        return _by_connection_string(told, options)
    sas = text(options.sas) or os.environ.get("AZURE_STORAGE_SAS_TOKEN")
    key = text(options.account_key) or os.environ.get("AZURE_STORAGE_KEY")
    if options.credential is not None:
        return _token(options, options.credential)
    if sas is not None and options.account_key is None:
        return _by_sas(sas, options)
    if key is not None:
        return Access(client=_client(_account(options), options.container, {"account_key": key}), key=key)
    return _token(options, _default_credential())


def _by_connection_string(told: str, options: Options) -> Access:
    parts = dict(part.split("=", 1) for part in told.strip().split(";") if "=" in part)
    fields = {name.lower(): value for name, value in parts.items()}
    key, sas = fields.get("accountkey"), fields.get("sharedaccesssignature")
    url = fields.get("blobendpoint") or _usual_url(fields)
    if url is None or not (key or sas):
        raise ConfigError(
            "Azure: the connection string holds no AccountName or BlobEndpoint, or neither AccountKey nor "
            "SharedAccessSignature."
        )
    if key is None:
        return _by_sas(sas or "", options.model_copy(update={"account_url": url.rstrip("/")}))
    account = fields.get("accountname") or urlsplit(url).hostname or ""
    credential = {"account_name": account, "account_key": key}
    return Access(client=_client(url.rstrip("/"), options.container, credential), key=key)


def _usual_url(fields: Mapping[str, str]) -> str | None:
    if "accountname" not in fields:
        return None
    protocol, suffix = fields.get("defaultendpointsprotocol", "https"), fields.get("endpointsuffix")
    return f"{protocol}://{fields['accountname']}.blob.{suffix or PUBLIC_SUFFIX.removeprefix('.blob.')}"


def _by_sas(sas: str, options: Options) -> Access:
    """By a SAS alone, or by an address that bears one: the account's, or the container's."""
    url, mark, query = sas.strip().rpartition("?")
    if not any(pair.startswith("sig=") for pair in query.split("&")):
        raise ConfigError("Azure: the SAS holds no sig=, its signature, so it is none or not whole.")
    if not mark or not url:
        return Access(client=_client(_account(options), options.container, query), sas=query)
    account, _, container = url.rstrip("/").rpartition("/") if _names_a_container(query) else (url.rstrip("/"), "", "")
    if options.container and container not in {"", options.container}:
        raise ConfigError(
            f"Azure: the SAS is for the container {container!r}, and {options.container!r} is to be opened."
        )
    return Access(client=_client(account, options.container or container, query), sas=query)


def _names_a_container(query: str) -> bool:
    """A SAS of a container says `sr=c`; one of an account has no `sr`."""
    return "sr=c" in query.split("&")


def _account(options: Options) -> str:
    if options.account_url is not None:
        return options.account_url
    if name := os.environ.get("AZURE_STORAGE_ACCOUNT"):
        return f"https://{name}{PUBLIC_SUFFIX}"
    raise ConfigError(
        'Azure: which account? Give account_url="https://NAME.blob.core.windows.net", or set AZURE_STORAGE_ACCOUNT.'
    )


def _token(options: Options, credential: Any) -> Access:
    account = _account(options)
    if not account.startswith("https://"):
        raise ConfigError(f"Azure takes a token over https only, and the account is {account}; give a key or a SAS.")
    return Access(client=_client(account, options.container, credential), token=True)


def _client(account: str, container: str, credential: Any) -> ContainerClient:
    if not container:
        raise ConfigError('Azure: which container? Open "azure://container", or give container="…".')
    if not _CONTAINER.fullmatch(container):
        raise ConfigError(
            f"Azure: {container!r} is no container's name: 3 to 63 lower-case letters, digits and single hyphens."
        )
    if isinstance(credential, dict):
        if not _is_base64(credential["account_key"]):
            raise ConfigError("Azure: the account's key is no base64, so it is not whole.")
        credential = {"account_name": _account_name(account), **credential}
    try:
        return ContainerClient(account, container, credential, **SETTINGS)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Azure: the address, key or credential is wrong ({type(error).__name__}).") from None


def _account_name(account: str) -> str:
    """The first label of the host; on an emulator, which has an address of its own, the first part of the path."""
    url = urlsplit(account)
    host = url.hostname or ""
    emulated = host == "localhost" or host.replace(".", "").isdigit()
    return url.path.strip("/").partition("/")[0] if emulated else host.partition(".")[0]


def _is_base64(key: str) -> bool:
    try:
        return bool(base64.b64decode(key, validate=True))
    except ValueError:
        return False


def _default_credential() -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise KeyMissing(WANTED) from None
    return DefaultAzureCredential()
