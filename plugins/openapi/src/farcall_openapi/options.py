"""What a binding to an OpenAPI service takes."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from farcall.wire import origin, without_query
from pydantic import BaseModel, ConfigDict, Field, field_validator

from farcall_openapi.paging import Paging
from farcall_openapi.polling import Polling


class Options(BaseModel):
    """Where the service is, and what its document does not tell.

    Args:
        url: Its address or its document's; `localhost:8000` means http. None: the document says it.
        server: Which of the document's servers is meant, counted from 0.
        server_variables: Values for the variables in that server's address; the others have their defaults.
        pages: How the service's lists go on, where neither Link headers nor usual names tell.
        ref_origins: Origins beside the document's own whose files it may refer to, `https://specs.example.com`.
        token_url: Where OAuth 2 tokens are fetched for a key `client_id:client_secret`; None: where the document says,
            if that is at the service itself.
        job: How the service's jobs are looked at, where neither its replies nor its document tell.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # it may hold a password

    url: str | None = None
    server: int = Field(default=0, ge=0)
    server_variables: Mapping[str, str] = Field(default_factory=dict)
    job: Polling | None = None
    pages: Paging = Paging()
    ref_origins: tuple[str, ...] = ()
    token_url: str | None = None

    @field_validator("ref_origins")
    @classmethod
    def _origins(cls, places: tuple[str, ...]) -> tuple[str, ...]:
        for place in places:
            if urlsplit(place).scheme not in {"http", "https"} or not urlsplit(place).hostname:
                raise ValueError(f"{place!r} is no origin like 'https://specs.example.com'")
        return tuple(map(origin, places))

    @field_validator("url", "token_url")
    @classmethod
    def _absolute(cls, url: str | None) -> str | None:
        if url is None:
            return None
        whole = url.strip() if "://" in url else f"http://{url.strip()}"
        parts = urlsplit(whole)
        if parts.username is not None:
            raise ValueError(f"{parts.hostname}: leave the key out of the address and give it as api_key=")
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise ValueError(f"{without_query(whole)!r} is no http or https address")
        return whole.rstrip("/")
