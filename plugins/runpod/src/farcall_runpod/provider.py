"""Requests out: submit, look, stream, cancel, and Runpod's own verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from farcall import bodies, wire
from farcall.binding import Binding
from farcall.errors import InputError
from farcall.hookspecs import Call
from farcall.jobs import JobRef
from farcall.spec import EndpointSpec
from farcall.wire import FilePolicy, Request

from farcall_runpod import facts, limits
from farcall_runpod.options import CallOptions, Policy, policy

ACCEPT: Final[Mapping[str, str]] = {"accept": "application/json"}
SILENCE_S: Final = 60.0
LOCAL_SILENCE_S: Final = SILENCE_S + facts.EXECUTION_MOST_S
_BARE: Final = "/run"
_ROOM_BYTES: Final = limits.MIB // 16
"""What of the largest body is left for all that is not the file."""


def submit(binding: Binding, call: Call) -> Request:
    """The request that starts a call, or that one of Runpod's own verbs is.

    Raises:
        InputError: The input is larger than Runpod takes, or names a parameter `path`.
    """
    verb = call.endpoint.traits.get("verb")
    if verb is not None:
        return _verb(binding, verb, call)
    own: CallOptions = call.options or CallOptions()
    said = policy(binding.options, own)
    sync_s = limits.RUNSYNC_WAIT_S if own.mode == "sync" else None
    try:
        return submission(binding, _input(binding, call), said, sync_s=sync_s)
    except _TooLarge as error:
        raise InputError(f"{call.endpoint.name}: {error}") from None


class _TooLarge(Exception):
    """A body is larger than Runpod takes."""


def submission(
    binding: Binding, given: Mapping[str, Any], said: Policy | None = None, *, sync_s: float | None = None
) -> Request:
    """The request that submits an input.

    Args:
        binding: The service.
        given: The handler's `input`.
        said: The job's policy and webhook; None: Runpod's own.
        sync_s: How long Runpod holds it open until the job has ended, in seconds; None: not at all.
    """
    headers, body = bodies.json_body({"input": given, **_policy(said or Policy())})
    kept = _most_bytes(sync=sync_s is not None)
    if len(body) > kept:
        raise _TooLarge(_too_large(len(body), kept, sync=sync_s is not None))
    local = facts.is_local(binding)  # it holds /runsync open for as long as the job runs, and takes no `wait`
    query = {} if sync_s is None or local else {"wait": round(sync_s * 1000)}
    silence_s = LOCAL_SILENCE_S if local else SILENCE_S + (sync_s or 0.0)
    return Request(
        method="POST",
        url=wire.join(binding.options.url, "run" if sync_s is None else "runsync", query),
        headers={**ACCEPT, **headers},
        body=body,
        silence_s=silence_s,
    )


def _too_large(size: int, kept: int, *, sync: bool) -> str:
    larger = "" if sync else f', and with .options(mode="sync") {limits.RUNSYNC_BYTES:,}'
    return (
        f"the input has {size:,} bytes as JSON, and Runpod takes at most {kept:,}{larger}. Let large files travel by "
        'address: configure a storage (storage="…" in the service\'s configuration), or give a file that is a link.'
    )


def _policy(said: Policy) -> dict[str, Any]:
    """The fields of a submission beside its input; Runpod counts in milliseconds."""
    fields = {
        "executionTimeout": None if said.execution_timeout_s is None else round(said.execution_timeout_s * 1000),
        "ttl": None if said.ttl_s is None else round(said.ttl_s * 1000),
        "lowPriority": said.low_priority,
    }
    rules = {name: value for name, value in fields.items() if value is not None}
    return {**({"policy": rules} if rules else {}), **({"webhook": said.webhook} if said.webhook else {})}


def _input(binding: Binding, call: Call) -> dict[str, Any]:
    """The handler's input. At `/run` it is the arguments; anywhere else the worker is told which function is meant.

    Workers of FastTaskAPI and APIPod take no parameter's own default, so each is said (fast_task_api 1.3.3, apipod
    1.0.33, run 2026-11-23). Ours does, and knows some that a description cannot hold.
    """
    endpoint = call.endpoint
    given = {_wire_name(endpoint, name): value for name, value in call.arguments.items()}
    if endpoint.path == _BARE:
        return given
    if "path" in given:
        raise InputError(
            f"{endpoint.name}: over Runpod `path` says which function is meant; give the parameter another name."
        )
    described = {} if binding.traits.get("dialect") == "farcall" else _defaults(endpoint)
    return {"path": endpoint.path, **described, **given}


def _wire_name(endpoint: EndpointSpec, name: str) -> str:
    parameter = endpoint.parameters.get(name)
    return name if parameter is None else parameter.alias or name


def _defaults(endpoint: EndpointSpec) -> dict[str, Any]:
    return {p.alias or name: p.default for name, p in endpoint.parameters.items() if not p.required}


def _verb(binding: Binding, verb: str, call: Call) -> Request:
    path = wire.fill("retry/{job_id}", call.arguments) if verb == "retry" else verb
    return Request(
        method=call.endpoint.method,
        url=wire.join(binding.options.url, path),
        headers=ACCEPT,
        repeatable=verb == "health",
    )


def status(binding: Binding, jobs: Sequence[JobRef]) -> Request | None:
    """The request that looks at one job. The local test server runs the job while it is looked at."""
    if len(jobs) != 1:
        return None
    url = _of_job(binding, "status", jobs[0])
    if facts.is_local_job(binding, jobs[0]):
        # nothing can be asked twice of it, and the answer takes as long as the job
        return Request(
            method="POST", url=url, headers=ACCEPT, repeatable=not facts.is_local(binding), silence_s=LOCAL_SILENCE_S
        )
    return Request(method="GET", url=url, headers=ACCEPT, repeatable=True)


def stream(binding: Binding, job: JobRef) -> Request | None:
    """The request that fetches the pieces of output that are new; each is handed out once."""
    if facts.is_local_job(binding, job):
        return None
    return Request(method="GET", url=_of_job(binding, "stream", job), headers=ACCEPT)


def cancel(binding: Binding, job: JobRef) -> Request | None:
    """The request that cancels a job; None: the local test server has no such route."""
    if facts.is_local_job(binding, job):
        return None
    return Request(method="POST", url=_of_job(binding, "cancel", job), headers=ACCEPT, repeatable=True)


def _of_job(binding: Binding, verb: str, job: JobRef) -> str:
    return wire.join(binding.options.url, f"{verb}/{quote(job.id, safe='')}")


def file_policy(call: CallOptions | None) -> FilePolicy:
    """A file travels in the input, as a data address; one that lies in public, as its link."""
    most = _most_bytes(sync=call is not None and call.mode == "sync")
    return FilePolicy(inline="data_uri", max_inline_bytes=(most - _ROOM_BYTES) // 4 * 3, links=True)


def _most_bytes(*, sync: bool) -> int:
    """The largest body of a submission."""
    return limits.RUNSYNC_BYTES if sync else limits.RUN_BYTES
