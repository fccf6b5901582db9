"""Call any hosted service like a Python function; where it is hosted is a plugin."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from farcall import errors, plugins
from farcall.binding import Binding
from farcall.blocking import Endpoint, Job, Service, as_completed, gather
from farcall.files import AsyncFile, File
from farcall.hookspecs import hookimpl
from farcall.jobs import Snapshot, State
from farcall.keys import settings
from farcall.service import AsyncEndpoint, AsyncJob, AsyncService, as_completed_async, gather_async
from farcall.spec import EndpointSpec, Parameter, ServiceSpec

if TYPE_CHECKING:
    from farcall.wire import Sender

__version__ = "0.1.0"

__all__ = [
    "AsyncEndpoint",
    "AsyncFile",
    "AsyncJob",
    "AsyncService",
    "Binding",
    "Endpoint",
    "EndpointSpec",
    "File",
    "Job",
    "Parameter",
    "Service",
    "ServiceSpec",
    "Snapshot",
    "State",
    "as_completed",
    "as_completed_async",
    "connect",
    "connect_async",
    "errors",
    "gather",
    "gather_async",
    "hookimpl",
    "plugins",
    "settings",
]


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
    from farcall import background

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
    from farcall.connecting import open_engine, wish_of

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
