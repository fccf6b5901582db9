"""The services a configuration names: who hosts each under which profile, where its key is from, whether it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from farcall.binding import Binding
from farcall.config import Config
from farcall.connecting import check_options, open_engine
from farcall.errors import FarcallError
from farcall.hookspecs import ProviderFacts
from farcall.jobs import Step
from farcall.keys import key_place
from farcall.provider import provider
from farcall.sources import Wish
from farcall.spec import HOSTS_OWN, ServiceSpec
from farcall.wire import Request, join, without_query

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
    """Connect, and ask once more: a service that is described elsewhere has not been asked yet."""
    engine, spec = await open_engine(Wish(binding=binding, options={}))
    try:
        request = Request(method="GET", url=join(engine.facts.url, _healthy_path(spec)), repeatable=True)
        response = await engine.courier.exchange(request, Step.DISCOVER)
        response.drop()
        refusal = engine.courier.refusal(request, response, Step.DISCOVER) if response.status in REFUSED else None
        return None if refusal is None else str(refusal)
    finally:
        await engine.close()


def _healthy_path(spec: ServiceSpec) -> str:
    """Where the host tells a service's health; its root, where no such place is known."""
    return next((e.path for e in spec.endpoints if e.traits.get(HOSTS_OWN) == "health"), "/")
