"""Where a service keeps its document, and how one is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from farcall.binding import Binding
from farcall.errors import ProtocolError
from farcall.hookspecs import Flow
from farcall.jobs import Recognition
from farcall.wire import Document, Request, Response, join

# Where frameworks serve it, by their documentation as of 2026.
WELL_KNOWN: Final = (
    "/openapi.json",  # FastAPI, APIFlask, LitServe, flask-smorest by custom
    "/docs.json",  # BentoML
    "/openapi/openapi.json",  # flask-openapi3
    "/swagger.json",  # flask-restx by custom, many proxies
    "/api/openapi.json",  # Django Ninja
    "/schema/openapi.json",  # Litestar
    "/v3/api-docs",  # springdoc
    "/openapi/v1.json",  # ASP.NET Core
    "/swagger/v1/swagger.json",  # Swashbuckle
    "/apispec_1.json",  # flasgger
)
_SUFFIXES: Final = (".json", ".yaml", ".yml")
_WORDS: Final = ("openapi", "swagger", "api-docs", "apispec")


def names_document(url: str) -> bool:
    """Whether an address is a document's by its ending.

    >>> names_document("http://h/openapi.json"), names_document("http://h/api")
    (True, False)
    """
    return urlsplit(url).path.lower().endswith(_SUFFIXES)


def is_document(content: Any) -> bool:
    """Whether JSON is an OpenAPI document of any version."""
    return isinstance(content, Mapping) and isinstance(content.get("openapi"), str)


def recognise(document: Document | None) -> Recognition:
    """`GENERIC` for OpenAPI 3 with paths."""
    content = None if document is None else document.content
    if not isinstance(content, Mapping) or not is_document(content):
        return Recognition.NO
    fits = content["openapi"].startswith("3.") and isinstance(content.get("paths"), Mapping)
    return Recognition.GENERIC if fits else Recognition.NO


def discover(binding: Binding) -> Flow[Document | None] | None:
    """A flow that returns the first document found; None where the binding has no address to ask."""
    places = candidates(binding)
    return _ask(places) if places else None


def candidates(binding: Binding) -> list[str]:
    """The addresses to ask, in order; empty if there is nothing to fetch."""
    spec, url = binding.spec, binding.options.url
    if isinstance(spec, str) and spec.startswith(("http://", "https://")):
        return [spec]
    if spec is not None or url is None:
        return []
    if names_document(url):
        return [url]
    last = urlsplit(url).path.rpartition("/")[2].lower()
    itself = [url] if any(word in last for word in _WORDS) else []
    return itself + [join(url, path) for path in WELL_KNOWN]


def _ask(places: list[str]) -> Flow[Document | None]:
    for url in places:
        answer = yield Request(method="GET", url=url, headers={"accept": "application/json"}, repeatable=True)
        if (content := _content(answer)) is not None:
            return Document(content=content, url=answer.url or url)
    return None


def _content(answer: Response) -> Any:
    if not answer.ok or answer.body is not None:
        answer.drop()
        return None
    try:
        content = answer.json()
    except ProtocolError:  # a page for people at that address: not the document, and no fault
        return None
    return content if is_document(content) else None
