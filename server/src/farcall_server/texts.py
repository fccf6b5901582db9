"""Texts that user code makes, as they can be sent."""

from __future__ import annotations


def sendable(text: str) -> str:
    r"""The text with `?` for what is no Unicode: half of a surrogate pair, as a broken file name may hold.

    >>> sendable("half \ud800")
    'half ?'
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
