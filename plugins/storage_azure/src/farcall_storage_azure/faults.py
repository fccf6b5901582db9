"""What the Azure SDK raises, as farcall's own errors: a sentence on what to do, and nothing secret.

The SDK's own sentences are not passed on: those of a broken connection hold the address with its signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from farcall.errors import AuthRefused, Busy, FileError, Refused, ServerFault, ServiceError, Unreachable
from farcall.storage_driver import UploadLost
from farcall.storage_faults import cause
from farcall.wire import origin

FAULTS: Final = (AzureError,)

KEYS: Final[Mapping[str, str]] = {
    # Azure Storage REST, "Common REST API error codes" and "Blob service error codes", 2026
    "AccountIsDisabled": "the account is disabled",
    "AuthenticationFailed": "the key, or the signature of the SAS, is wrong or has expired, or this machine's clock is",
    "AuthorizationFailure": "the key or SAS is wrong, or may not do that there, or not from here",
    "AuthorizationPermissionMismatch": "this credential may not do that there",
    "AuthorizationProtocolMismatch": "this SAS is good for https only",
    "AuthorizationResourceTypeMismatch": "this SAS is not good for files in containers",
    "AuthorizationServiceMismatch": "this SAS is not good for blobs",
    "AuthorizationSourceIPMismatch": "this SAS is not good for this machine's address",
    "InsufficientAccountPermissions": "this credential may not do that there",
    "InvalidAuthenticationInfo": "the credential is not one that Azure reads",
    "NoAuthenticationInformation": "no credential was sent",
    "PublicAccessNotPermitted": "the account allows no access without a credential",
}
LOST: Final = frozenset({"InvalidBlockList", "InvalidBlobOrBlock", "InvalidBlockId"})
GONE: Final = frozenset({"BlobNotFound", "ConditionNotMet", "InvalidRange"})
BUSY: Final = frozenset({"ServerBusy", "OperationTimedOut"})


def fault(error: AzureError, container: str, account: str, sas: str | None = None) -> ServiceError | UploadLost:
    """The error to raise in the place of one of the SDK's.

    Args:
        error: What the SDK raised.
        container: Where it happened.
        account: The address that was asked.
        sas: The shared access signature it was asked with; None: with something else.
    """
    if isinstance(error, HttpResponseError) and error.status_code:
        return _told(error, container, sas)
    if isinstance(error, ClientAuthenticationError):
        return AuthRefused(f"Azure: no token could be had for the container {container!r} ({type(error).__name__}).")
    if isinstance(error, ServiceRequestError | ServiceResponseError | IncompleteReadError | HttpResponseError):
        where = f"{origin(account)} for the container {container!r}"
        return Unreachable(f"Azure: the connection to {where} failed or broke: {cause(error)}.")
    return ServerFault(f"Azure: {type(error).__name__} for the container {container!r}.")


def code_of(error: AzureError) -> str:
    """Azure's own word for an error: `BlobNotFound`; empty where there is none."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _told(error: HttpResponseError, container: str, sas: str | None) -> ServiceError | UploadLost:
    code, status = code_of(error), error.status_code or 0
    if code in LOST:
        return UploadLost(code)
    if code == "ContainerNotFound":
        return Refused(f"Azure: there is no container {container!r}; make it first, or correct its name or account.")
    if code in GONE or status == 412:
        return FileError(f"Azure: a file in the container {container!r} is gone or was replaced by another ({code}).")
    if code in KEYS or status in {401, 403}:
        why = _expired(sas) or KEYS.get(code, f"{code or status}")
        return AuthRefused(f"Azure refused the container {container!r}: {why}.")
    if code in BUSY or status == 429:
        return Busy(f"Azure takes no more for the container {container!r} now ({code or status}).")
    kind = Refused if 400 <= status < 500 else ServerFault
    return kind(f"Azure answered {status} {code or error.reason} for the container {container!r}.")


def _expired(sas: str | None) -> str:
    """That a SAS is over, as its own `se` says; empty if it is not."""
    said = parse_qs(sas or "").get("se", [""])[0]
    try:
        over = datetime.fromisoformat(said).astimezone(UTC) < datetime.now(UTC)
    except ValueError:
        return ""
    return f"its SAS expired at {said}; get a new one" if over else ""
