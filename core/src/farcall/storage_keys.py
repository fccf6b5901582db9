"""Under which key a file lies in a storage: one that nobody can guess, unless the user named it."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from typing import Final
from urllib.parse import unquote

from farcall.errors import InputError, UsageError
from farcall.wire import FileValue, base_name, without_query

KEY_BYTES: Final = 900
"""Below the 1,024 that object storages take, so that a prefix fits in front."""


def guarded(secret: bytes, digest: str, value: FileValue, generation: int) -> str:
    """The key of a file whose content is known: the same for the same file, to be told by nobody without the secret.

    Args:
        secret: This machine's own.
        digest: SHA-256 of the content, in hexadecimal.
        value: The file; its name and media type are part of what makes it the same.
        generation: How often a file of this kind was cleaned up before, so that its key is never used again.
    """
    told = "\0".join((digest, value.name, value.media_type, str(generation)))
    return f"{hmac.digest(secret, told.encode(), hashlib.sha256).hex()[:40]}/{_readable(value.name)}"


def random(value: FileValue) -> str:
    """The key of a file whose content is not known before it is sent."""
    return f"{secrets.token_hex(20)}/{_readable(value.name)}"


def named(key: str) -> str:
    """A key that the user chose, checked.

    Raises:
        InputError: It is no text, empty, too long, or would lead out of the storage's place.
    """
    if not isinstance(key, str):
        raise InputError(f"A key is a text, like 'reports/2026/fries.pdf', not {type(key).__name__}.")
    segments = key.split("/")
    if not all(segments) or {".", ".."} & set(segments) or "\\" in key or not key.isprintable():
        raise InputError(f"{key[:80]!r} is no key; a key is like 'reports/2026/fries.pdf'.")
    if len(key.encode("utf-8", "surrogatepass")) > KEY_BYTES or not _is_text(key):
        raise InputError(f"A key has at most {KEY_BYTES} bytes of UTF-8; {key[:40]!r}… has more or is no text.")
    return key


def key_of(place: str, text: str) -> str:
    """The key that a text names: a key, or an address in this place, signed or not.

    Args:
        place: The address that begins all of the storage's addresses.
        text: The key or the address.

    Raises:
        UsageError: The address lies elsewhere.
        InputError: The key is none.
    """
    if not isinstance(text, str) or "://" not in text:
        return named(text)
    plain = text.partition("?")[0].partition("#")[0]
    if not plain.startswith(place):
        raise UsageError(f"{without_query(text)} lies outside this storage ({without_query(place)}).")
    return named(unquote(plain[len(place) :]))


def _readable(name: str) -> str:
    """A file's name with nothing that some storage, browser or shell minds."""
    plain = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", base_name(name)))
    stem, _, ending = plain.rpartition(".")
    kept = f"{stem.strip('.-') or 'file'}.{ending.strip('-')}" if stem else ending
    return kept.strip(".-") or "file"


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
