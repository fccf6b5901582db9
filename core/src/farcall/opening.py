"""The first thing a user calls: connect, blocking or asynchronous."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any

from farcall import background
from farcall.blocking import Service
from farcall.connecting import open_engine
from farcall.errors import UsageError
from farcall.service import AsyncService
from farcall.sources import wish_of
from farcall.spec import EndpointSpec
from farcall.wire import Sender


def connect(
    source: Any = None,
    *,
    provider: str | None = None,
    profile: str | None = None,
    api_key: str | None = None,
    endpoints: Iterable[EndpointSpec | Mapping[str, Any]] | None = None,
    sender: Sender | None = None,
    **options: Any,
) -> Service:
    """Connect to a service.

    >>> svc = farcall.connect("http://127.0.0.1:8000")
    >>> svc.add(a=1, b=2)
    3

    Args:
        source: A configured name, an address (`http://…`, `host:port`), `provider:address`, a `Binding`, a
            description (the parsed document), or an ASGI app in this process; None where `provider` says it all.
        provider: An installed provider's name; None: it is found out.
        profile: One of a configured service's profiles; None: what `FARCALL_PROFILE` says.
        api_key: The key, for this service's origin; None: settings, then the environment.
        endpoints: What the service offers; None: it is asked.
        sender: What carries the requests; None: aiohttp.
        options: The provider's own, and those of `Binding`.

    Returns:
        The service, whose endpoints are its attributes.

    Raises:
        UsageError: It cannot be told what is meant, or an option is wrong.
        Unreachable: The service gave no reply.
        KeyMissing: It wants a key and none was found.
    """
    opening = _open(source, provider, profile, api_key, endpoints, sender, options)
    return Service(background.run(opening), background.generation)


def connect_async(
    source: Any = None,
    *,
    provider: str | None = None,
    profile: str | None = None,
    api_key: str | None = None,
    endpoints: Iterable[EndpointSpec | Mapping[str, Any]] | None = None,
    sender: Sender | None = None,
    **options: Any,
) -> Connecting:
    """Connect to a service, on the running event loop: `await` it, or use it in `async with`.

    The arguments are those of `connect`.
    """
    return Connecting(source, provider, profile, api_key, endpoints, sender, options)


class Connecting:
    """A service being connected: awaitable, and an async context manager that closes it."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments
        self._service: AsyncService | None = None

    def __await__(self) -> Generator[Any, None, AsyncService]:
        return _open(*self._arguments).__await__()

    async def __aenter__(self) -> AsyncService:
        self._service = await self
        return self._service

    async def __aexit__(self, *_: object) -> None:
        if self._service is not None:
            await self._service.close()


async def _open(  # noqa: PLR0913, PLR0917 - connect's own, handed on
    source: Any,
    provider: str | None,
    profile: str | None,
    api_key: str | None,
    endpoints: Iterable[EndpointSpec | Mapping[str, Any]] | None,
    sender: Sender | None,
    options: Mapping[str, Any],
) -> AsyncService:
    if sender is not None and (isinstance(sender, type) or not hasattr(sender, "send")):
        raise UsageError(f"sender is an object that carries requests, such as HttpxSender(), or None; not {sender!r}.")
    wish = wish_of(
        source,
        provider=provider,
        profile=profile,
        api_key=api_key,
        endpoints=endpoints,
        sender=sender,
        options=options,
    )
    engine, spec = await open_engine(wish)
    return AsyncService(engine, spec.endpoints, spec.problems)
