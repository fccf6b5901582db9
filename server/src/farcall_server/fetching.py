"""Fetches a file by its address for somebody who must not reach this machine's network through it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import mimetypes
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from farcall import threads
from farcall.errors import FileError
from farcall.files import REDIRECTS, UNKNOWN
from farcall.wire import FileValue, base_name, without_query
from yarl import URL

from farcall_server.spool import Spool
from farcall_server.uploads import Folder, is_media_type

MOST_HOPS: Final = 5
CONNECT_S: Final = 10.0
PIECE_BYTES: Final = 256 * 1024

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[..., list[Any]]
"""As `socket.getaddrinfo`."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Fetches files over http and https from public addresses, piece by piece to the disk.

    Each connection is checked where it is made, at the address that its socket is about to connect to: no name that
    resolves anew, no redirect and no spelling of an address gets past that. No proxy, cookie or credential is used.

    Args:
        hosts: What is fetched from though it is not public: names, addresses, networks (`10.0.0.0/8`); `*` is all.
        total_s: Seconds one file may take.
        silence_s: Seconds without a byte after which it is given up.
        lookup: Finds a name's addresses; called on a thread.
    """

    hosts: frozenset[str] = frozenset()
    total_s: float = 600.0
    silence_s: float = 30.0
    lookup: Lookup = field(default=socket.getaddrinfo, repr=False)

    @classmethod
    def configured(cls, hosts: Collection[str] | None) -> Fetcher:
        """As `FastTaskAPI(fetch_hosts=…)` says; None: as `FTAPI_FETCH_HOSTS` says, separated by commas."""
        named = os.environ.get("FTAPI_FETCH_HOSTS", "").split(",") if hosts is None else hosts
        return cls(hosts=frozenset(name.strip().lower() for name in named if name.strip()))

    async def fetch(self, file: FileValue, folder: Folder, *, most_bytes: int) -> FileValue:
        """A file that lies at an address, with its bytes in memory or in the folder.

        Args:
            file: Its `url` is fetched; its name and media type stay where the reply does not know better.
            folder: Where it goes once it has more than 64 kB.
            most_bytes: The largest file taken.

        Raises:
            FileError: It could not be fetched; the sentence says why, without the address's query.
        """
        where = without_query(file.url or "")
        try:
            async with asyncio.timeout(self.total_s):
                return await self._follow(file, folder, most_bytes)
        except TimeoutError as error:
            raise FileError(f"{where} was not fetched within {self.total_s:g} s.") from error

    async def _follow(self, file: FileValue, folder: Folder, most_bytes: int) -> FileValue:
        guard = _Guard(self.hosts)
        url = file.url or ""
        async with self._session(guard) as session:
            for _ in range(MOST_HOPS + 1):
                async with _opened(session, guard, url, self.silence_s) as answer:
                    if answer.status not in REDIRECTS or "location" not in answer.headers:
                        return await _taken(answer, file, folder, most_bytes, url)
                    url = _onward(url, answer.headers["location"])
        raise FileError(f"{without_query(file.url or '')} leads on more than {MOST_HOPS} times.")

    def _session(self, guard: _Guard) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(self.lookup), use_dns_cache=False, force_close=True, socket_factory=guard.socket
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=self.silence_s),
            headers={"user-agent": "farcall-server/0.1.0", "accept-encoding": "identity"},
            read_bufsize=PIECE_BYTES,
        )


# --- addresses -------------------------------------------------------------------------------------------------------


class _RefusedError(OSError):
    """No socket is made for this address."""


class _Guard:
    """Makes the sockets of one fetch, and none to an address that is not to be reached."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self.host = ""
        self.refused = ""

    def socket(self, address: Any) -> socket.socket:
        """A socket for an address that is about to be connected to."""
        family, kind, proto, _, place = address
        if not self._allowed(str(place[0])):
            self.refused = str(place[0])
            raise _RefusedError(f"{place[0]} is no public address")
        return socket.socket(family, kind, proto)

    def _allowed(self, text: str) -> bool:
        if "*" in self._hosts or self.host in self._hosts:
            return True
        address = _meant(text)
        return _public(address) or any(_within(address, name) for name in self._hosts)


