"""Call any hosted service like a Python function; where it is hosted is a plugin."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farcall import errors, plugins
    from farcall.binding import Binding
    from farcall.blocking import Endpoint, Job, Service, as_completed, gather
    from farcall.endpoint import AsyncEndpoint
    from farcall.files import File
    from farcall.files_async import AsyncFile
    from farcall.gathering import as_completed_async, gather_async
    from farcall.hookspecs import hookimpl
    from farcall.job import AsyncJob
    from farcall.jobs import Snapshot, State
    from farcall.keys import settings
    from farcall.opening import connect, connect_async
    from farcall.service import AsyncService
    from farcall.spec import EndpointSpec, Parameter, ServiceSpec
    from farcall.storage import AsyncStorage
    from farcall.storage_blocking import Storage
    from farcall.storage_opening import open_storage, open_storage_async

__version__ = "0.1.0"

__all__ = [
    "AsyncEndpoint",
    "AsyncFile",
    "AsyncJob",
    "AsyncService",
    "AsyncStorage",
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
    "Storage",
    "as_completed",
    "as_completed_async",
    "connect",
    "connect_async",
    "errors",
    "gather",
    "gather_async",
    "hookimpl",
    "open_storage",
    "open_storage_async",
    "plugins",
    "settings",
]

_HOMES = {
    "AsyncEndpoint": "endpoint",
    "AsyncFile": "files_async",
    "AsyncJob": "job",
    "AsyncService": "service",
    "AsyncStorage": "storage",
    "Binding": "binding",
    "Endpoint": "blocking",
    "EndpointSpec": "spec",
    "File": "files",
    "Job": "blocking",
    "Parameter": "spec",
    "Service": "blocking",
    "ServiceSpec": "spec",
    "Snapshot": "jobs",
    "State": "jobs",
    "Storage": "storage_blocking",
    "as_completed": "blocking",
    "as_completed_async": "gathering",
    "connect": "opening",
    "connect_async": "opening",
    "gather": "blocking",
    "gather_async": "gathering",
    "hookimpl": "hookspecs",
    "open_storage": "storage_opening",
    "open_storage_async": "storage_opening",
    "settings": "keys",
}


def __getattr__(name: str) -> Any:
    """A public name, its module imported at first use, so that `import farcall` costs next to nothing."""
    if name in _HOMES:
        value = getattr(import_module(f"farcall.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in __all__:
        return import_module(f"farcall.{name}")
    raise AttributeError(f"module 'farcall' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
