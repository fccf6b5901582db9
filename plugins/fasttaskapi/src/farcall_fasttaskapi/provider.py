"""Requests out: submit, look, cancel, stream, in each dialect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from farcall import bodies, wire
from farcall.binding import Binding
from farcall.hookspecs import Call
from farcall.jobs import JobRef
from farcall.spec import EndpointSpec, Place
from farcall.wire import FilePolicy, FileValue, Request

from farcall_fasttaskapi import dialects, encoding, facts
from farcall_fasttaskapi.dialects import Dialect
from farcall_fasttaskapi.envelope import MEDIA_TYPE

ACCEPT: Final[Mapping[str, str]] = {"accept": f"{MEDIA_TYPE}, application/json"}
ACCEPT_STREAM: Final[Mapping[str, str]] = {"accept": f"text/event-stream, {MEDIA_TYPE}"}
ACCEPT_ANY: Final[Mapping[str, str]] = {"accept": f"{MEDIA_TYPE}, application/json, */*;q=0.5"}

LONGEST_WAIT_S: Final = 60.0
"""How long one of our own servers holds a request open at most."""
SILENCE_S: Final = 60.0
PLAIN_SILENCE_S: Final = 3600.0
"""An endpoint whose reply is the result is silent while it works; jobs of these hosts may take an hour."""


def submit(binding: Binding, call: Call) -> Request:
    """The request that starts a call, or whose reply is its result.

    Raises:
        InputError: This host cannot take such a value.
    """
    dialect, endpoint = dialects.of_binding(binding), call.endpoint
    if dialect is Dialect.FARCALL and HOLDERS.isdisjoint(map(type, call.arguments.values())):
        frame = _frame(binding.options.url, endpoint, call.wait_s or 0)
        if frame is not None:
            return frame.request(call)
    sorted_ = encoding.placed(call)
    headers, body = encoding.body(call, sorted_, dialect)
    query = sorted_.query
    if dialect is Dialect.UNKNOWN and endpoint.method == "GET":
        query = [*query, *_texts(encoding.form_fields(call, sorted_.body, dialect))]
    waits = dialect is Dialect.FARCALL and endpoint.job is not False and (call.wait_s or 0) > 0
    wait_s = math.ceil(min(call.wait_s or 0, LONGEST_WAIT_S)) if waits else 0
    made = {**ACCEPT_ANY, **headers, **sorted_.headers}
    if waits:
        made["prefer"] = f"wait={wait_s}"
    if sorted_.cookies:
        made["cookie"] = "; ".join(sorted_.cookies)
    return Request(
        method=endpoint.method,
        url=wire.join(binding.options.url, wire.fill(endpoint.path, sorted_.path), query),
        headers={**made, **_key(call)},
        body=body,
        repeatable=call.idempotency_key is not None,
        silence_s=PLAIN_SILENCE_S if endpoint.job is False else SILENCE_S + wait_s,
    )


def _key(call: Call) -> Mapping[str, str]:
    """The header by which the host knows the call again."""
    key = call.idempotency_key
    if key is None:
        return {}
    return {facts.IDEMPOTENCY_HEADER: facts.DRAWN + key if key == call.token else key}


HOLDERS: Final = frozenset({FileValue, list})
"""Types of the arguments a file can be in."""


class _Frame(NamedTuple):
    """What is the same in every call of an endpoint whose arguments all go into a JSON object: most calls are such."""

    url: str
    headers: Mapping[str, str]
    silence_s: float

    def request(self, call: Call) -> Request:
        return Request(
            method="POST",
            url=self.url,
            headers={**self.headers, **_key(call)},
            body=bodies.json_body(call.arguments)[1],
            repeatable=call.idempotency_key is not None,
            silence_s=self.silence_s,
        )


@lru_cache(maxsize=1024)
def _frame(base: str, endpoint: EndpointSpec, wait_s: float) -> _Frame | None:
    """Made once for an endpoint; None if it wants its arguments otherwise."""
    plain = all(p.place in {None, Place.JSON} and p.alias is None for p in endpoint.parameters.values())
    job = endpoint.method == "POST" and endpoint.job is not False
    if not (plain and job) or "root" in endpoint.traits or "{" in endpoint.path:
        return None
    headers = {**ACCEPT_ANY, "content-type": "application/json"}
    held_s = math.ceil(min(max(wait_s, 0.0), LONGEST_WAIT_S))
    if held_s:
        headers["prefer"] = f"wait={held_s}"
    return _Frame(wire.join(base, endpoint.path), headers, SILENCE_S + held_s)


def _texts(fields: encoding.Fields) -> list[tuple[str, str]]:
    """A GET's texts once more, for the query: ours reads them there, and FastTaskAPI only in the form."""
    return [(name, value) for name, value in fields if isinstance(value, str)]


