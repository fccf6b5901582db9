"""Finds out which provider a service belongs to and what it offers, and makes the engine that speaks to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from farcall import config, plugins, threads
from farcall.binding import Binding
from farcall.engine import Engine
from farcall.errors import ConfigError, FarcallError, KeyMissing, Refused, ServerFault, Unreachable, UsageError
from farcall.filetypes import with_file_params
from farcall.hints import did_you_mean, faults
from farcall.hookspecs import Flow
from farcall.jobs import Recognition, Step
from farcall.keys import find_key
from farcall.provider import Provider, provider
from farcall.replies import PASSING, TOO_MANY
from farcall.sources import Wish
from farcall.spec import EndpointSpec, ServiceSpec, unique_names
from farcall.wire import Document, Request, Response, Sender, join, origin, without_query

WITHHELD: Final = frozenset({401, 403, 429}) | frozenset(range(500, 600))
"""Statuses that say that there may be a description, but not for us, or not now."""
ORIGINLESS: Final = origin("")
"""The origin of a service whose address only its description will tell."""
DESCRIPTION_S: Final = 60.0
"""How long a service's description may take to come in, however steadily it drips."""

T = TypeVar("T")


@dataclass(slots=True)
class _Asked:
    """What a service has said while its description was looked for, by all providers together.

    Args:
        answers: Address to the answer to a plain GET.
        failing: Whether a place failed however often it was asked; the others are asked once then.
        refusal: A place that refuses us as too much; no other is asked then.
    """

    answers: dict[str, Response] = field(default_factory=dict)
    failing: bool = False
    refusal: tuple[Request, Response] | None = None


async def open_engine(wish: Wish) -> tuple[Engine, ServiceSpec]:
    """The engine of the service that is meant, and what the service offers.

    Raises:
        UsageError: It cannot be told which provider is meant, or an option is wrong.
        Unreachable: The service gave no reply.
    """
    sender = wish.sender or _default_sender()
    try:
        engine, spec = await _opened(wish, sender)
        await _open_storage(engine)
        return engine, spec
    except BaseException:
        await sender.close()
        raise


async def _opened(wish: Wish, sender: Sender) -> tuple[Engine, ServiceSpec]:
    if wish.binding is None:
        return await _recognised(wish, sender)
    engine = await _engine(provider(wish.binding.provider), wish.binding, sender, wish.api_key)
    document = wish.document or await _own_document(engine)
    if document is None and not engine.binding.endpoints:
        document = await _discovered(engine, _Asked())
    return engine, await _described(engine, document, wish.api_key)


async def _open_storage(engine: Engine) -> None:
    """Open the storage that takes the service's large files, if it has one.

    Raises:
        ConfigError: It cannot be opened, or its threshold is none, or there is only a threshold for it.
    """
    binding = engine.binding
    threshold = binding.upload_threshold_bytes
    if threshold is not None and (type(threshold) is not int or threshold < 0):
        raise ConfigError(f"upload_threshold_bytes is a whole number of bytes, 0 or more, not {threshold!r}.")
    if binding.storage is not None:
        from farcall.stores import store_of  # what keeps files is loaded only where files are kept

        engine.storage = await store_of(binding.storage)
    elif threshold is not None:
        raise ConfigError("upload_threshold_bytes= says which files go to a storage; name one with storage=.")


def _default_sender() -> Sender:
    from farcall.sender_aiohttp import AiohttpSender

    return AiohttpSender()


# --- the provider --------------------------------------------------------------------------------------------------


async def _engine(chosen: Provider, binding: Binding, sender: Sender, api_key: str | None) -> Engine:
    checked = binding.described(options=check_options(chosen, binding.options))
    carrier = chosen.transport(checked) or sender
    engine = Engine(chosen, checked, carrier)
    engine.courier.credential = find_key(chosen.name, engine.facts.url, engine.facts, argument=api_key)
    return engine


def check_options(chosen: Provider, options: Mapping[str, Any]) -> BaseModel:
    """The provider's options, checked.

    Raises:
        ConfigError: One is unknown, missing or wrong; close matches are named.
    """
    model = chosen.options()
    known = list(model.model_fields)
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"The provider {chosen.name!r} has no option {name!r}.{hint} It has: {', '.join(known)}.")
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        said = faults(error, "options")
        raise ConfigError(f"The options of the provider {chosen.name!r} are wrong: {said}.") from error


