"""What an HTTP reply means where the provider has nothing to add: the error for its status, with its own words."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from farcall.errors import (
    AuthRefused,
    CancelFailed,
    CancelUnsupported,
    ProtocolError,
    Refused,
    ServerFault,
    ServiceError,
)
from farcall.jobs import Rejected, Step
from farcall.wire import Request, Response, origin

PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which a look is taken again."""
UNTOUCHED: Final = frozenset({408, 425, 429, 503})
"""Those among them with which a service says that it has not acted on the request."""
UNTOLD: Final = frozenset({502, 504})
"""Statuses of a gateway that has no answer of the service: what that did is not known."""
TOO_MANY: Final = 429
NO_ROUTE: Final = frozenset({404, 405, 501})


def rejected(response: Response, now: datetime) -> Rejected | None:
    """A submission the host surely did not accept: 429, and no other status."""
    if response.status != TOO_MANY:
        return None
    return Rejected(message=words(response) or "too many requests", retry_after_s=retry_after(response, now))


def error(request: Request, response: Response, step: Step, now: datetime) -> ServiceError | None:
    """The error a reply's status means; None for a success."""
    status = response.status
    if response.ok:
        return None
    said = words(response)
    sentence = f"{origin(request.url)} answered {status} to {request.method} {_path(request)}"
    sentence += f": {said}" if said else "."
    kind: type[ServiceError]
    if step is Step.CANCEL and status in NO_ROUTE:
        kind, sentence = CancelUnsupported, f"This host cannot cancel the job; it goes on. ({sentence})"
    elif step is Step.CANCEL:
        kind = CancelFailed
    elif status in {401, 403}:
        kind = AuthRefused
    elif status < 400:
        place = response.headers.get("location", "")
        kind = Refused
        sentence += f" It points to {origin(place) if '://' in place else place!r}; connect there if you trust it."
    elif status < 500:
        kind = Refused
    else:
        kind = ServerFault
    return kind(sentence, request=request, response=response, retry_after_s=retry_after(response, now))


def unexpected(request: Request, response: Response) -> ProtocolError:
    """The error for a success that the provider could make nothing of."""
    return ProtocolError(
        f"{origin(request.url)} answered {response.status} to {request.method} {_path(request)} "
        f"with {response.text[:120]!r}, which names no job and is no result.",
        request=request,
        response=response,
    )


def retry_after(response: Response, now: datetime) -> float | None:
    """Seconds the host asks us to wait (RFC 9110: a number or a date); None if it does not say."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def words(response: Response) -> str:
    """The service's own words in an error reply; empty if it has none. At most 500 characters."""
    if not response.content:
        return ""
    try:
        said = _said(response.json())
    except ProtocolError:
        media = response.media_type
        said = "" if media == "text/html" else response.text.strip()
    return said[:500]


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, (_said(item) for item in value[:10])))
    if not isinstance(value, Mapping):
        return ""
    if isinstance(value.get("loc"), list | tuple) and "msg" in value:  # one fault of FastAPI's list
        return f"{'.'.join(str(part) for part in value['loc'])}: {value['msg']}"
    for key in ("detail", "message", "error", "title", "msg", "errors", "error_description", "description"):
        if value.get(key) and (said := _said(value[key])):
            more = _said(value.get("errors"))  # the faults themselves, beside a sentence about them
            return f"{said}: {more}" if more and key != "errors" else said
    plain = {k: v for k, v in value.items() if isinstance(v, str | list | dict)}
    return "; ".join(f"{k}: {said}" for k, v in list(plain.items())[:10] if (said := _said(v)))


def _path(request: Request) -> str:
    return request.bare().url.removeprefix(origin(request.url)) or "/"
