"""Calls any service that describes itself with an OpenAPI 3 document."""

from __future__ import annotations

from collections.abc import Sequence

from farcall.binding import Binding
from farcall.hookspecs import Call, Flow, ProviderFacts, hookimpl
from farcall.jobs import Recognition, Update
from farcall.spec import ServiceSpec
from farcall.wire import Document, Request, Response, StreamEvent, Webhook
from pydantic import BaseModel

from farcall_openapi import answers, discovery, provider
from farcall_openapi.document import describe
from farcall_openapi.options import Options


@hookimpl
def farcall_facts(binding: Binding) -> ProviderFacts:
    """Every reply is the result; the address is the user's, else the one the document names."""
    return provider.facts(binding)


@hookimpl
def farcall_options() -> type[BaseModel]:
    """What a binding takes: `url`, `server`, `server_variables`."""
    return Options


@hookimpl
def farcall_recognise(document: Document | None) -> Recognition:
    """`GENERIC` for an OpenAPI 3 document with paths; an address alone says nothing."""
    return discovery.recognise(document)


@hookimpl
def farcall_discover(binding: Binding) -> Flow[Document | None] | None:
    """Fetch the document from the address itself or from the places where frameworks put it."""
    return discovery.discover(binding)


@hookimpl
def farcall_describe(binding: Binding, document: Document) -> ServiceSpec:
    """Read the document; an operation that cannot be read is a problem and the others still bind."""
    return describe(binding, document)


@hookimpl
def farcall_submit(binding: Binding, call: Call) -> Request:
    """The request that an operation wants."""
    return provider.request(binding, call)


@hookimpl
def farcall_read(answer: Response | StreamEvent | Webhook) -> Sequence[Update]:
    """The result in a reply; HTTP errors are left to the core."""
    return answers.read(answer)