def _meant(text: str) -> Address:
    """The address that is reached in the end: the IPv4 one inside an IPv6 one that stands for it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not (isinstance(address, ipaddress.IPv6Address) and (address.is_site_local or address.teredo is not None))


def _within(address: Address, name: str) -> bool:
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:  # a name
        return False


class _Resolver(AbstractResolver):
    """Looks names up on threads of ours, each once for each connection."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await threads.look_up(self._lookup, host, port, family, socket.SOCK_STREAM)
        return [
            ResolveResult(
                hostname=host, host=str(place[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, place in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


# --- replies ---------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _opened(session: aiohttp.ClientSession, guard: _Guard, url: str, silence_s: float) -> Any:
    """The reply to a GET; what goes wrong until it has been read is a `FileError`."""
    where = without_query(url)[:200]
    try:
        plain = url.isascii() and url.isprintable() and " " not in url  # a signed address stays as it is
        target = URL(url, encoded=plain)
        guard.host = (target.host or "").rstrip(".").lower()  # by the parser that tells where it is connected to
        async with session.get(target, allow_redirects=False) as answer:
            yield answer
    except aiohttp.ConnectionTimeoutError as error:
        raise FileError(f"{where} took no connection within {CONNECT_S:g} s.") from error
    except TimeoutError as error:
        raise FileError(f"{where} sent nothing for {silence_s:g} s.") from error
    except aiohttp.ClientConnectorError as error:
        if guard.refused:
            raise FileError(_refusal(where, guard)) from None
        raise FileError(f"{where} cannot be reached: {_reason(error)}.") from error
    except aiohttp.ClientPayloadError as error:
        raise FileError(f"{where} broke off before the file was whole.") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise FileError(f"{where} gave no reply that can be read ({type(error).__name__}).") from error
    except OSError as error:
        raise FileError(f"{where} could not be fetched: {error.strerror or error}.") from error


def _refusal(where: str, guard: _Guard) -> str:
    return (
        f"{where} leads to {guard.refused}, which is no public address and is not fetched from. If it is meant to be, "
        f"name it: FastTaskAPI(fetch_hosts=[{guard.host!r}]) or FTAPI_FETCH_HOSTS."
    )


def _reason(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name does not resolve"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its certificate is not trusted, or it speaks no TLS"
    number = error.os_error.errno
    return os.strerror(number).lower() if number else "the connection failed"


def _onward(url: str, place: str) -> str:
    try:
        onward = urljoin(url, place)
        scheme = urlsplit(onward).scheme
    except ValueError:
        onward, scheme = "", ""
    if scheme not in {"http", "https"}:
        raise FileError(f"{without_query(url)} leads to {without_query(place)[:80]!r}, which is not fetched.")
    return onward


async def _taken(
    answer: aiohttp.ClientResponse, file: FileValue, folder: Folder, most_bytes: int, url: str
) -> FileValue:
    """The file that a reply holds."""
    where = without_query(url)[:200]
    if answer.status != 200:
        raise FileError(f"{where} answered {answer.status} instead of the file.")
    if (answer.content_length or 0) > most_bytes:
        raise FileError(_too_large(where, most_bytes))
    spool = Spool(folder)
    try:
        await spool.fill(_counted(answer, where, most_bytes))
        body = spool.end()
    except BaseException:
        spool.drop()
        raise
    name, media_type = _name(answer, file), answer.content_type
    if media_type == UNKNOWN or not is_media_type(media_type):
        media_type = file.media_type if file.media_type != UNKNOWN else mimetypes.guess_type(name)[0] or UNKNOWN
    return replace(file, name=name, media_type=media_type, body=body, url=None, size=spool.size)


async def _counted(answer: aiohttp.ClientResponse, where: str, most_bytes: int) -> Any:
    left = most_bytes
    async for piece in answer.content.iter_any():
        left -= len(piece)
        if left < 0:
            raise FileError(_too_large(where, most_bytes))
        yield piece


def _too_large(where: str, most_bytes: int) -> str:
    return f"{where} is larger than the {most_bytes} bytes taken here."


def _name(answer: aiohttp.ClientResponse, file: FileValue) -> str:
    """The file's own name; the reply's where its own has no ending that tells what it is."""
    said = answer.content_disposition and answer.content_disposition.filename
    return base_name(said) if said and "." not in file.name else file.name
