"""What a binding to Runpod takes, and what one call takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from farcall.sources import checked_address
from farcall.wire import join
from pydantic import BaseModel, ConfigDict, Field, model_validator

BASE: Final = "https://api.runpod.ai/v2"

_DAY_S: Final = 24 * 3600.0
_WEEK_S: Final = 7 * _DAY_S
_ID: Final = re.compile(r"[A-Za-z0-9_.-]+")
_SUBMITTING: Final = ("/run", "/runsync")

# Source of the bounds: Runpod's documentation of execution policies, 2026-08-20.
ExecutionTimeout = Annotated[float | None, Field(ge=5, le=_WEEK_S)]
Ttl = Annotated[float | None, Field(ge=10, le=_WEEK_S)]


class Policy(BaseModel):
    """What Runpod is told of a job beside its input: for all calls of a binding, or for one.

    Args:
        execution_timeout_s: How long the job may run, in seconds, 5 to 604800; None: the endpoint's own limit (600).
        ttl_s: After how many seconds from submission Runpod drops the job, run or not, 10 to 604800; None: 86400.
        low_priority: Whether the job waits rather than have workers started for it; None: it does not say.
        webhook: The address that Runpod posts the job's end to; None: to nobody. It is not signed.
    """

    model_config = ConfigDict(frozen=True)

    execution_timeout_s: ExecutionTimeout = None
    ttl_s: Ttl = None
    low_priority: bool | None = None
    webhook: str | None = Field(default=None, repr=False)  # it may hold a token


class Place(BaseModel):
    """Which endpoint is meant.

    Args:
        endpoint_id: The endpoint's id, as Runpod's console shows it; its whole address is taken too.
        url: The endpoint's whole address: that of an emulator, a proxy, or the local test server of Runpod's SDK.
        base_url: What comes before the id.
        worker: Whose worker runs there, if it can describe itself: it is then asked when the service is connected,
            in a job, which starts and costs a worker. None: it is not asked.
    """

    model_config = ConfigDict(frozen=True)

    endpoint_id: str = ""
    url: str = ""
    base_url: str = BASE
    worker: Literal["farcall", "apipod"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _addressed(cls, given: Any) -> Any:
        """The options with the whole address in `url`."""
        if not isinstance(given, Mapping):
            return given
        named, url = str(given.get("endpoint_id") or ""), str(given.get("url") or "")
        if bool(named) == bool(url):
            raise ValueError("name the endpoint once: endpoint_id='abc123', or its whole address with url='https://…'")
        if named and "/" not in named:
            if not _ID.fullmatch(named):
                raise ValueError(f"{named!r} is no id of an endpoint")
            url = join(str(given.get("base_url") or BASE), named)
        return {**given, "url": _plain(url or named)}


def _plain(url: str) -> str:
    """An address as it is kept: with a scheme, without what users copy along with it."""
    url = (url if "://" in url else f"http://{url}").partition("?")[0].rstrip("/")
    for ending in _SUBMITTING:
        url = url.removesuffix(ending)
    return checked_address(url)


class Options(Policy, Place):
    """What a binding takes. The place's fields come first: in `runpod:abc123` the address fills the first one."""


class CallOptions(Policy):
    """What one call takes; what it leaves out, the binding says.

    Args:
        mode: `async` submits a job and looks at it; `sync` lets Runpod hold the submission open, up to 90 seconds,
            until the job has ended: fewer requests, twice as large an input, and a result kept for one minute.
    """

    mode: Literal["async", "sync"] = "async"


def policy(options: Options, call: CallOptions | None) -> Policy:
    """What is said of one job: the call's, else the binding's."""
    own = {} if call is None else call.model_dump(include=set(Policy.model_fields), exclude_none=True)
    return Policy(**{name: own.get(name, getattr(options, name)) for name in Policy.model_fields})