async def _recognised(wish: Wish, sender: Sender) -> tuple[Engine, ServiceSpec]:
    """Let each installed provider look at the address, then at the service's descriptions."""
    candidates = _candidates(wish)
    best = [c for c in candidates if c.recognise(wish.url, None) is Recognition.CERTAIN]
    if len(best) == 1:
        binding = Binding(provider=best[0].name, **wish.options)
        engine = await _engine(best[0], binding, sender, wish.api_key)
        document = wish.document or await _own_document(engine)
        if document is None and not engine.binding.endpoints:
            document = await _discovered(engine, _Asked())
        return engine, await _described(engine, document, wish.api_key)
    found = await _documents(wish, best or candidates, sender)
    ranked = [(c.provider.recognise(wish.url, document), c, document) for c, document in found if document]
    top = max((rank for rank, _, _ in ranked), default=Recognition.NO)
    winners = [(engine, document) for rank, engine, document in ranked if rank is top]
    spec = wish.options.get("spec")
    where = without_query(wish.url or (spec if isinstance(spec, str) else "this description"))
    if top is Recognition.NO:
        names = ", ".join(plugins.names("provider")) or "none"
        raise UsageError(
            f"No installed provider knows the service at {where} (installed: {names}). "
            "Name it with provider=, or install the plugin of its host."
        )
    if len(winners) > 1:
        names = " and ".join(repr(engine.provider.name) for engine, _ in winners)
        raise UsageError(f"The providers {names} all know the service at {where}; choose one with provider=.")
    engine, document = winners[0]
    return engine, await _described(engine, document, wish.api_key)


def _candidates(wish: Wish) -> list[Provider]:
    """The installed providers that can take the user's options; broken ones are logged by name."""
    fitting: list[Provider] = []
    refusals: list[str] = []
    for name in plugins.names("provider"):
        try:
            candidate = provider(name)
            check_options(candidate, {k: v for k, v in wish.options.items() if k not in config.OWN})
        except ConfigError as error:
            refusals.append(str(error))
            continue
        except FarcallError as error:
            plugins.log.warning("The provider %r is left out: %s", name, error)
            continue
        fitting.append(candidate)
    if not fitting and refusals:
        raise ConfigError("No installed provider takes these options. " + " ".join(refusals))
    if not fitting:
        raise UsageError("No provider is installed; install the plugin of the service's host.")
    return fitting


async def _documents(
    wish: Wish, candidates: Iterable[Provider], sender: Sender
) -> list[tuple[Engine, Document | None]]:
    asked = _Asked()
    found: list[tuple[Engine, Document | None]] = []
    reason: FarcallError | None = None
    for candidate in candidates:
        engine = await _engine(candidate, Binding(provider=candidate.name, **wish.options), sender, wish.api_key)
        try:
            document = wish.document or await _own_document(engine) or await _discovered(engine, asked)
        except (Unreachable, Refused, ServerFault, KeyMissing) as error:
            reason = error
            continue
        found.append((engine, document))
    known = (e.provider.recognise(wish.url, document) for e, document in found if document)
    if reason is not None and all(rank is Recognition.NO for rank in known):
        raise reason
    return found


# --- the description ---------------------------------------------------------------------------------------------


async def _own_document(engine: Engine) -> Document | None:
    """The description the binding names: an address, a path, or the document itself."""
    spec = engine.binding.spec
    if spec is None:
        return None
    if isinstance(spec, Mapping):
        return Document(content=spec)
    if str(spec).startswith(("http://", "https://")):
        return await _patiently(engine, engine.courier.run(_fetched(str(spec)), Step.DISCOVER))
    try:
        content = await threads.run(_read_file, Path(spec), engine.facts.max_envelope_bytes)
        return Document(content=_parsed(content), url=await threads.run(_address, Path(spec)))
    except OSError as error:
        raise ConfigError(f"The description {str(spec)!r} cannot be read: {error.strerror}.") from error


def _fetched(url: str) -> Flow[Document]:
    """The description at an address; where that is a bare origin, the one that its service customarily has."""
    if not urlsplit(url).path.strip("/"):
        url = join(url, "openapi.json")
    response = yield Request(method="GET", url=url, repeatable=True)
    if not response.ok:
        raise ConfigError(f"The description at {without_query(url)} answered {response.status}.")
    return Document(content=_parsed(response.content), url=url)


def _address(path: Path) -> str:
    return path.resolve().as_uri()