def status(binding: Binding, jobs: Sequence[JobRef], wait_s: float | None) -> Request | None:
    """The request that looks at one job, or at several of our own server's."""
    if not jobs:
        return None
    dialect = dialects.of_job(binding, jobs[0])
    if dialect is Dialect.FARCALL:
        wait_s = None if wait_s is None else min(wait_s, LONGEST_WAIT_S)
        return _look(binding, jobs[0], wait_s) if len(jobs) == 1 else _look_at_all(binding, jobs, wait_s)
    if len(jobs) > 1:
        return None
    if dialect is Dialect.APIPOD:
        return Request(method="GET", url=_route(binding, "status", jobs[0]), headers=ACCEPT, repeatable=True)
    url = _address(binding, "/status", {"job_id": jobs[0].id})
    return Request(method="POST", url=url, headers=ACCEPT, repeatable=True)


def _look(binding: Binding, job: JobRef, wait_s: float | None) -> Request:
    url, silence_s = _route(binding, "status", job), SILENCE_S + (wait_s or 0)
    if wait_s is not None:
        url += f"?wait={wait_s:g}"
        if (seen := _seen(job)) is not None:
            url += f"&seen={seen}"
    return Request(method="GET", url=url, headers=ACCEPT, repeatable=True, silence_s=silence_s)


def _look_at_all(binding: Binding, jobs: Sequence[JobRef], wait_s: float | None) -> Request:
    asked: dict[str, Any] = {"ids": [job.id for job in jobs], "seen": [_seen(job) for job in jobs]}
    headers, body = bodies.json_body(asked if wait_s is None else {**asked, "wait": wait_s})
    return Request(
        method="POST",
        url=_address(binding, "/status"),
        headers={**ACCEPT, **headers},
        body=body,
        repeatable=True,
        silence_s=SILENCE_S + (wait_s or 0),
    )


def _seen(job: JobRef) -> int | None:
    revision = job.data.get("rev", "")
    return int(revision) if revision.isascii() and revision.isdigit() else None


def cancel(binding: Binding, job: JobRef) -> Request | None:
    """The request that cancels a job; None: FastTaskAPI has no such route, though its envelopes name one."""
    if dialects.of_job(binding, job) is Dialect.FASTTASKAPI:
        return None
    return Request(method="POST", url=_route(binding, "cancel", job), headers=ACCEPT, repeatable=True)


def stream(binding: Binding, job: JobRef, after: str | None = None) -> Request | None:
    """The request that opens a job's output, our own after an event; None where there is none.

    A chat endpoint's envelope names a stream even if none was asked for, and opening it then blocks; so there
    the job must say that it streams. Source: apipod 1.0.33, run 2026-11-23.
    """
    told, dialect = job.data.get("stream"), dialects.of_job(binding, job)
    if told is not None and dialect is Dialect.FARCALL:
        resumed = {} if after is None else {"last-event-id": after}
        return Request(method="GET", url=_route(binding, "stream", job), headers={**ACCEPT_STREAM, **resumed})
    if told is None or dialect is not Dialect.APIPOD:
        return None
    if told != "now" and _takes_json(binding, job.endpoint):
        return None
    return Request(method="GET", url=_route(binding, "stream", job), headers={"accept": "text/event-stream"})


def _takes_json(binding: Binding, name: str) -> bool:
    return any(
        parameter.place is Place.JSON
        for endpoint in endpoints(binding)
        if endpoint.name == name
        for parameter in endpoint.parameters.values()
    )


def endpoints(binding: Binding) -> Sequence[EndpointSpec]:
    """The service's endpoints: the described ones, else the binding's own."""
    described = () if binding.service is None else binding.service.endpoints
    return described or binding.endpoints


def file_policy(binding: Binding, endpoint: EndpointSpec, parameter: str) -> FilePolicy:
    """How a file travels to this endpoint."""
    declared = endpoint.parameters.get(parameter)
    if declared is not None and declared.place is Place.JSON:
        return facts.IN_JSON
    return facts.FILES[dialects.of_binding(binding)]


def _route(binding: Binding, verb: str, job: JobRef) -> str:
    return _address(binding, f"/{verb}/{quote(job.id, safe='')}")


def _address(binding: Binding, path: str, query: Mapping[str, str] | None = None) -> str:
    """One of the server's own routes; it may have put them under a prefix."""
    return wire.join(binding.options.url, binding.traits.get("prefix", "") + path, query or ())
