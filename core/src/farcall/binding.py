"""Everything needed to reach one service: a provider's name, its options, and the endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from farcall.errors import ConfigError
from farcall.hints import faults
from farcall.spec import EndpointSpec, ServiceSpec


@dataclass(frozen=True, slots=True, init=False)
class Binding:
    """A service, named: who hosts it, where, and what it offers.

    >>> Binding(provider="echo", url="http://127.0.0.1:8000").provider
    'echo'

    Args:
        provider: An installed provider's name.
        endpoints: What the service offers; empty: it is asked.
        spec: Where its description is (an address, a path, or the parsed document; of an address without a path, its
            `/openapi.json`); None: the service is asked.
        storage: What takes large files: a name of farcall.toml, an address (`s3://bucket`), or an open storage; None:
            nothing does.
        upload_threshold_bytes: Files above it go to the storage, and streams of unknown length; None: only what is
            above the host's own limit.
        file_params: Name to `File`, a media type (`ImageFile`) or its name: what the parameters of that name are, in
            every endpoint that has one.
        busy_patience_s: How long a submission that the service refuses as too much is tried again, in seconds, where
            the call has no `timeout_s`; 0: never.
        options: The provider's own options: `url`, `endpoint_id`, …

    Attributes:
        options: Before connecting, the mapping as given; in a provider's hooks, its own options model, checked.
        service: What the service's description said; None before it was read.
    """

    provider: str
    endpoints: tuple[EndpointSpec, ...]
    spec: Any
    storage: Any
    upload_threshold_bytes: int | None
    file_params: Mapping[str, Any]
    busy_patience_s: float
    options: Any
    service: ServiceSpec | None

    def __init__(  # noqa: PLR0913 - each is a setting of a service
        self,
        *,
        provider: str,
        endpoints: Iterable[EndpointSpec | Mapping[str, Any]] = (),
        spec: Any = None,
        storage: Any = None,
        upload_threshold_bytes: int | None = None,
        file_params: Mapping[str, Any] = MappingProxyType({}),
        busy_patience_s: float = 60.0,
        **options: Any,
    ) -> None:
        specs = tuple(e if isinstance(e, EndpointSpec) else _endpoint(e) for e in endpoints)
        values = {
            "provider": provider,
            "endpoints": specs,
            "spec": spec,
            "storage": storage,
            "upload_threshold_bytes": upload_threshold_bytes,
            "file_params": MappingProxyType(dict(file_params)),
            "busy_patience_s": busy_patience_s,
            "options": MappingProxyType(options),
            "service": None,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def described(self, *, options: Any = None, service: ServiceSpec | None = None) -> Binding:
        """The binding with checked options, and with the service's description once it is known."""
        made = object.__new__(Binding)
        for name in self.__slots__:
            object.__setattr__(made, name, getattr(self, name))
        if options is not None:
            object.__setattr__(made, "options", options)
        if service is not None:
            object.__setattr__(made, "service", service)
        return made

    def changed(self, changes: Mapping[str, Any]) -> Binding:
        """The binding as configured, with some of it said anew."""
        own = {name: getattr(self, name) for name in self.__slots__ if name not in {"options", "service"}}
        return Binding(**{**own, **self.options, **changes})

    @property
    def traits(self) -> Mapping[str, str]:
        """What the provider learned of the service from its description; empty before that."""
        return MappingProxyType({}) if self.service is None else self.service.traits

    def __repr__(self) -> str:
        return f"Binding(provider={self.provider!r}, endpoints={len(self.endpoints)})"


def _endpoint(written: Mapping[str, Any]) -> EndpointSpec:
    if not isinstance(written, Mapping):
        raise ConfigError(f"endpoints is a list of EndpointSpec, or of mappings that say the same; not {written!r}.")
    try:
        return EndpointSpec.model_validate(dict(written))
    except ValidationError as error:
        said = faults(error, "endpoint")
        raise ConfigError(f"The endpoint {written.get('path', written)!r} is wrong: {said}.") from error
