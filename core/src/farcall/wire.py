"""Requests, responses and files as plain values: what goes over the wire, whoever carries it."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import quote, urlencode, urlsplit

from pydantic_core import from_json

from farcall import errors

UNKNOWN_TYPE: Final = "application/octet-stream"
LONGEST_TYPE: Final = 512
"""Characters of a content type with its parameters: it comes from elsewhere and is remembered."""
_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}", re.ASCII)  # RFC 6838, 4.2


@runtime_checkable
class Body(Protocol):
    """Bytes that are read when wanted, so that nothing is held in memory.

    `length` is in bytes, None if unknown. `repeatable` says whether `chunks()` may be called again and then
    gives the same bytes; a body that is not repeatable is sent once and never retried.
    """

    @property
    def length(self) -> int | None:
        """Size in bytes; None if unknown."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether `chunks` may be called again."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """A fresh iterator over the bytes, from the first one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileValue:
    """A file on its way: where its bytes are, and what they are.

    Args:
        name: Base name, no folders: `photo.png`.
        media_type: `image/png`; `application/octet-stream` if unknown, or if what was said is no media type: it came
            from elsewhere, and goes into a header.
        body: The bytes; None when only a link is known.
        url: Where the bytes can be fetched; None when they are in `body`.
        size: Bytes; None if unknown.
    """

    name: str
    media_type: str = UNKNOWN_TYPE
    body: Body | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    size: int | None = None

    def __post_init__(self) -> None:
        if not is_media_type(self.media_type):
            object.__setattr__(self, "media_type", UNKNOWN_TYPE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePolicy:
    """How a host takes a file: inline, and up to which size; above it the file goes to a storage as a link.

    Args:
        inline: `part` sends it as a multipart part; `data_uri` as a `data:` text, whose base64 the provider writes into
            the body as it is: of a large file it stands for what is streamed there. Both are streamed.
        max_inline_bytes: The largest file sent inline; None for no limit.
        links: Whether the host fetches a public http(s) address itself; else we fetch it and send the bytes.
        storable: Whether a storage's address may stand in the file's place; False: it goes inline, whatever its size.
    """

    inline: str = "part"
    max_inline_bytes: int | None = None
    links: bool = False
    storable: bool = True


def is_media_type(text: Any) -> bool:
    """Whether it may stand in a content type header and is not endless: `image/png`, `text/plain; charset=utf-8`."""
    return isinstance(text, str) and len(text) <= LONGEST_TYPE and _is_media_type(text)


@lru_cache(maxsize=256)
def _is_media_type(text: str) -> bool:
    return _MEDIA_TYPE.fullmatch(text.partition(";")[0].strip()) is not None and text.isascii() and text.isprintable()


def base_name(name: str, fallback: str = "file") -> str:
    """A remote file name without folders, control characters or surprises; at most 200 bytes of UTF-8.

    >>> base_name("../../etc/passwd")
    'passwd'
    """
    plain = "".join(c for c in os.path.basename(name.replace("\\", "/")) if c.isprintable()).strip()
    if plain in {"", ".", ".."}:
        return fallback
    if len(plain.encode()) <= 200:
        return plain
    stem, dot, suffix = plain.rpartition(".")
    return f"{_cut(stem, 160)}.{_cut(suffix, 39)}" if dot else _cut(plain, 200)


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode("utf-8", "ignore")


class Headers(Mapping[str, str]):
    """A response's headers; names compare without case, a repeated one is joined with a comma."""

    __slots__ = ("_items", "_pairs")

    def __init__(self, pairs: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> None:
        self._pairs = pairs
        self._items: dict[str, str] | None = None

    def _table(self) -> dict[str, str]:
        if self._items is None:
            items: dict[str, str] = {}
            pairs = self._pairs.items() if isinstance(self._pairs, Mapping) else self._pairs
            for name, value in pairs:
                key = name.lower()
                items[key] = f"{items[key]}, {value}" if key in items else value
            self._items = items
        return self._items

    def __getitem__(self, name: str) -> str:
        return self._table()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request.

    Args:
        method: In capitals.
        url: Absolute, already encoded; it is sent as it is.
        headers: Sent as they are; credentials are added later, by the step `auth`.
        body: Bytes, or a `Body` that is streamed.
        repeatable: Whether a second delivery does no harm: a read, a cancel.
        fresh: Ask for a new connection, since the host may have dropped the old one.
        silence_s: Longest wait without a byte, in seconds; None for the engine's own (60 s).
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | Body = field(default=b"", repr=False)
    repeatable: bool = False
    fresh: bool = False
    silence_s: float | None = None

    def __repr__(self) -> str:
        return f"Request({self.method} {without_query(self.url)})"

    def bare(self) -> Request:
        """The request without headers, body and query: safe to keep in an error or a log."""
        return Request(method=self.method, url=without_query(self.url))

    def with_headers(self, extra: Mapping[str, str]) -> Request:
        """The request with more headers; on a clash `extra` wins."""
        lowered = {name.lower() for name in extra}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in lowered}
        return replace(self, headers={**kept, **extra})


