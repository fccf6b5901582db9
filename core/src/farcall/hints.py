"""What a sentence about an unknown name adds: which known ones come close."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence to append; empty where no known name comes close.

    >>> did_you_mean("ad", ["add", "subtract"])
    " Did you mean 'add'?"
    """
    close = near(name, known)
    return f" Did you mean {close}?" if close else ""


def near(name: str, known: Iterable[str]) -> str:
    """The known names that come close, as `'a' or 'b'`; empty if there is none."""
    from difflib import get_close_matches  # here, since only errors want it

    return " or ".join(map(repr, get_close_matches(name, list(known), 3, 0.5)))
