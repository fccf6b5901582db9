"""How a provider's author writes against farcall: every hook, typed. Never executed; mypy checks it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_type

from farcall import Binding, EndpointSpec, ServiceSpec, State, hookimpl
from farcall.bodies import json_body
from farcall.errors import ProtocolError
from farcall.hookspecs import Call, Credential, Flow, Grant, ProviderFacts
from farcall.jobs import Chunk, JobRef, Missing, Recognition, Rejected, Snapshot, Step, Update
from farcall.wire import Document, FilePolicy, FileValue, Request, Response, Sender, StreamEvent, Webhook, fill, join
from pydantic import BaseModel


class Options(BaseModel):
    """What a binding takes."""

    url: str


class CallOptions(BaseModel):
    """What one call takes."""

    priority: int = 0


@hookimpl
def farcall_facts(binding: Binding) -> ProviderFacts:
    """A table."""
    return ProviderFacts(url=binding.options.url, key_names=("HOST_API_KEY",), long_poll_s=25.0, stream="sse")


@hookimpl
def farcall_options() -> type[Options]:
    """A model of its own."""
    return Options


@hookimpl
def farcall_call_options() -> type[CallOptions]:
    """Another."""
    return CallOptions


@hookimpl
def farcall_recognise(url: str | None, document: Document | None) -> Recognition:
    """By address or description."""
    known = (url or "").endswith(".host.example") or (document is not None and document.content.get("host"))
    return Recognition.CERTAIN if known else Recognition.NO


@hookimpl
def farcall_discover(binding: Binding) -> Flow[Document | None]:
    """A flow: Requests out, Responses in, a value at the end."""
    response = yield Request(method="GET", url=join(binding.options.url, "/about"), repeatable=True)
    assert_type(response, Response)
    return Document(content=response.json(), url=response.url) if response.ok else None


@hookimpl
def farcall_describe(document: Document) -> ServiceSpec:
    """Endpoints from what was found; an argument that is not needed is left out."""
    return ServiceSpec(endpoints=tuple(EndpointSpec(path=path, job=True) for path in document.content["paths"]))


@hookimpl
def farcall_submit(binding: Binding, call: Call) -> Request:
    """One request; a flow would be as good."""
    headers, body = json_body(dict(call.arguments))
    return Request(method="POST", url=join(binding.options.url, call.endpoint.path), headers=headers, body=body)


@hookimpl
def farcall_status(binding: Binding, jobs: Sequence[JobRef], wait_s: float | None) -> Request | None:
    """One look."""
    path = fill("/jobs/{id}", {"id": jobs[0].id})
    return Request(method="GET", url=join(binding.options.url, path, {"wait": wait_s or 0}), repeatable=True)


@hookimpl
def farcall_read(answer: Response | StreamEvent | Webhook, step: Step, jobs: Sequence[JobRef]) -> Sequence[Update]:
    """Each kind of update."""
    if isinstance(answer, StreamEvent):
        return [Chunk(value=answer.data, id=answer.id)]
    if isinstance(answer, Webhook) or answer.status == 503:
        return []
    if step is Step.POLL and answer.status == 404:
        return [Missing(job_id=jobs[0].id)]
    if answer.status == 429:
        return [Rejected(message=answer.text, retry_after_s=1.0)]
    said = answer.json()
    if said["state"] not in set(State):
        raise ProtocolError(f"unknown state {said['state']!r}")
    return [Snapshot(state=State(said["state"]), job_id=said["id"], result=said.get("result"))]


@hookimpl
def farcall_cancel(binding: Binding, job: JobRef) -> Request | None:
    """None where the host cannot."""
    return None if "final" in job.data else Request(method="DELETE", url=join(binding.options.url, job.id))


@hookimpl
def farcall_stream(binding: Binding, job: JobRef, after: str | None) -> Request | None:
    """From the event after the last one seen."""
    headers = {} if after is None else {"last-event-id": after}
    return Request(method="GET", url=join(binding.options.url, f"/jobs/{job.id}/events"), headers=headers)


@hookimpl
def farcall_auth(
    binding: Binding, request: Request, credential: Credential | None, grant: Grant | None, now: datetime
) -> Request | Flow[Grant]:
    """The request, or a flow that fetches what it needs."""
    if grant is not None:
        return request.with_headers(grant.headers)
    return request if credential is None else exchange(binding, credential, now)


def exchange(binding: Binding, credential: Credential, now: datetime) -> Flow[Grant]:
    """A token for a key."""
    headers, body = json_body({"key": credential.secret})
    token = yield Request(method="POST", url=join(binding.options.url, "/token"), headers=headers, body=body)
    return Grant(headers={"authorization": f"Bearer {token.text}"}, expires_at=now + timedelta(hours=1))


@hookimpl
def farcall_file_transport(endpoint: EndpointSpec, parameter: str, file: FileValue) -> FilePolicy | Flow[FileValue]:
    """A policy by what is known of the file."""
    assert_type(endpoint.parameters[parameter].required, bool)
    return FilePolicy()


@hookimpl
def farcall_next_page(call: Call, page: Snapshot) -> Call | Request | None:
    """The next page's call, by a number counted up; None after the last one."""
    if not page.result:
        return None
    number = int(call.arguments.get("page", 1)) + 1
    return replace(call, arguments={**call.arguments, "page": number})


@hookimpl
def farcall_transport(binding: Binding) -> Sender | None:
    """None: over HTTP as ever."""
