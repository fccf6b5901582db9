"""Where a service keeps its document, and how one is known."""

from __future__ import annotations

import html
import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from farcall.binding import Binding
from farcall.hookspecs import Flow
from farcall.jobs import Recognition
from farcall.wire import Document, Request, Response, join, origin

from farcall_openapi import parsing
from farcall_openapi.shape import version

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
    "/openapi.yaml",  # drf-spectacular by custom, hand-written documents
    "/openapi.yml",
)
# Pages for people that name the document they show.
PAGES: Final = (
    "/docs",  # FastAPI, APIFlask, hug
    "/redoc",
    "/apidocs/",  # flasgger
    "/swagger-ui",  # flask-smorest by custom
    "/swagger-ui/swagger-initializer.js",  # springdoc
    "/swagger/index.html",  # Swashbuckle, swaggo
    "/",
)
_LINKS: Final = re.compile(
    r"""(?:\burl["']?\s*[:=]|\bspec-?url\s*=|\bdata-url\s*=|\bapiDescriptionUrl\s*=|\bhref\s*=)\s*["']([^"'<>\s]{1,500})["']""",
    re.IGNORECASE,
)
_MOST_LINKS: Final = 8
_SUFFIXES: Final = (".json", ".yaml", ".yml")
_WORDS: Final = ("openapi", "swagger", "api-docs", "apispec", "docs", "redoc")
_ACCEPT: Final = "application/json, application/yaml;q=0.9, */*;q=0.5"


def names_document(url: str) -> bool:
    """Whether an address is a document's by its ending.

    >>> names_document("http://h/openapi.json"), names_document("http://h/api")
    (True, False)
    """
    return urlsplit(url).path.lower().endswith(_SUFFIXES)


def shows_document(url: str) -> bool:
    """Whether an address is a document's, or that of a page which shows one, by its last segment.

    >>> shows_document("http://h/v2/docs"), shows_document("http://h/v2")
    (True, False)
    """
    last = urlsplit(url).path.rpartition("/")[2].lower()
    return names_document(url) or any(word in last for word in _WORDS)


def is_document(content: Any) -> bool:
    """Whether JSON is an OpenAPI document of any version, also of the time when it was called Swagger."""
    return version(content) != ""


JOB_SERVERS: Final = frozenset({"farcall", "apipod", "fast-task-api"})
"""Marks in a document's `info` of servers whose replies are jobs in envelopes of their own, which are no results."""


def recognise(document: Document | None) -> Recognition:
    """`GENERIC` for OpenAPI 3 and Swagger 2 with paths."""
    content = None if document is None else _values(document.content)
    if not isinstance(content, Mapping) or not is_document(content):
        return Recognition.NO
    info = content.get("info")
    if isinstance(info, Mapping) and not JOB_SERVERS.isdisjoint(info):
        return Recognition.NO
    fits = version(content).startswith(("3.", "2.")) and isinstance(content.get("paths"), Mapping)
    return Recognition.GENERIC if fits else Recognition.NO


def _values(content: Any) -> Any:
    """A description that is still text, as JSON values; None where it cannot be read."""
    if not isinstance(content, str):
        return content
    try:
        return parsing.parse(content.encode())
    except parsing.UnreadableError:
        return None


def discover(binding: Binding) -> Flow[Document | None] | None:
    """A flow that returns the first document found; None where the binding has no address to ask."""
    places = candidates(binding)
    if not places:
        return None
    alone = len(places) == 1
    return _ask(places, () if alone else [join(binding.options.url, page) for page in PAGES])


def candidates(binding: Binding) -> list[str]:
    """The addresses to ask, in order; empty if there is nothing to fetch."""
    spec, url = binding.spec, binding.options.url
    if isinstance(spec, str) and spec.startswith(("http://", "https://")):
        return [spec]
    if spec is not None or url is None:
        return []
    if names_document(url):
        return [url]
    itself = [url] if shows_document(url) else []
    return itself + [join(url, path) for path in WELL_KNOWN]


def _ask(places: Sequence[str], pages: Sequence[str]) -> Flow[Document | None]:
    """The first OpenAPI 3 document; a Swagger 2 one only where there is none."""
    older: Document | None = None
    asked = set(places)
    waiting = deque(places)
    pages_left = deque(pages)
    while waiting or (pages_left and older is None):
        url = waiting.popleft() if waiting else pages_left.popleft()
        answer = yield Request(method="GET", url=url, headers={"accept": _ACCEPT}, repeatable=True)
        content = _content(answer)
        if content is None:
            if len(places) == 1 and not pages and _is_data(answer):
                return Document(content=answer.text, url=url)  # what the user named is read, and its fault told
            found = [link for link in links(answer) if link not in asked]
            asked.update(found)
            waiting.extendleft(reversed(found))
        elif "openapi" in content:
            return Document(content=content, url=answer.url or url)
        else:
            older = older or Document(content=content, url=answer.url or url)
    return older


def links(answer: Response) -> list[str]:
    """The addresses on the same origin that a page shows as a document's, at most eight."""
    if not answer.ok or not answer.content or answer.media_type not in _PAGE_TYPES:
        return []
    found: dict[str, None] = {}
    for match in _LINKS.finditer(answer.text):
        url = urljoin(answer.url, html.unescape(match[1].replace("\\/", "/"))).partition("#")[0]
        named = names_document(url) or any(word in urlsplit(url).path.lower() for word in _WORDS[:4])
        if named and not urlsplit(url).path.endswith(_ASSETS) and origin(url) == origin(answer.url):
            found[url] = None
    return list(found)[:_MOST_LINKS]


_PAGE_TYPES: Final = frozenset({"text/html", "application/javascript", "text/javascript", "application/xhtml+xml"})
_ASSETS: Final = (".css", ".js", ".png", ".ico", ".html", ".svg")


def _content(answer: Response) -> Any:
    if not answer.ok or answer.body is not None:
        answer.drop()
        return None
    if not _is_data(answer):
        return None  # a page for people at that address: not the document, and no fault
    try:
        content = parsing.parse(answer.content)
    except parsing.UnreadableError:
        return None
    return content if is_document(content) else None


def _is_data(answer: Response) -> bool:
    plain = answer.ok and answer.body is None and answer.media_type not in _PAGE_TYPES
    return plain and answer.content.lstrip()[:1] not in {b"<", b""}
