"""Parts of sentences about what a user wrote: which known names come close, and what is wrong with values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence to append; empty where no known name comes close.

    >>> did_you_mean("ad", ["add", "subtract"])
    " Did you mean 'add'?"
    """
    close = near(name, known)
    return f" Did you mean {close}?" if close else ""


def faults(error: ValidationError, whole: str) -> str:
    """What pydantic finds wrong, on one line and without the values: they may be secrets.

    Args:
        error: What it raised.
        whole: What a fault is called that lies in no field.
    """
    return "; ".join(_fault(fault, whole) for fault in error.errors())


def _fault(fault: ErrorDetails, whole: str) -> str:
    place, words = ".".join(map(str, fault["loc"])) or whole, fault["msg"].removeprefix("Value error, ")
    return f"{place}: {words}"


def near(name: str, known: Iterable[str]) -> str:
    """The known names that come close, as `'a' or 'b'`; empty if there is none."""
    from difflib import get_close_matches  # here, since only errors want it

    return " or ".join(map(repr, get_close_matches(name, list(known), 3, 0.5)))
