"""Why a storage cannot be reached, found in what its SDK raised; an address, which may be signed, is never told."""

from __future__ import annotations

import ssl
from collections.abc import Iterator


def cause(error: BaseException) -> str:
    """What the system or TLS said, as the end of a sentence: `Connection refused`.

    SDKs wrap it several times, in causes, arguments and attributes.

    Args:
        error: What the SDK raised.
    """
    for found in _inside(error):
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({found.verify_message})"
        if isinstance(found, ssl.SSLError):
            return f"it answered https with something else ({found.reason}); perhaps it speaks http"
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
    return type(error).__name__


def _inside(error: BaseException) -> Iterator[BaseException]:
    """The error and all that are in it, each once, the outer ones first."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    for item in waiting:
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend([*item.args, *vars(item).values(), item.__cause__, item.__context__])
            yield item
