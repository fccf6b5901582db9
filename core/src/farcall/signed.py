"""When a signed address ends, as its own query says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qs, urlsplit

STAMP: Final = "%Y%m%dT%H%M%SZ"
"""How SigV4 and those who took after it write a time: `20261124T200300Z`."""
FOUND: Final = re.compile(r"^x-(?P<who>amz|goog)-(?P<what>date|expires)$")


def ends(url: str) -> datetime | None:
    """The time after which a signed address is refused (UTC); None where it does not say.

    Read are `X-Amz-Date` with `X-Amz-Expires` and their like, `se`, and `Expires` as seconds since 1970.

    >>> ends("https://h/f?X-Amz-Date=20261124T200000Z&X-Amz-Expires=60&X-Amz-Signature=x").minute
    1
    """
    said = {name.lower(): values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    signed = {match["what"]: said[name] for name in said if (match := FOUND.match(name))}
    try:
        if {"date", "expires"} <= signed.keys():
            begun = datetime.strptime(signed["date"], STAMP).replace(tzinfo=UTC)
            return begun + timedelta(seconds=int(signed["expires"]))
        if "sig" in said and "se" in said:
            until = datetime.fromisoformat(said["se"])
            return until if until.tzinfo else until.replace(tzinfo=UTC)
        if "signature" in said and "expires" in said:
            return datetime.fromtimestamp(int(said["expires"]), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def has_ended(url: str, now: datetime) -> str:
    """A sentence that says that a signed address is over; empty if it is not, or does not say."""
    until = ends(url)
    if until is None or until > now:
        return ""
    return f" It was signed until {until:%Y-%m-%d %H:%M:%S} UTC, which is past: get a new one."