def _read_file(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ConfigError(f"The description {str(path)!r} is larger than the {limit:,} bytes that are read.")
    return content


def _parsed(content: bytes) -> Any:
    """JSON values; the text itself where it is no JSON, for a provider that reads another notation."""
    try:
        return from_json(content)
    except ValueError:
        return content.decode("utf-8", "replace")


async def _patiently(engine: Engine, coming: Awaitable[T]) -> T:
    """What is coming, within the time a description may take.

    Raises:
        Unreachable: It did not come.
    """
    try:
        async with asyncio.timeout(DESCRIPTION_S):
            return await coming
    except TimeoutError:
        raise Unreachable(f"{engine.origin} has not sent its description within {DESCRIPTION_S:g} s.") from None


async def _discovered(engine: Engine, asked: _Asked) -> Document | None:
    """Run a provider's discovery; equal GETs of several providers are sent once.

    Raises:
        KeyMissing, Refused, ServerFault: There may be a description, but not for us, or not now.
    """
    flow = engine.provider.discover(engine.binding)
    if flow is None:
        return None
    refused: list[tuple[Request, Response]] = []
    document = await _patiently(engine, engine.courier.run(_sharing(flow, asked, refused), Step.DISCOVER))
    if document is None and (asked.refusal or refused):
        request, answer = asked.refusal or refused[0]
        raise engine.courier.refusal(request, answer, Step.DISCOVER) or AssertionError(answer)
    return document


def _sharing(
    flow: Flow[Document | None], asked: _Asked, refused: list[tuple[Request, Response]]
) -> Flow[Document | None]:
    """The flow, its plain GETs answered with what another provider's were; what was refused is noted.

    It ends without a document where the service says that it was asked too often: each further place would be told so.
    """
    try:
        request = next(flow)
        while asked.refusal is None:
            plain = request.method == "GET" and not request.headers.keys() - {"accept"}
            answer = asked.answers.get(request.url) if plain else None
            if answer is None:
                answer = yield replace(request, repeatable=request.repeatable and not asked.failing)
                if plain:
                    asked.answers[request.url] = answer
            if answer.status in WITHHELD:
                refused.append((request, answer))
            asked.failing |= answer.status in PASSING
            if answer.status == TOO_MANY and request.method == "GET":
                asked.refusal = (request, answer)
            request = flow.send(answer)
    except StopIteration as end:
        found: Document | None = end.value
        return found
    finally:
        flow.close()
    return None


async def _described(engine: Engine, document: Document | None, api_key: str | None) -> ServiceSpec:
    binding = engine.binding
    spec = ServiceSpec() if document is None else await _read(engine, document)
    if binding.endpoints:
        spec = spec.model_copy(update={"endpoints": binding.endpoints})
    if binding.file_params:
        spec = spec.model_copy(update={"endpoints": _with_files(spec.endpoints, binding.file_params)})
    spec = spec.model_copy(update={"endpoints": unique_names(spec.endpoints)})
    before = engine.origin
    engine.describe(spec)
    if engine.origin != before:  # the description moved the service: a key for one origin is not shown to another
        given = api_key if before == ORIGINLESS else None
        engine.courier.credential = find_key(engine.provider.name, engine.facts.url, engine.facts, argument=given)
    return spec


def _with_files(endpoints: Iterable[EndpointSpec], file_params: Mapping[str, Any]) -> tuple[EndpointSpec, ...]:
    """The endpoints, their parameters of these names files.

    Raises:
        ConfigError: No endpoint has such a parameter, or its type is no file's.
    """
    made, left = [], set(file_params)
    for endpoint in endpoints:
        mine = {name: kind for name, kind in file_params.items() if name in endpoint.parameters}
        left -= mine.keys()
        try:
            parameters = MappingProxyType(with_file_params(endpoint.parameters, mine))
        except ValueError as error:
            raise ConfigError(f"file_params: {error}.") from error
        made.append(endpoint.model_copy(update={"parameters": parameters}) if mine else endpoint)
    if left:
        raise ConfigError(f"file_params names {min(left)!r}, which no endpoint of this service takes.")
    return tuple(made)


async def _read(engine: Engine, document: Document) -> ServiceSpec:
    """The description read, with the files it is spread over."""
    spec = engine.provider.describe(engine.binding, document)
    if isinstance(spec, ServiceSpec):
        return spec
    return await _patiently(engine, _other_files(engine, document, spec))


async def _other_files(engine: Engine, document: Document, flow: Flow[ServiceSpec]) -> ServiceSpec:
    try:
        request = next(flow)
        while True:
            if request.url.startswith("file:"):
                answer = await threads.run(_local, request.url, document.url, engine.facts.max_envelope_bytes)
            else:
                answer = await engine.courier.fetch_whole(request, Step.DISCOVER)
            request = flow.send(answer)
    except StopIteration as end:
        spec: ServiceSpec = end.value
        return spec
    finally:
        flow.close()


def _local(url: str, document_url: str, limit: int) -> Response:
    """A file in the folder of a description on this machine, links resolved; as a reply."""
    path = Path(url2pathname(urlsplit(url).path)).resolve()
    folder = Path(url2pathname(urlsplit(document_url).path)).parent
    if not document_url.startswith("file:") or not path.is_relative_to(folder) or not path.is_file():
        return Response(status=404, url=url)
    return Response(status=200, content=_read_file(path, limit), url=url)
