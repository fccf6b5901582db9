"""Calls FastTaskAPI and APIPod job servers, and farcall's own."""

from __future__ import annotations

from collections.abc import Sequence

from farcall.binding import Binding
from farcall.hookspecs import Call, Flow, ProviderFacts, hookimpl
from farcall.jobs import JobRef, Recognition, Step, Update
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.wire import Document, FilePolicy, Request, Response, StreamEvent, Webhook
from pydantic import BaseModel

from farcall_fasttaskapi import answers, description, facts, provider
from farcall_fasttaskapi.options import Options


@hookimpl
def farcall_facts(binding: Binding) -> ProviderFacts:
    """See `facts`."""
    return facts.facts(binding)


@hookimpl
def farcall_options() -> type[BaseModel]:
    """See `options`."""
    return Options


@hookimpl
def farcall_recognise(document: Document | None) -> Recognition:
    """See `description`."""
    return description.recognise(document)


@hookimpl
def farcall_discover(binding: Binding) -> Flow[Document | None]:
    """See `description`."""
    return description.discover(binding)


@hookimpl
def farcall_describe(binding: Binding, document: Document) -> ServiceSpec:
    """See `description`."""
    return description.describe(binding, document)


@hookimpl
def farcall_submit(binding: Binding, call: Call) -> Request:
    """See `provider`."""
    return provider.submit(binding, call)


@hookimpl
def farcall_status(binding: Binding, jobs: Sequence[JobRef], wait_s: float | None) -> Request | None:
    """See `provider`."""
    return provider.status(binding, jobs, wait_s)


@hookimpl
def farcall_read(
    binding: Binding,
    answer: Response | StreamEvent | Webhook,
    step: Step,
    jobs: Sequence[JobRef],
    endpoint: EndpointSpec | None,
) -> Sequence[Update]:
    """See `answers`."""
    return answers.read(binding, answer, step, jobs, endpoint)


@hookimpl
def farcall_cancel(binding: Binding, job: JobRef) -> Request | None:
    """See `provider`."""
    return provider.cancel(binding, job)


@hookimpl
def farcall_stream(binding: Binding, job: JobRef, after: str | None) -> Request | None:
    """See `provider`."""
    return provider.stream(binding, job, after)


@hookimpl
def farcall_file_transport(binding: Binding, endpoint: EndpointSpec, parameter: str) -> FilePolicy:
    """See `provider`."""
    return provider.file_policy(binding, endpoint, parameter)
