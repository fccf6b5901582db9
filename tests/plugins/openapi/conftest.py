"""A service in this process, bound by its own document, without the engine and without a network."""

import asyncio
import functools
import itertools
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from farcall.binding import Binding
from farcall.files import File
from farcall.hookspecs import Call
from farcall.jobs import Step
from farcall.provider import Provider, provider
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.wire import Document, FileValue, Request, Response

BASE = "http://service.test"
_tokens = itertools.count(1)


@dataclass
class Bound:
    """A described service; `call` sends through the very application, `request` only builds."""

    binding: Binding
    hooks: Provider
    app: Any = None

    @property
    def spec(self) -> ServiceSpec:
        assert self.binding.service is not None
        return self.binding.service

    def endpoint(self, name: str) -> EndpointSpec:
        return next(each for each in self.spec.endpoints if each.name == name)

    def request(self, name: str, /, **arguments: Any) -> Request:
        given = {key: as_sent(value) for key, value in arguments.items()}
        endpoint = self.endpoint(name)
        assert given.keys() <= endpoint.parameters.keys(), set(given) - set(endpoint.parameters)
        request = self.hooks.submit(
            self.binding, Call(endpoint=endpoint, arguments=given, token=f"{next(_tokens):032x}")
        )
        assert isinstance(request, Request)
        return request

    def reply(self, name: str, /, **arguments: Any) -> Response:
        return carry(self.app, self.request(name, **arguments))

    def call(self, name: str, /, **arguments: Any) -> Any:
        answer = self.reply(name, **arguments)
        assert answer.ok, (answer.status, answer.text)
        (snapshot,) = self.hooks.read(self.binding, answer, Step.SUBMIT, [])
        return snapshot.result


def as_sent(value: Any) -> Any:
    if isinstance(value, File):
        return value.value
    return [as_sent(item) for item in value] if isinstance(value, list) else value


def carry(app: Any, request: Request) -> Response:
    """The application's reply, as an engine would hand it over."""
    return asyncio.run(_carry(app, request))


async def _carry(app: Any, request: Request) -> Response:
    content = request.body if isinstance(request.body, bytes) else request.body.chunks()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        reply = await client.request(
            request.method, request.url, headers=dict(request.headers), content=content or None
        )
    assert str(reply.request.url) == request.url  # what we wrote needed no second encoding
    return Response(status=reply.status_code, headers=reply.headers, content=reply.content, url=str(reply.request.url))


def bound(document: Any, *, app: Any = None, url: str | None = BASE, fetched: str = "", **options: Any) -> Bound:
    hooks = provider("openapi")
    checked = hooks.options()(url=url, **options)
    binding = Binding(provider="openapi").described(options=checked)
    service = hooks.describe(binding, Document(content=document, url=fetched))
    return Bound(binding.described(service=service), hooks, app)


@pytest.fixture(scope="session")
def bind():
    return bound


@pytest.fixture(scope="session")
def bind_app():
    """Bind a FastAPI application by the document it generates; nothing of it may be left out."""

    def made(app: Any, **options: Any) -> Bound:
        service = bound(app.openapi(), app=app, **options)
        assert service.spec.problems == ()
        return service

    return made


@pytest.fixture(scope="session")
def bind_operation():
    """Bind a document of one operation, named `op`."""

    def made(operation: dict[str, Any], *, path: str = "/op", method: str = "post", **document: Any) -> Bound:
        whole = {
            "openapi": "3.1.0",
            "info": {"title": "one", "version": "1"},
            "paths": {path: {method: {"operationId": "op", "responses": {}, **operation}}},
            **document,
        }
        return bound(whole)

    return made


@pytest.fixture(scope="session")
def read():
    """What `farcall_read` makes of a reply."""
    hooks = provider("openapi")
    binding = Binding(provider="openapi").described(options=hooks.options()(url=BASE))
    return functools.partial(_read, hooks, binding)


def _read(hooks: Provider, binding: Binding, **reply: Any) -> Any:
    return hooks.read(binding, Response(**reply), Step.SUBMIT, [])


@pytest.fixture(scope="session")
def file():
    def made(content: bytes = b"\x00png\r\n--", name: str = "photo.png") -> FileValue:
        return File.from_bytes(content, name=name).value

    return made
