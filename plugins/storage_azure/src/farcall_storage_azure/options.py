"""What a container takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from farcall.errors import ConfigError
from farcall.storage_driver import bare_prefix
from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, field_validator

Secret = SecretStr | Callable[[], str]


def _secret(value: object) -> object:
    return SecretStr(value) if isinstance(value, str) else value


Told = Annotated[Secret | None, BeforeValidator(_secret)]


class Options(BaseModel):
    """A container, and how to reach it.

    A secret may be a function that gives it: it is asked again when Azure refuses what it gave before. Without any,
    `AZURE_STORAGE_CONNECTION_STRING` is used, or `AZURE_STORAGE_ACCOUNT` with `AZURE_STORAGE_SAS_TOKEN` or
    `AZURE_STORAGE_KEY`, or, with azure-identity installed, its default credential.

    Args:
        container: The container's name; may stand in `sas` instead.
        prefix: What every key begins with, without slashes around it; empty: nothing.
        connection_string: Of the account, with a key or a SAS.
        account_url: `https://account.blob.core.windows.net`; for what is not Azure itself, any other.
        sas: A shared access signature of the container or the account; or a whole address with it.
        account_key: The account's key.
        credential: A token credential of the user's own, as azure-identity makes them.
        read_sas: A SAS that may only read. Signed addresses bear it where there is no key to sign with.
        share_sas: Let signed addresses bear `sas` itself, with all that it allows, where nothing better is there.
        create: Make the container if it is not there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    container: str = ""
    prefix: str = ""
    connection_string: Told = None
    account_url: str | None = None
    sas: Told = None
    account_key: Told = None
    credential: Any = None
    read_sas: Told = None
    share_sas: bool = False
    create: bool = False

    @field_validator("prefix")
    @classmethod
    def _bare(cls, prefix: str) -> str:
        return bare_prefix(prefix)

    @field_validator("account_url")
    @classmethod
    def _without_key(cls, url: str | None) -> str | None:
        if url is not None and (not url.startswith(("http://", "https://")) or "@" in url or "?" in url):
            raise ValueError("an account's address is http or https, without a query; a SAS goes into sas=")
        return None if url is None else url.rstrip("/")


def text(secret: Secret | None) -> str | None:
    """The secret itself; asked for if it is a function.

    Raises:
        ConfigError: The function gave no text.
    """
    if secret is None:
        return None
    if isinstance(secret, SecretStr):
        return secret.get_secret_value()
    given = secret()
    if not isinstance(given, str):
        raise ConfigError(f"Azure: the function that gives a secret gave {type(given).__name__}, and no text.")
    return given
