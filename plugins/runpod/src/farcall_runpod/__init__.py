"""Calls Runpod serverless endpoints, and the local test server of Runpod's SDK."""

from __future__ import annotations

from collections.abc import Sequence

from farcall.binding import Binding
from farcall.hookspecs import Call, Flow, ProviderFacts, hookimpl
from farcall.jobs import JobRef, Recognition, Step, Update
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.wire import Document, FilePolicy, Request, Response, StreamEvent, Webhook
from pydantic import BaseModel

from farcall_runpod import answers, description, facts, provider
from farcall_runpod.options import CallOptions, Options


@hookimpl
def farcall_facts(binding: Binding) -> ProviderFacts:
    """See `facts`."""
    return facts.facts(binding)


@hookimpl
def farcall_options() -> type[BaseModel]:
    """See `options`."""
    return Options


@hookimpl
def farcall_call_options() -> type[BaseModel]:
    """See `options`."""
    return CallOptions


@hookimpl
def farcall_recognise(url: str | None, document: Document | None) -> Recognition:
    """See `description`."""
    return description.recognise(url, document)


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
def farcall_status(binding: Binding, jobs: Sequence[JobRef]) -> Request | None:
    """See `provider`."""
    return provider.status(binding, jobs)


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
def farcall_stream(binding: Binding, job: JobRef) -> Request | None:
    """See `provider`."""
    return provider.stream(binding, job)


@hookimpl
def farcall_file_transport(options: CallOptions | None) -> FilePolicy:
    """See `provider`."""
    return provider.file_policy(options)
