"""What boto3 raises, as farcall's own errors: a sentence on what to do, and nothing secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - boto3's name
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from farcall.errors import AuthRefused, Busy, FileError, KeyMissing, Refused, ServerFault, ServiceError, Unreachable
from farcall.storage_driver import UploadLost
from farcall.storage_faults import cause
from farcall.wire import origin

FAULTS: Final = (BotoCoreError, ClientError, OSError)
"""All that a call of boto3 may raise; OSError: a connection that breaks while a body comes in."""

KEYS: Final[Mapping[str, str]] = {
    # Amazon S3 API Reference, Error responses, 2026
    "AccessDenied": "this key may not do that there",
    "AllAccessDisabled": "the account's access is switched off",
    "ExpiredToken": "the credentials have expired; get new ones",
    "InvalidAccessKeyId": "the access key id is not known",
    "InvalidToken": "the session token is not valid",
    "RequestExpired": "the request came too late",
    "SignatureDoesNotMatch": "the secret access key is wrong",
    "TokenRefreshRequired": "the credentials have expired; get new ones",
}
BUSY: Final = frozenset({"SlowDown", "RequestLimitExceeded", "TooManyRequests", "ServiceUnavailable"})
LOST: Final = frozenset({"NoSuchUpload", "InvalidPart", "InvalidPartOrder"})


def fault(error: BaseException, bucket: str, endpoint: str) -> ServiceError | UploadLost | KeyMissing:
    """The error to raise in the place of one of boto3's.

    Args:
        error: One of `FAULTS`.
        bucket: Where it happened.
        endpoint: The address that was asked.
    """
    if isinstance(error, ClientError):
        return _told(error, bucket)
    if isinstance(error, NoCredentialsError):
        return KeyMissing(f"S3: no credentials were found for the bucket {bucket!r}.")
    if isinstance(error, CredentialRetrievalError | TokenRetrievalError | UnauthorizedSSOTokenError):
        return AuthRefused(f"S3: the credentials for the bucket {bucket!r} cannot be had or renewed: {error}")
    if isinstance(error, ParamValidationError):
        return Refused(f"S3: boto3 does not accept the request for the bucket {bucket!r}: {error}")
    if isinstance(error, ConnectionError | HTTPClientError | OSError):
        where = f"{origin(endpoint)} for the bucket {bucket!r}"
        return Unreachable(f"S3: the connection to {where} failed or broke: {cause(error)}.")
    return ServerFault(f"S3: {type(error).__name__} for the bucket {bucket!r}: {error}")


def code_of(error: ClientError) -> str:
    """The storage's own word for an error: `NoSuchKey`; an HTTP status where there was no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _told(error: ClientError, bucket: str) -> ServiceError | UploadLost:
    reply: Mapping[str, Any] = error.response
    code, status = code_of(error), int(reply.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    doing = error.operation_name
    if code in LOST:
        return UploadLost(code)
    if code == "RequestTimeTooSkewed":
        theirs = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "another time")
        return AuthRefused(f"S3: this machine's clock is wrong, so nothing it signs is accepted; there it is {theirs}.")
    if code == "NoSuchBucket":
        return Refused(f"S3: there is no bucket {bucket!r}; make it first, or correct the name, region or endpoint.")
    if code in {"NoSuchKey", "PreconditionFailed", "412"}:
        return FileError(f"S3: a file in the bucket {bucket!r} is gone or was replaced by another ({code}).")
    if code in KEYS or status in {401, 403}:
        why = KEYS.get(code, f"{code or status}")
        return AuthRefused(f"S3 refused {doing} in the bucket {bucket!r}: {why}.")
    if code in BUSY or status == 429:
        return Busy(f"S3 takes no more for the bucket {bucket!r} now ({code or status}).")
    said = str(reply.get("Error", {}).get("Message", "")) or "no reason given"
    kind = Refused if 400 <= status < 500 else ServerFault
    word = f"{status} {code}" if code != str(status) else code  # without a body the status is the word
    return kind(f"S3 answered {doing} in the bucket {bucket!r} with {word}: {said}")
