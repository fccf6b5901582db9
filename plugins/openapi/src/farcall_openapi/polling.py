"""How a service's jobs are looked at: said by the binding, or recognised in its document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from farcall.binding import Binding
from farcall.jobs import State
from farcall.spec import EndpointSpec, last_segment, python_name
from farcall.wire import join
from pydantic import BaseModel, ConfigDict, Field, field_validator

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Polling(BaseModel):
    """A job API in words. A field is a name in a reply's JSON, `data.job.id` one inside others; a path holds `{id}`.

    Args:
        status_path: What is asked for a job, `/jobs/{id}`.
        status_method: With which method, one that may be repeated.
        id_field: Where the submitting reply has the job's id; one without is a result.
        state_field: Where a look has the state's word.
        states: What this service's own words mean, `{"cooking": "running"}`; the common ones are known.
        result_field: Where the last look has the result; None: in `result` or `output`, else all of it.
        result_path: What is asked (GET) for the result of a job that succeeded; None: the look has it.
        error_field: Where a failed look says why; None: wherever error replies usually do.
        progress_field: Where a look has the progress; None: it has none.
        progress_max: The number there that means all of it, `100` for per cent.
        cancel_path: What is asked to cancel; None: it cannot be.
        cancel_method: With which method.
        endpoints: The endpoints that make jobs; empty: every one that is no GET.
        accepted_only: Whether only a 202 names a job, and a reply of another status is the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    status_path: str
    status_method: str = "GET"
    id_field: str = "id"
    state_field: str = "status"
    states: Mapping[str, State] = Field(default_factory=dict)
    result_field: str | None = None
    result_path: str | None = None
    error_field: str | None = None
    progress_field: str | None = None
    progress_max: float = Field(default=1.0, gt=0)
    cancel_path: str | None = None
    cancel_method: str = "POST"
    endpoints: tuple[str, ...] = ()
    accepted_only: bool = False

    @field_validator("status_method", "cancel_method")
    @classmethod
    def _method(cls, name: str) -> str:
        if not name.isalpha():
            raise ValueError(f"{name!r} is no HTTP method")
        return name.upper()

    @field_validator("status_path", "result_path", "cancel_path")
    @classmethod
    def _with_id(cls, path: str | None) -> str | None:
        if path is not None and ("{id}" not in path or "://" in path):
            raise ValueError(f"{path!r} is no path below the service's address with {{id}} in it")
        return path


def polling(binding: Binding, endpoint: EndpointSpec | None) -> Polling | None:
    """How an endpoint's jobs are looked at; None if only its reply's headers can tell."""
    if endpoint is None:
        return None
    said: Polling | None = binding.options.job
    if said is not None and (endpoint.name in said.endpoints if said.endpoints else endpoint.method not in _READS):
        return said
    written = endpoint.traits.get("job")
    return _loaded(written) if written else None


@lru_cache(maxsize=256)
def _loaded(written: str) -> Polling:
    return Polling.model_validate_json(written)


def filled(base: str, path: str, job_id: str) -> str:
    """A path's address for one job."""
    return join(base, path.replace("{id}", quote(job_id, safe="")))


def inside(body: Any, field: str) -> Any:
    """What a reply has in a field; None if it is not there.

    >>> inside({"data": {"id": 7}}, "data.id")
    7
    """
    if isinstance(body, Mapping) and field in body:  # a name that has a dot itself
        return body[field]
    for name in field.split("."):
        if not isinstance(body, Mapping) or name not in body:
            return None
        body = body[name]
    return body


# --- in the document ----------------------------------------------------------------------------------------------


def recognised(endpoints: Iterable[EndpointSpec]) -> tuple[EndpointSpec, ...]:
    """The endpoints, those that submit a job marked with how it is looked at."""
    listed = tuple(endpoints)
    by_route = {(each.method, each.path): each for each in listed}
    return tuple(_marked(each, by_route) for each in listed)


def _marked(endpoint: EndpointSpec, by_route: Mapping[tuple[str, str], EndpointSpec]) -> EndpointSpec:
    task = _task(endpoint, by_route) if endpoint.method == "POST" else None
    if task is not None:
        name = python_name(last_segment(endpoint.path.removesuffix("/submit")))
        return endpoint.model_copy(update={"name": name, "job": True, "traits": _with(endpoint, task)})
    if "async" not in endpoint.traits:
        return endpoint
    sibling = next(_siblings(endpoint.path, by_route), None) if endpoint.method == "POST" else None
    found = {"traits": _with(endpoint, Polling(status_path=sibling, accepted_only=True))} if sibling else {}
    return endpoint.model_copy(update={"job": None, **found})


def _with(endpoint: EndpointSpec, plan: Polling) -> dict[str, str]:
    return {**endpoint.traits, "job": plan.model_dump_json(exclude_unset=True)}


def _task(endpoint: EndpointSpec, by_route: Mapping[tuple[str, str], EndpointSpec]) -> Polling | None:
    """BentoML's task routes (documentation of 1.4, "Async task queues"): submit, status, get and cancel by one id."""
    stem, slash, last = endpoint.path.rpartition("/")
    status, result = by_route.get(("GET", f"{stem}/status")), by_route.get(("GET", f"{stem}/get"))
    if not slash or last != "submit" or "{" in stem or status is None or result is None:
        return None
    name = next((each.alias or n for n, each in status.parameters.items() if each.required), "task_id")
    query = f"?{quote(name)}={{id}}"
    cancel = next((m for m in ("PUT", "POST", "DELETE") if (m, f"{stem}/cancel") in by_route), None)
    return Polling(
        status_path=f"{stem}/status{query}",
        result_path=f"{stem}/get{query}",
        id_field=name,
        **({"cancel_path": f"{stem}/cancel{query}", "cancel_method": cancel} if cancel else {}),
    )


def _siblings(path: str, by_route: Mapping[tuple[str, str], EndpointSpec]) -> Iterator[str]:
    """`/jobs/{id}` beside `/jobs`, whatever its parameter is called."""
    for method, other in by_route:
        stem, _, last = other.rpartition("/")
        if method == "GET" and stem == path and last.startswith("{") and last.endswith("}") and "{" not in stem:
            yield f"{stem}/{{id}}"
