"""The digest that a reply promises of its content, and whether the bytes that came keep it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from farcall.errors import FileError

HEADERS: Final = ("repr-digest", "content-digest", "digest", "content-md5")
"""RFC 9530's two, RFC 3230's, RFC 1864's; the first two name algorithms as `sha-256=:…:`, the third as `SHA-256=…`."""

ALGORITHMS: Final[Mapping[str, str]] = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5"}
"""On the wire and in hashlib; the strongest that costs least first."""

_ENTRY: Final = re.compile(r"(?:^|,)\s*([a-z0-9-]+)=:?([a-z0-9+/]+=*):?\s*(?=$|[,;])", re.IGNORECASE)


class Promise:
    """A digest that was promised, and the one of the bytes so far.

    >>> promise = promised({"content-md5": "XUFAKrxLKna5cZ2REBfFkg=="})
    >>> promise.update(b"hello")
    >>> promise.kept
    True
    """

    def __init__(self, algorithm: str, expected: bytes) -> None:
        self.algorithm = algorithm
        self._expected = expected
        self._hash = hashlib.new(ALGORITHMS[algorithm], usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Take further bytes in."""
        self._hash.update(chunk)

    @property
    def kept(self) -> bool:
        """Whether the bytes so far are what was promised."""
        return self._hash.digest() == self._expected

    def check(self, name: str) -> None:
        """Raise `FileError` if all of a file's bytes are not what was promised."""
        if not self.kept:
            raise FileError(
                f"{name!r} is not what its host promised: its {self.algorithm} digest differs. Fetch it again."
            )


def promised(headers: Mapping[str, str]) -> Promise | None:
    """The digest a whole reply's headers promise; None if they promise none that we can tell.

    Args:
        headers: Of a reply that is the whole file, not a part of it.
    """
    if headers.get("content-encoding", "identity") != "identity":
        return None  # it is of the compressed bytes, which nobody keeps
    entries = dict(_entries(headers))
    for algorithm in ALGORITHMS:
        if algorithm in entries:
            return Promise(algorithm, entries[algorithm])
    return None


def _entries(headers: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for name in HEADERS:
        said = headers.get(name, "")
        if said and name == "content-md5":
            said = f"md5={said}"
        for algorithm, text in _ENTRY.findall(said):
            try:
                yield algorithm.lower(), base64.b64decode(text, validate=True)
            except binascii.Error:
                continue  # no digest that anybody could check
