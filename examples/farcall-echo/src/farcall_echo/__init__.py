"""Calls echo job servers: `farcall.connect("http://…")` finds them, `provider="echo"` names them."""

from typing import Any, Final

from farcall.binding import Binding
from farcall.bodies import json_body
from farcall.errors import ProtocolError
from farcall.hookspecs import Call, Flow, ProviderFacts, hookimpl
from farcall.jobs import JobRef, Missing, Recognition, Snapshot, State, Step, Update
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.wire import Document, Request, Response, fill, join
from pydantic import BaseModel, Field, ValidationError

PHASES: Final = {
    "waiting": State.QUEUED,
    "working": State.RUNNING,
    "done": State.SUCCEEDED,
    "broken": State.FAILED,
}


class Options(BaseModel):
    """What a binding takes."""

    url: str


class Look(BaseModel):
    """What an echo server says of a job."""

    ticket: str
    phase: str
    part: float | None = Field(None, ge=0, le=1)
    result: Any = None
    error: str | None = None


@hookimpl
def farcall_options() -> type[Options]:
    return Options


@hookimpl
def farcall_facts(binding: Binding) -> ProviderFacts:
    return ProviderFacts(url=binding.options.url, key_names=("ECHO_API_KEY",), poll_max_s=1.0)


@hookimpl
def farcall_discover(binding: Binding) -> Flow[Document | None]:
    reply = yield Request(method="GET", url=join(binding.options.url, "/"), repeatable=True)
    is_json = reply.ok and reply.media_type == "application/json"
    return Document(content=reply.json(), url=reply.url) if is_json else None


@hookimpl
def farcall_recognise(document: Document | None) -> Recognition:
    ours = document is not None and isinstance(document.content, dict) and document.content.get("echo") == 1
    return Recognition.CERTAIN if ours else Recognition.NO


@hookimpl
def farcall_describe(document: Document) -> ServiceSpec:
    can = document.content["can"].items()
    return ServiceSpec(endpoints=tuple(EndpointSpec(path=do, parameters=takes, job=True) for do, takes in can))


@hookimpl
def farcall_submit(binding: Binding, call: Call) -> Request:
    headers, body = json_body({"do": call.endpoint.path.strip("/"), "with": dict(call.arguments)})
    return Request(method="POST", url=join(binding.options.url, "/jobs"), headers=headers, body=body)


@hookimpl
def farcall_status(binding: Binding, jobs: list[JobRef]) -> Request:
    path = fill("/jobs/{ticket}", {"ticket": jobs[0].id})
    return Request(method="GET", url=join(binding.options.url, path), repeatable=True)


@hookimpl
def farcall_read(answer: Response, step: Step) -> list[Update]:
    if answer.status == 404 and step is Step.POLL:
        return [Missing()]
    if not answer.ok:
        return []  # the core reads the HTTP status
    try:
        said = Look.model_validate_json(answer.content)
    except ValidationError as error:
        raise ProtocolError(f"An echo server's reply is no look at a job: {error}") from error
    if said.phase not in PHASES:
        raise ProtocolError(f"An echo server said the phase {said.phase!r}, which is none of {list(PHASES)}.")
    return [
        Snapshot(
            state=PHASES[said.phase],
            job_id=said.ticket,
            progress=said.part,
            result=said.result,
            error=said.error,
        )
    ]
