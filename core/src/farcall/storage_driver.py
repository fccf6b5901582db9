"""What a storage plugin gives: small blocking steps on files in one place. All else is built on them, once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from farcall import storage_keys
from farcall.errors import ConfigError, UsageError
from farcall.wire import UNKNOWN_TYPE

M = TypeVar("M", bound=BaseModel)

PIECE_BYTES: Final = 256 * 1024
"""How much of a file to hand over at a time: what several threads hold at once stays in the processor's cache."""


class UploadLost(Exception):
    """The storage no longer knows an upload in parts, or a part of it; it begins anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLimits:
    """What a storage can take.

    Args:
        parts: The most parts one file may come in.
        link_s: The longest time a signed address can last, in seconds; None: no end.
        cannot_sign: Why no address to fetch a file can be signed with the credential there is, and what would do;
            empty: it can. Nothing is stored then that nobody could fetch.
    """

    parts: int = 10_000
    link_s: float | None = None
    cannot_sign: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file as it lies in a storage.

    Args:
        key: Its name there, below the storage's own prefix: `3f…/photo.png`.
        size: Bytes.
        media_type: `image/png`; `application/octet-stream` where the storage does not say.
        etag: What changes whenever its content does; empty where the storage has no such thing.
        modified: When it was stored (UTC); None where the storage does not say.
    """

    key: str
    size: int
    media_type: str = UNKNOWN_TYPE
    etag: str = ""
    modified: datetime | None = None


class StorageDriver(Protocol):
    """A place that keeps files, in small blocking steps; several threads call them at once.

    Keys are relative to the place and already checked: no `..`, no control characters, `/` between segments. Every
    step raises farcall's own errors: `Unreachable`, `AuthRefused`, `Refused`, `ServerFault`, `Busy`, `FileError`, with
    a sentence that says what to do and holds no secret. What can be repeated, the driver repeats itself. To inherit
    from this class brings the steps that have a body here.
    """

    @property
    def limits(self) -> StorageLimits:
        """What the storage can take."""
        return StorageLimits()

    def address(self, key: str) -> str:
        """The plain address of a key, encoded and without signature; that of `""` begins every other."""
        raise NotImplementedError

    def put(self, key: str, content: bytes, media_type: str) -> None:
        """Store a small file at once; nobody ever sees half of it. Without one of its own: as a single part."""
        upload = self.begin(key, media_type)
        self.finish(key, upload, [self.put_part(key, upload, 1, content)], media_type)

    def begin(self, key: str, media_type: str) -> str:
        """Begin an upload in parts, of which nothing is seen before `finish`; returns its id."""
        raise NotImplementedError

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        """Store part `number`, from 1; once more does no harm. Returns the receipt that `finish` wants.

        Raises:
            UploadLost: The storage does not know this upload.
        """
        raise NotImplementedError

    def finish(self, key: str, upload: str, receipts: Sequence[str], media_type: str) -> None:
        """Make the parts, in order, one file that is seen.

        Raises:
            UploadLost: The storage does not know this upload, or misses a part.
        """
        raise NotImplementedError

    def abort(self, key: str, upload: str) -> None:
        """Give up an upload and what it has stored; an unknown one is no error."""
        raise NotImplementedError

    def head(self, key: str) -> StoredFile | None:
        """What lies under a key; None if nothing does."""
        raise NotImplementedError

    def read(self, key: str, start: int, end: int, etag: str) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, without that at `end`, in pieces as they come; the file has so many.

        Raises:
            FileError: There is no such file, or it is no longer the one `etag` names (empty: any).
        """
        raise NotImplementedError

    def sign(self, key: str, method: str, expires_s: float) -> str:
        """An address by which anybody can `GET` or `PUT` the file, for some seconds.

        Raises:
            UsageError: It cannot sign with the credential it has; the sentence says which it needs.
        """
        raise NotImplementedError

    def delete(self, key: str) -> None:
        """Delete a file; one that is not there is no error."""
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """The files whose keys begin with `prefix`."""
        raise NotImplementedError

    def renew(self) -> bool:
        """Look for a newer credential, after one was refused; returns whether there is another one now."""
        return False

    def close(self) -> None:
        """Give up connections. May be called twice."""
        return


def checked(model: type[M], options: Mapping[str, object], storage: str) -> M:
    """A storage's options as its own model.

    Args:
        model: What it takes.
        options: As the user wrote them.
        storage: The plugin's name.

    Raises:
        ConfigError: An option is unknown, missing or wrong; the sentence holds no value, since it may be a secret.
    """
    known = {name for field, info in model.model_fields.items() for name in (field, info.alias)}
    if unknown := sorted(set(options) - known):
        raise ConfigError(
            f"The storage {storage!r} has no option {', '.join(unknown)}; it takes {', '.join(model.model_fields)}."
        )
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        said = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'options'}: {fault['msg']}" for fault in faults)
    raise ConfigError(f"The options of the storage {storage!r} are wrong: {said}.")


def bare_prefix(prefix: str) -> str:
    """A prefix without slashes around it, as a storage's options keep it.

    Raises:
        ValueError: It would lead out of the storage's place, or holds what no key may.
    """
    bare = prefix.strip("/")
    return storage_keys.named(bare) if bare else bare


def split_url(url: str | None) -> tuple[str, str]:
    """The two parts of a storage's address: `s3://bucket/some/prefix` is `("bucket", "some/prefix")`."""
    if url is None:
        return "", ""
    _, mark, rest = url.partition("://")
    place, _, prefix = rest.partition("/")
    if not mark or not place or "?" in rest or "@" in place:
        raise UsageError("A storage's address is `s3://bucket/prefix`: no key, no query; those are options.")
    return place, prefix.strip("/")


def with_address(url: str | None, options: Mapping[str, object], place: str) -> dict[str, object]:
    """A storage's options with what its address says.

    Args:
        url: `s3://bucket/prefix`; None if the options say it all.
        options: As the user wrote them.
        place: Which option the first part of the address is: `bucket`.

    Raises:
        ConfigError: The address and an option say different things.
    """
    told = {name: text for name, text in zip((place, "prefix"), split_url(url), strict=True) if text}
    for name, text in told.items():
        other = options.get(name)
        if isinstance(other, str) and other.strip("/") not in {"", text}:
            raise ConfigError(f"The address says {name} {text!r} and the option says {other!r}; say it once.")
    return {**options, **told}
