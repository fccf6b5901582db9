"""Calls any service that describes itself with an OpenAPI 3 or Swagger 2 document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from farcall.binding import Binding
from farcall.hookspecs import Call, Credential, Flow, Grant, ProviderFacts, hookimpl
from farcall.jobs import JobRef, Recognition, Snapshot, Step, Update
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.wire import Document, FilePolicy, Request, Response, StreamEvent, Webhook
from pydantic import BaseModel

from farcall_openapi import answers, discovery, looks, oauth, polling, provider
from farcall_openapi.document import describe
from farcall_openapi.options import Options


@hookimpl
def farcall_facts(binding: Binding) -> ProviderFacts:
    """A reply is the result or names its job; the address is the user's, else the one the document names."""
    return provider.facts(binding)


@hookimpl
def farcall_options() -> type[BaseModel]:
    """What a binding takes."""
    return Options


@hookimpl
def farcall_recognise(document: Document | None) -> Recognition:
    """`GENERIC` for an OpenAPI 3 or Swagger 2 document with paths; an address alone says nothing."""
    return discovery.recognise(document)


@hookimpl
def farcall_discover(binding: Binding) -> Flow[Document | None] | None:
    """Fetch the document from the address itself or from the places where frameworks put it."""
    return discovery.discover(binding)


@hookimpl
def farcall_describe(binding: Binding, document: Document) -> ServiceSpec | Flow[ServiceSpec]:
    """Read the document and the files it refers to; an operation that cannot be read is a problem, the others bind."""
    return describe(binding, document)


@hookimpl
def farcall_file_transport(endpoint: EndpointSpec, parameter: str) -> FilePolicy:
    """As a part or as the body itself; a storage's address only where the document does not say binary."""
    return provider.file_policy(endpoint, parameter)


@hookimpl
def farcall_submit(binding: Binding, call: Call) -> Request:
    """The request that an operation wants."""
    return provider.request(binding, call)


@hookimpl
def farcall_status(binding: Binding, jobs: Sequence[JobRef]) -> Request | None:
    """The request that looks at a job, within the service's origin."""
    return looks.request(provider.address(binding), jobs[0])


@hookimpl
def farcall_cancel(binding: Binding, job: JobRef) -> Request | None:
    """The request that cancels a job, where the binding or the document says how."""
    return looks.cancelling(provider.address(binding), job)


@hookimpl
def farcall_next_page(binding: Binding, call: Call, page: Snapshot) -> Call | Request | None:
    """The next page by Link header, address, cursor, offset or number."""
    return provider.next_page(binding, call, page)


@hookimpl
def farcall_auth(
    binding: Binding, request: Request, credential: Credential | None, grant: Grant | None, now: datetime
) -> Request | Flow[Grant]:
    """The key by the described scheme; for OAuth 2 client credentials a token that is fetched first."""
    if credential is None:
        return request
    return oauth.signed(binding, provider.address(binding), request, credential, grant, now)


@hookimpl
def farcall_read(
    binding: Binding,
    answer: Response | StreamEvent | Webhook,
    step: Step,
    jobs: Sequence[JobRef],
    endpoint: EndpointSpec | None,
) -> Sequence[Update]:
    """The result in a reply, or its job; HTTP errors are left to the core."""
    if isinstance(answer, StreamEvent):
        return answers.piece(answer)
    if not isinstance(answer, Response):
        return ()
    looking = looks.Looking(
        base=provider.address(binding),
        plan=polling.polling(binding, endpoint),
        method=endpoint.method if endpoint is not None else "",
    )
    if step is Step.POLL:
        return looks.looked(looking, answer, jobs[0])
    if step is Step.CANCEL:
        return looks.cancelled(looking, answer, jobs[0])
    job = looks.submitted(looking, answer) if answer.ok else None
    return answers.read(answer) if job is None else (job,)
