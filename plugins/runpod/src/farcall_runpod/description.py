"""What an endpoint offers: read from a description, from the worker itself, or nothing but `run`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from farcall import wire
from farcall.binding import Binding
from farcall.errors import ConfigError
from farcall.hookspecs import Flow
from farcall.jobs import Recognition, Snapshot, Step
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.wire import Document, Request
from farcall_fasttaskapi import description as of_app

from farcall_runpod import answers, facts, provider, verbs

_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_JSON: Final = {"accept": "application/json"}
_TEST_SERVER: Final = "Runpod | Development Worker API"
_OWN_PATHS: Final = frozenset({"/run", "/runsync", "/status/{job_id}", "/stream/{job_id}", "/"})
UNDESCRIBED: Final = "farcall: an endpoint of Runpod that is not described"
"""The title of the description we make where there is none."""

ASKED_S: Final = 300.0
"""How long the worker may take to describe itself; connecting gives up sooner."""


def recognise(url: str | None, document: Document | None) -> Recognition:
    """`CERTAIN` by Runpod's own address, or by the mark of its SDK's local test server."""
    if url is not None and wire.origin(url) == facts.ORIGIN and urlsplit(url).path.startswith("/v2/"):
        return Recognition.CERTAIN
    if document is not None and _is_test_server(document.content):
        return Recognition.CERTAIN
    return Recognition.NO


def _is_test_server(content: Any) -> bool:
    """Whether a document is of the SDK's local test server, also with an app's own description in it.

    Source: documents of runpod 1.12.0, and of fast_task_api 1.3.3 and apipod 1.0.33 over it, 2026-11-23.
    """
    info = _mapping(content, "info")
    return _TEST_SERVER in str(info.get("title")) or "runpod" in info


def discover(binding: Binding) -> Flow[Document | None]:
    """The local test server's description; else the worker's, where it may be asked; else one that says nothing.

    None where the address wants a key that it was not shown.
    """
    url = binding.options.url
    if wire.origin(url) != facts.ORIGIN:
        place = wire.join(url, "openapi.json")
        response = yield Request(method="GET", url=place, headers=_JSON, repeatable=True)
        if response.ok and response.media_type.endswith("json"):
            content = response.json()
            if _is_test_server(content):
                return Document(content=content, url=place)
        response.drop()
        if response.status in _REFUSED:
            return None  # there may be a description, but not for us
    if binding.options.worker is not None:
        return (yield from _asked(binding))
    return Document(content={"info": {"title": UNDESCRIBED}, "paths": {}})


def _asked(binding: Binding) -> Flow[Document | None]:
    """The worker's own description, by a job; None where the key is missing or wrong.

    Raises:
        ConfigError: There is no such endpoint, or its worker gave none.
    """
    response = yield provider.submission(binding, {"path": "openapi.json"}, sync_s=ASKED_S)
    if response.status in _REFUSED:
        return None
    if response.status == HTTPStatus.NOT_FOUND:
        raise ConfigError(f"Runpod has no endpoint at {wire.without_query(binding.options.url)}; is its id right?")
    updates = answers.read(binding, response, Step.SUBMIT, (), None) if response.ok else ()
    look = next((update for update in updates if isinstance(update, Snapshot)), None)
    if look is None or not isinstance(look.result, Mapping):
        said = f"answered {response.status}" if look is None else look.error or f"is {look.state}"
        raise ConfigError(
            f"The worker of {wire.without_query(binding.options.url)} was asked for its description and {said}. "
            "Leave worker= out, and give the description with spec=."
        )
    return Document(content=look.result)


def describe(binding: Binding, document: Document) -> ServiceSpec:
    """The description read: each function a route of the worker; without one, `run` and Runpod's own verbs."""
    content: Mapping[str, Any] = document.content if isinstance(document.content, Mapping) else {}
    host = {"host": facts.LOCAL} if _is_test_server(content) else {}
    app = of_app.describe(binding, Document(content=_app_only(content), url=document.url))
    routes = tuple(map(_route, app.endpoints))
    bare = bool(host) or _mapping(content, "info").get("title") == UNDESCRIBED
    offered = routes or ((verbs.RUN,) if bare else ())
    return app.model_copy(
        update={
            "endpoints": offered if host else verbs.beside(offered),
            "security": (),
            "traits": {**app.traits, **host},
        }
    )


def _app_only(content: Mapping[str, Any]) -> dict[str, Any]:
    """A document without what the test server adds to it."""
    if not _is_test_server(content):
        return dict(content)
    info = {key: value for key, value in _mapping(content, "info").items() if key != "runpod"}
    paths = {path: item for path, item in _mapping(content, "paths").items() if not _is_own(path)}
    return {**content, "info": info, "paths": paths}


def _is_own(path: str) -> bool:
    return path in _OWN_PATHS or path.endswith("/realtime")


def _route(endpoint: EndpointSpec) -> EndpointSpec:
    """A function of the app, as it is called over Runpod: always a job."""
    return endpoint.model_copy(update={"method": "POST", "job": True})


def _mapping(content: Any, key: str) -> Mapping[str, Any]:
    value = content.get(key) if isinstance(content, Mapping) else None
    return value if isinstance(value, Mapping) else {}
