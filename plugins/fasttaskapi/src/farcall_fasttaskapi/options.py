"""What a binding to a job server takes."""

from __future__ import annotations

from urllib.parse import urlsplit

from farcall.wire import without_query
from pydantic import BaseModel, ConfigDict, field_validator


class Options(BaseModel):
    """Where the server is.

    Args:
        url: Its address, with the path it is mounted at: `http://127.0.0.1:8000`, `https://gpu.lan/api`.
            `gpu.lan:8000` means http.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)  # it may hold a password

    url: str

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        whole = url.strip() if "://" in url else f"http://{url.strip()}"
        parts = urlsplit(whole)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not whole.isprintable() or " " in whole:
            raise ValueError(f"{without_query(url)!r} is no http or https address")
        if parts.query or parts.fragment:
            raise ValueError(f"{parts.hostname}: the address of a service has no ? and no #")
        if parts.username is not None:
            raise ValueError(f"{parts.hostname}: leave the key out of the address and give it as api_key=")
        if parts.port == 0:  # reading it checks it, too
            raise ValueError(f"{without_query(url)!r} has no usable port")
        return whole.rstrip("/")
