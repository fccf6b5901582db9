"""Puts a key onto a request, the way the service wants it shown."""

from __future__ import annotations

import base64
from dataclasses import replace
from urllib.parse import quote, urlencode

from farcall.hookspecs import Credential
from farcall.spec import SecurityScheme
from farcall.wire import Request


def apply(request: Request, credential: Credential, scheme: SecurityScheme | None) -> Request:
    """The request with the key on it.

    Args:
        request: What is about to be sent, to the bound origin.
        credential: The key; for basic auth `user:password`.
        scheme: How the service wants it; None: as a bearer token.
    """
    secret = credential.secret
    kind = "bearer" if scheme is None else scheme.kind
    name = "" if scheme is None else scheme.name
    if kind == "bearer":
        return request.with_headers({"authorization": f"Bearer {secret}"})
    if kind == "basic":
        token = base64.b64encode(secret.encode()).decode()
        return request.with_headers({"authorization": f"Basic {token}"})
    if kind == "header":
        return request.with_headers({name: secret})
    if kind == "cookie":
        cookies = [v for k, v in request.headers.items() if k.lower() == "cookie"]
        return request.with_headers({"cookie": "; ".join([*cookies, f"{name}={quote(secret)}"])})
    joint = "&" if "?" in request.url else "?"
    return replace(request, url=f"{request.url}{joint}{urlencode({name: secret})}")
