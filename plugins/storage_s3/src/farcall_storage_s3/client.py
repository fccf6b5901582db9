"""Makes boto3's client from a bucket's options."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, NoCredentialsError
from farcall.errors import ConfigError, KeyMissing
from pydantic import SecretStr

from farcall_storage_s3.options import Options

TRIES: Final = 4
CONNECTIONS: Final = 32
"""As many as farcall takes steps at once; boto3's own ten would have the others wait and warn."""


def session_of(options: Options) -> Any:
    """The user's session, or one that looks for its credentials anew.

    Raises:
        ConfigError: There is no such profile, or the session is none.
    """
    if options.session is not None:
        if not isinstance(options.session, boto3.Session):
            raise ConfigError(f"S3: session= is a boto3.Session, not {type(options.session).__name__}.")
        return options.session
    try:
        return boto3.Session(
            aws_access_key_id=_text(options.access_key_id),
            aws_secret_access_key=_text(options.secret_access_key),
            aws_session_token=_text(options.session_token),
            region_name=options.region,
            profile_name=options.profile,
        )
    except BotoCoreError as error:
        raise ConfigError(f"S3: {error}.") from None


def client_of(session: Any, options: Options) -> Any:
    """A client for the bucket.

    Raises:
        ConfigError: It is not known in which region the bucket is, or its certificates are missing.
        KeyMissing: There are no credentials.
    """
    region = options.region or session.region_name or ("us-east-1" if options.endpoint_url else None)
    if region is None:
        raise ConfigError('S3: no region is known. Give region="eu-central-1", or set AWS_REGION.')
    if credentials_of(session) is None:
        raise KeyMissing(
            "S3: no credentials were found. Looked at the options access_key_id, profile and session, then where boto3 "
            "looks: AWS_ACCESS_KEY_ID, the shared credentials file, the container's and the instance's role."
        )
    if options.ca_bundle is not None and not Path(options.ca_bundle).exists():
        raise ConfigError(f"S3: ca_bundle= names {options.ca_bundle!r}, and there is nothing.")
    path_style = options.path_style if options.path_style is not None else options.endpoint_url is not None
    config = Config(
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=CONNECTIONS,
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
        s3={"addressing_style": "path" if path_style else "auto"},
    )
    try:
        return session.client(
            "s3", region_name=region, endpoint_url=options.endpoint_url, verify=options.ca_bundle, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"S3: {error}.") from None


def credentials_of(session: Any) -> Any:
    """The key as it is now, to compare; None if there is none."""
    try:
        found = session.get_credentials()
        return None if found is None else found.get_frozen_credentials()
    except NoCredentialsError:
        return None
    except BotoCoreError as error:
        raise KeyMissing(f"S3: the credentials cannot be had: {error}.") from None


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