class Reading(Protocol):
    """A reply's body while it still comes in over its connection."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they arrive; decoded if they were compressed."""
        ...

    async def read(self, limit: int) -> bytes:
        """All bytes; raises `ProtocolError` once there are more than `limit`."""
        ...

    def drop(self) -> None:
        """Give the connection up: nothing more is read from it and it is not used again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP reply.

    Args:
        status: 200, 404, …
        headers: Names compare without case.
        content: The whole body, where the engine has read it (JSON and text); else empty.
        body: The body while it still comes in, where the engine has not read it; else None.
        url: What was asked.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)
    body: Reading | None = field(default=None, repr=False)
    url: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty if the reply has none."""
        return _media_type(self.headers.get("content-type", "")[:LONGEST_TYPE])

    @property
    def text(self) -> str:
        """The content as text; bytes that are not UTF-8 are replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The content as JSON.

        Raises:
            ProtocolError: It is not JSON; the sentence quotes its beginning.
        """
        try:
            return from_json(self.content)
        except ValueError as error:
            start = self.content[:480].decode("utf-8", "replace").strip()[:120]
            sent = f"{len(self.content):,} bytes that are not: {start!r} ({error})" if start else "nothing"
            place = f" at {without_query(self.url)}" if self.url else ""
            raise errors.ProtocolError(
                f"The service promised JSON{place} and sent {sent}.",
                response=self,
            ) from error

    def arrived(self, content: bytes) -> Response:
        """The same reply, its body in memory now; for who has read it, before anybody else is shown it."""
        object.__setattr__(self, "content", content)
        object.__setattr__(self, "body", None)
        return self

    def drop(self) -> None:
        """Give up the connection of a body that is still coming in; nothing otherwise."""
        if self.body is not None:
            self.body.drop()


@lru_cache(maxsize=256)
def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One event of a stream: an SSE event, a line of NDJSON, or a piece of a raw body.

    Args:
        event: The SSE event's name; `message` where none was given.
        data: The text; a raw stream's piece is decoded as UTF-8 with replacement.
        id: The SSE id to continue after; None if none was given.
        is_json: Whether the stream's kind says that the data is JSON, as NDJSON does.
    """

    data: str
    event: str = "message"
    id: str | None = None
    is_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A host's call back to us, as it came in."""

    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A service's own description, parsed: an OpenAPI document, a `/config`.

    Args:
        content: JSON values; its text where it came from a file or an address and is no JSON.
        url: Where it was fetched, `file://…` for a path; empty if it was handed over.
    """

    content: Any = field(repr=False)
    url: str = ""


class Sender(Protocol):
    """Carries one request. A dumb pipe: no retries, redirects, cookies or waiting of its own.

    Raises `Unreachable` where no reply came; its attribute `unsent` is true when surely no byte of the request
    was written.
    """

    async def send(self, request: Request) -> Response:
        """The reply once its headers are there; its `body` is still to be read."""
        ...

    async def close(self) -> None:
        """Give up every connection. May be called twice."""
        ...


# --- addresses -------------------------------------------------------------------------------------------------


def sendable(url: str) -> str:
    """An http address with what no request line may hold percent-encoded, and all else as it is, as it was signed.

    >>> sendable("https://example.com/my photo.png?sig=a%2Fb")
    'https://example.com/my%20photo.png?sig=a%2Fb'

    Raises:
        FileError: Where it leads cannot be told: no host, a port that is none, a space or a line end among them.
    """
    scheme, _, rest = url.partition("://")
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    if not _is_netloc(netloc):
        raise errors.FileError(f"{without_query(url)[:200]!r} is no address that can be fetched.")
    return f"{scheme.lower()}://{netloc}{quote(rest[len(netloc) :], safe=_VISIBLE)}"


def _is_netloc(text: str) -> bool:
    """Whether a text is a host, perhaps with a port: as it stands, with nothing that a parser would leave out."""
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def without_query(url: str) -> str:
    """An address that may be shown: no query, no user name, no password."""
    plain = url.partition("?")[0].partition("#")[0]
    scheme, mark, rest = plain.partition("://")
    netloc, slash, path = rest.partition("/")
    return f"{scheme}{mark}{netloc.rpartition('@')[2]}{slash}{path}" if mark else plain


def origin(url: str) -> str:
    """Scheme, host and port, in one spelling: `https://gpu.lan:8000`, `https://example.com`.

    >>> origin("HTTPS://Example.com:443/a?b")
    'https://example.com'

    Raises:
        UsageError: It is no address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise errors.UsageError(f"{without_query(url)!r} is no address: {error}.") from None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(scheme)
    return f"{scheme}://{host}" if port in (None, usual) else f"{scheme}://{host}:{port}"


def join(base: str, path: str, query: Mapping[str, Any] | Sequence[tuple[str, Any]] = ()) -> str:
    """A path under a service's base address, with a query.

    >>> join("http://h:1/api", "/status", {"job_id": "a b"})
    'http://h:1/api/status?job_id=a+b'
    """
    url = base.rstrip("/") + "/" + path.lstrip("/")
    return f"{url}?{urlencode(query, doseq=True)}" if query else url


def fill(template: str, values: Mapping[str, Any]) -> str:
    """A path template with its `{names}` filled in, each value encoded as one segment."""
    for name, value in values.items():
        template = template.replace("{" + name + "}", quote(str(value), safe=""))
    return template


# --- bodies a provider writes ------------------------------------------------------------------------------------
