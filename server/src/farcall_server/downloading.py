"""One download, over connections of its own that reach no address they must not."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import socket
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from farcall import signed, threads
from farcall.errors import FileError
from farcall.fetching import REDIRECTS
from farcall.wire import UNKNOWN_TYPE, FileValue, base_name, is_media_type, sendable, without_query
from yarl import URL

from farcall_server.addresses import is_public, is_within, meant
from farcall_server.spool import Spool
from farcall_server.uploads import Folder

if TYPE_CHECKING:
    from farcall_server.fetching import Fetcher, Lookup, Room

MOST_HOPS: Final = 5
CONNECT_S: Final = 10.0
PIECE_BYTES: Final = 256 * 1024


async def download(fetcher: Fetcher, file: FileValue, folder: Folder, room: Room) -> FileValue:
    """The file at `file.url`, as `Fetcher.fetch` says; the time in all is not looked at here."""
    guard = _Guard(fetcher.hosts)
    url = file.url or ""
    async with _session(fetcher, guard) as session:
        for _ in range(MOST_HOPS + 1):
            async with _opened(session, guard, url, fetcher.silence_s) as answer:
                if answer.status not in REDIRECTS or "location" not in answer.headers:
                    return await _taken(answer, file, folder, room, url)
                url = _onward(url, answer.headers["location"])
    raise FileError(f"{without_query(file.url or '')} leads on more than {MOST_HOPS} times.")


def _session(fetcher: Fetcher, guard: _Guard) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        resolver=_Resolver(fetcher.lookup), use_dns_cache=False, force_close=True, socket_factory=guard.socket
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=fetcher.silence_s),
        headers={"user-agent": "farcall-server/0.1.0", "accept-encoding": "identity"},
        read_bufsize=PIECE_BYTES,
    )


# --- connections -----------------------------------------------------------------------------------------------------


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
        address = meant(text)
        return is_public(address) or any(is_within(address, name) for name in self._hosts)


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
        ready = sendable(url)
        target = URL(ready, encoded=ready.isascii())  # a signed address stays as it is
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
    except aiohttp.InvalidURL as error:
        raise FileError(f"{where} is no address that can be fetched.") from error
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


async def _taken(answer: aiohttp.ClientResponse, file: FileValue, folder: Folder, room: Room, url: str) -> FileValue:
    """The file that a reply holds."""
    where = without_query(url)[:200]
    if answer.status != 200:
        why = signed.has_ended(url, datetime.now(UTC)) if 400 <= answer.status < 500 else ""
        raise FileError(f"{where} answered {answer.status} instead of the file.{why}")
    if (answer.content_length or 0) > room.left:
        raise FileError(_too_large(where, room))
    spool = Spool(folder)
    try:
        await spool.fill(_counted(answer, where, room))
        body = spool.end()
    except BaseException:
        spool.drop()
        raise
    name, media_type = _name(answer, file), answer.content_type
    if media_type == UNKNOWN_TYPE or not is_media_type(media_type):
        media_type = (
            file.media_type if file.media_type != UNKNOWN_TYPE else mimetypes.guess_type(name)[0] or UNKNOWN_TYPE
        )
    return replace(file, name=name, media_type=media_type, body=body, url=None, size=spool.size)


async def _counted(answer: aiohttp.ClientResponse, where: str, room: Room) -> Any:
    async for piece in answer.content.iter_any():
        if not room.take(len(piece)):
            raise FileError(_too_large(where, room))
        yield piece


def _too_large(where: str, room: Room) -> str:
    return f"{where} is larger than what is taken here: {room.most_bytes} bytes for all files of a call together."


def _name(answer: aiohttp.ClientResponse, file: FileValue) -> str:
    """The file's own name; the reply's where its own has no ending that tells what it is."""
    said = answer.content_disposition and answer.content_disposition.filename
    return base_name(said) if said and "." not in file.name else file.name
