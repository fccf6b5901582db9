"""OAuth 2 client credentials (RFC 6749, section 4.4): a client's id and secret become a token for a time."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from farcall import auth, replies
from farcall.binding import Binding
from farcall.bodies import form_body
from farcall.errors import AuthRefused, ProtocolError, UsageError
from farcall.hookspecs import Credential, Flow, Grant
from farcall.spec import SecurityScheme
from farcall.wire import Request, Response, origin

EARLY_S: Final = 30.0
"""How long before its end a token is no longer used, in seconds."""
_REFUSALS: Final = frozenset({400, 401})


def signed(
    binding: Binding, address: str, request: Request, credential: Credential, held: Grant | None, now: datetime
) -> Request | Flow[Grant]:
    """The request with its key, or the flow to a token where the key is a client's id and secret."""
    is_pair = ":" in credential.secret
    if is_pair and (url := token_url(binding, address)):
        scope = binding.traits.get("token_scope", "")
        return grant(url, scope, credential, now) if held is None else request.with_headers(held.headers)
    security = binding.service.security if binding.service is not None else ()
    undescribed = SecurityScheme(kind="basic") if is_pair else None
    return auth.apply(request, credential, security[0] if security else undescribed)


def token_url(binding: Binding, address: str) -> str:
    """Where a token is fetched; empty where the service wants none, or the user's key is one already.

    Raises:
        UsageError: The document wants the secret at another place, and the user has not said so.
    """
    said: str | None = binding.options.token_url
    if said is not None:
        return said
    url = binding.traits.get("token_url", "")
    if url and origin(url) != origin(address):
        raise UsageError(
            f"The document wants your client secret at {origin(url)}, which is not the service. "
            f"If that is right, say so: token_url={url!r}. Or give a token as the key."
        )
    return url


def grant(url: str, scope: str, credential: Credential, now: datetime) -> Flow[Grant]:
    """Fetch a token: the secret in the header first (RFC 6749, 2.3.1), then in the body, as some servers want it."""
    client, _, secret = credential.secret.partition(":")
    fields = [("grant_type", "client_credentials"), *([("scope", scope)] if scope else [])]
    pair = f"{quote(client, safe='')}:{quote(secret, safe='')}".encode()
    basic = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    request = _asking(url, fields, basic)
    answer = yield request
    if answer.status in _REFUSALS:
        request = _asking(url, [*fields, ("client_id", client), ("client_secret", secret)], {})
        answer = yield request
    return _granted(request, answer, now)


def _asking(url: str, fields: list[tuple[str, str]], headers: dict[str, str]) -> Request:
    own, body = form_body(fields)
    return Request(method="POST", url=url, headers={"accept": "application/json", **own, **headers}, body=body)


def _granted(request: Request, answer: Response, now: datetime) -> Grant:
    place = origin(request.url)
    if not answer.ok:
        answer.drop()
        raise AuthRefused(
            f"{place} gave no token and answered {answer.status}: {replies.words(answer) or 'nothing'}.",
            request=request,
        )
    said = answer.json() if answer.content else {}
    said = said if isinstance(said, dict) else {}
    token = said.get("access_token")
    if not isinstance(token, str) or not token.isprintable() or not token.isascii():
        raise ProtocolError(f"{place} answered without an access_token.", request=request)
    lasts_s: Any = said.get("expires_in")
    lasts = isinstance(lasts_s, int | float) and not isinstance(lasts_s, bool)
    expires_at = now + timedelta(seconds=max(1.0, min(lasts_s, 1e9) - EARLY_S)) if lasts else None
    return Grant(headers={"authorization": f"Bearer {token}"}, expires_at=expires_at)
