"""The services a configuration names: who hosts each under which profile, where its key is from, whether it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from farcall.binding import Binding
from farcall.config import Config
from farcall.connecting import check_options, open_engine
from farcall.engine import Engine
from farcall.errors import FarcallError
from farcall.hookspecs import Flow, ProviderFacts
from farcall.jobs import Step
from farcall.keys import key_place
from farcall.provider import provider
from farcall.sources import Wish
from farcall.spec import HOSTS_OWN, EndpointSpec, ServiceSpec
from farcall.wire import Document, Request, join, without_query

ANSWER_S: Final = 10.0
"""Seconds a service may take to answer."""

REFUSED: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One service under one profile.

    Args:
        service: Its configured name.
        profile: Empty: as it stands.
        provider: Who hosts it; empty if that cannot be told.
        url: Where it is; empty if that cannot be told.
        key: Where its key comes from; empty if there is none. Never the key.
        fault: Why it cannot be called; None: it answers.
    """

    service: str
    profile: str
    provider: str = ""
    url: str = ""
    key: str = ""
    fault: str | None = None


async def entries(configuration: Config) -> list[Entry]:
    """Every service under every profile, each asked whether it answers, all at once."""
    places = [(name, profile) for name, s in configuration.services.items() for profile in ("", *s.profiles)]
    return list(await asyncio.gather(*(_entry(configuration, *place) for place in places)))


async def _entry(configuration: Config, service: str, profile: str) -> Entry:
    entry = Entry(service=service, profile=profile)
    try:
        binding = configuration.binding(service, profile)
        entry = replace(entry, provider=binding.provider)
        facts = _facts(binding)
        place = key_place(binding.provider, facts.url, facts)
        entry = replace(entry, url=without_query(facts.url), key=place or "")
        async with asyncio.timeout(ANSWER_S):
            return replace(entry, fault=await _fault(binding))
    except FarcallError as error:
        return replace(entry, fault=str(error))
    except TimeoutError:
        return replace(entry, fault=f"It has not answered within {ANSWER_S:g} s.")


def _facts(binding: Binding) -> ProviderFacts:
    chosen = provider(binding.provider)
    return chosen.facts(binding.described(options=check_options(chosen, binding.options)))


async def _fault(binding: Binding) -> str | None:
    """Why a service does not answer; None if it does. Nothing is asked that a host might let somebody pay for."""
    undescribed = binding.changed({"endpoints": [EndpointSpec(path="/")], "spec": None})
    engine, _ = await open_engine(Wish(binding=undescribed, options={}))
    try:
        document = await engine.courier.run(_gets_only(engine.provider.discover(engine.binding)), Step.DISCOVER)
        url = join(engine.facts.url, _healthy_path(engine, document or Document(content={})))
        request = Request(method="GET", url=url, repeatable=True)
        response = await engine.courier.exchange(request, Step.DISCOVER)
        response.drop()
        refusal = engine.courier.refusal(request, response, Step.DISCOVER) if response.status in REFUSED else None
        return None if refusal is None else str(refusal)
    finally:
        await engine.close()


def _gets_only(flow: Flow[Document | None] | None) -> Flow[Document | None]:
    """What a provider finds out by GET alone; None where it would go on in another way, with a job say."""
    if flow is None:
        return None
    try:
        request = next(flow)
        while request.method == "GET":
            request = flow.send((yield request))
    except StopIteration as end:
        found: Document | None = end.value
        return found
    flow.close()
    return None


def _healthy_path(engine: Engine, document: Document) -> str:
    """Where the host tells a service's health; its root, where no such place is known."""
    try:
        spec = engine.provider.describe(engine.binding, document)
    except FarcallError:
        return "/"
    endpoints = spec.endpoints if isinstance(spec, ServiceSpec) else ()
    return next((e.path for e in endpoints if e.traits.get(HOSTS_OWN) == "health"), "/")
