"""A connected service, asynchronously."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from farcall.arguments import Checker
from farcall.binding import Binding
from farcall.endpoint import AsyncEndpoint
from farcall.engine import Engine
from farcall.errors import UnknownEndpoint, UsageError
from farcall.hints import did_you_mean
from farcall.job import AsyncJob
from farcall.jobs import JobRef
from farcall.options import own_options
from farcall.spec import EndpointSpec, Problem, normalised
from farcall.tracking import CallOptions


class AsyncService:
    """A connected service; its endpoints are attributes. An async context manager."""

    def __init__(self, engine: Engine, endpoints: Iterable[EndpointSpec], problems: Sequence[Problem] = ()) -> None:
        self._engine = engine
        self._endpoints: Mapping[str, AsyncEndpoint] = MappingProxyType(
            {
                spec.name: AsyncEndpoint(engine, spec, Checker(spec), CallOptions(own=own_options(engine, {})))
                for spec in endpoints
            }
        )
        self._problems = tuple(problems)

    @property
    def endpoints(self) -> Mapping[str, AsyncEndpoint]:
        """Name to endpoint, in the service's order."""
        return self._endpoints

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was left out of the service's description, and why."""
        return self._problems

    @property
    def binding(self) -> Binding:
        """Provider, options and endpoints this service was connected with."""
        return self._engine.binding

    def __getattr__(self, name: str) -> AsyncEndpoint:
        if name in {"_engine", "_endpoints", "_problems"} or name.startswith("__"):
            raise AttributeError(name)
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise unknown(name, self._endpoints)
        return endpoint

    def __getitem__(self, path: str) -> AsyncEndpoint:
        endpoint: AsyncEndpoint = find(path, self._endpoints)
        return endpoint

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._endpoints})

    def attach(self, ref: str) -> AsyncJob:
        """Take a job up again by what its `ref()` wrote, also in another process; sends nothing itself.

        Raises:
            UsageError: The reference is another service's, or none.
        """
        loaded = JobRef.load(ref)
        known = self._endpoints.get(loaded.endpoint)
        spec = EndpointSpec(path=loaded.endpoint, name=loaded.endpoint) if known is None else known.spec
        job = AsyncJob(self._engine, self._engine.attach(loaded, spec), CallOptions())
        job._follow()  # noqa: SLF001
        return job

    async def close(self) -> None:
        """Stop following and give the connections up; the host's jobs go on."""
        await self._engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        where = f"{self.binding.provider} at {self._engine.origin}"
        return f"<{type(self).__name__} {where}: {len(self._endpoints)} endpoints>"


def find(path: str, endpoints: Mapping[str, Any]) -> Any:
    """The endpoint of that name or path: exactly first, then in the host family's normalised spelling.

    Raises:
        UnknownEndpoint: There is none; close matches are named.
        UsageError: It is no text.
    """
    if not isinstance(path, str):
        raise UsageError(f"An endpoint is found by its path or name, a text; not by {path!r}.")
    if path in endpoints:
        return endpoints[path]
    for same in (lambda p: p, normalised):
        for endpoint in endpoints.values():
            if same(endpoint.spec.path) == same(path):
                return endpoint
    raise unknown(path, endpoints)


def unknown(name: str, endpoints: Mapping[str, Any]) -> UnknownEndpoint:
    """The error for a name or path the service does not have."""
    if not endpoints:
        return UnknownEndpoint(
            f"The service has no endpoint {name!r}: it has none that it describes. "
            "Say where its description is with spec=, or what it offers with endpoints=."
        )
    known = [*endpoints, *(endpoint.spec.path for endpoint in endpoints.values())]
    hint = did_you_mean(name, known)
    listed = ", ".join(list(endpoints)[:20])
    return UnknownEndpoint(f"The service has no endpoint {name!r}.{hint} It has: {listed}.")
