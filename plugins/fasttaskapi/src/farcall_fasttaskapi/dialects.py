"""Which dialect a service speaks: ours, APIPod's, FastTaskAPI's, or one that its first reply will tell."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from farcall.binding import Binding
from farcall.jobs import JobRef


class Dialect(StrEnum):
    """How a service wants to be spoken to."""

    FARCALL = "farcall"
    APIPOD = "apipod"
    FASTTASKAPI = "fasttaskapi"
    UNKNOWN = "unknown"


DEDICATED: Final = "dedicated"
"""APIPod's word for a server whose replies are results, not jobs."""


_BY_NAME: Final[Mapping[str, Dialect]] = {dialect.value: dialect for dialect in Dialect}


def of_binding(binding: Binding) -> Dialect:
    """What the service's description told; `UNKNOWN` if there was none or it told nothing."""
    return _BY_NAME[binding.traits.get("dialect", "unknown")]


def of_job(binding: Binding, job: JobRef) -> Dialect:
    """What the reply that made the job told, else what the description told."""
    told = job.data.get("dialect")
    return of_binding(binding) if told is None else Dialect(told)


def of_document(content: Any) -> Dialect:
    """Whose mark an OpenAPI document bears; `UNKNOWN` if it bears none.

    Source: documents of fast_task_api 1.3.3 and apipod 1.0.33, fetched 2026-11-23. Runpod's local server
    carries the same marks beside its own, and speaks neither.
    """
    info = _mapping(content, "info")
    if "runpod" in info:
        return Dialect.UNKNOWN
    for mark, dialect in _MARKS.items():
        if mark in info:
            return dialect
    has_status = "post" in _mapping(_mapping(content, "paths"), "/status")
    has_result = "JobResult" in _mapping(_mapping(content, "components"), "schemas")
    return Dialect.FASTTASKAPI if has_status and has_result else Dialect.UNKNOWN


_MARKS: Final[Mapping[str, Dialect]] = {
    "farcall": Dialect.FARCALL,
    "apipod": Dialect.APIPOD,
    "fast-task-api": Dialect.FASTTASKAPI,
}


def _mapping(value: Any, key: str) -> Mapping[str, Any]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}
