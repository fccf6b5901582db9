"""An OpenAPI document as a service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urljoin

from farcall.binding import Binding
from farcall.errors import UsageError
from farcall.hookspecs import Flow
from farcall.schemas import resolve
from farcall.spec import EndpointSpec, Problem, ServiceSpec
from farcall.wire import Document

from farcall_openapi import operation, parsing, polling, security, servers, swagger
from farcall_openapi.bundle import Bundle
from farcall_openapi.operation import Operation
from farcall_openapi.options import Options
from farcall_openapi.shape import MalformedError, members, text, version

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_BESIDE: Final = frozenset({"$ref", "summary", "description", "servers", "parameters"})


def describe(binding: Binding, document: Document) -> ServiceSpec | Flow[ServiceSpec]:
    """The service, or the flow to it where it is described in several files.

    An operation that cannot be read is a problem, and the others still bind.

    Raises:
        UsageError: This is no OpenAPI document, or the options name a server it does not have.
    """
    root = _checked(parsing.document_of(document.content))
    bundle = Bundle(root, document.url, frozenset(binding.options.ref_origins))
    opened = bundle.opened()
    if bundle.waits:
        return _bundled(binding, document, bundle, opened)
    return _service(binding, document, opened, bundle)


def _bundled(binding: Binding, document: Document, bundle: Bundle, opened: Mapping[str, Any]) -> Flow[ServiceSpec]:
    root = yield from bundle.filled(opened)
    return _service(binding, document, root, bundle)


def _service(binding: Binding, document: Document, root: Mapping[str, Any], bundle: Bundle) -> ServiceSpec:
    lost: Sequence[Problem] = ()
    if swagger.is_swagger(root):
        root, lost = swagger.converted(root)
    fetched = document.url if document.url.startswith(("http://", "https://")) else ""
    reader = _Reader(root, binding.options, fetched)
    endpoints = polling.recognised(reader.endpoints())
    schemes, unusable = security.schemes(root)
    info = root["info"] if isinstance(root.get("info"), Mapping) else {}
    return ServiceSpec(
        title=text(info.get("title")),
        version=text(info.get("version")),
        doc=text(info.get("description")) or text(info.get("summary")),
        endpoints=endpoints,
        security=schemes,
        traits={"url": reader.url, "openapi": version(root), **_tokens(root, fetched or reader.url)},
        problems=(*bundle.problems, *map(bundle.outside, (*lost, *reader.problems, *unusable))),
    )


def _tokens(root: Mapping[str, Any], against: str) -> dict[str, str]:
    url, scope = security.client_credentials(root)
    url = urljoin(against, url) if url else ""
    return {"token_url": url, "token_scope": scope} if url.startswith(("http://", "https://")) else {}


def _checked(content: Any) -> Mapping[str, Any]:
    said = version(content)
    if not isinstance(content, Mapping) or not said:
        raise UsageError('This is no OpenAPI document: it is no object with "openapi".')
    if not said.startswith("2." if swagger.is_swagger(content) else "3."):
        raise UsageError(f"This document is of OpenAPI {said}; 3.0, 3.1 and Swagger 2.0 are read.")
    return content


class _Reader:
    """Goes through a document once and keeps what could not be read."""

    def __init__(self, root: Mapping[str, Any], options: Options, document_url: str) -> None:
        self.root, self.document_url = root, document_url
        self.unchosen = Options(url=options.url)  # server= and server_variables= mean the document's own servers
        self.problems: list[Problem] = []
        self.url = self._base(root.get("servers"), "servers", options)

    def endpoints(self) -> Iterator[EndpointSpec]:
        paths = self.root.get("paths", {})
        if not isinstance(paths, Mapping):
            self.problems.append(Problem("paths", "it is no object"))
            return
        for path, raw in paths.items():
            if isinstance(path, str) and path.startswith("/"):
                yield from self._of_path(path, raw)
            elif not str(path).startswith("x-"):
                self.problems.append(Problem(str(path), "a path starts with /"))

    def _of_path(self, path: str, raw: Any) -> Iterator[EndpointSpec]:
        try:
            item = resolve(members(raw, "the path item"), self.root)
        except ValueError as error:
            self.problems.append(Problem(path, str(error)))
            return
        for method in METHODS:
            if method in item:
                where = f"{method.upper()} {path}"
                try:
                    yield self._of_operation(path, method, item, where)
                except ValueError as error:
                    self.problems.append(Problem(where, str(error)))
        for name in item:
            if name not in METHODS and name not in _BESIDE and not name.startswith("x-"):
                self.problems.append(Problem(f"{path} {name}", "OpenAPI 3.0 and 3.1 know no such method"))

    def _of_operation(self, path: str, method: str, item: Mapping[str, Any], where: str) -> EndpointSpec:
        content = members(item[method], "the operation")
        stated = content.get("servers") or item.get("servers")
        own = self._base(stated, where, self.unchosen) if stated else ""
        endpoint, lost = operation.endpoint(
            Operation(
                path=path,
                method=method,
                item=item,
                content=content,
                root=self.root,
                server="" if own == self.url else own,
            )
        )
        self.problems.extend(Problem(where, why) for why in lost)
        return endpoint

    def _base(self, stated: Any, where: str, options: Options) -> str:
        try:
            return servers.base(stated, options, self.document_url)
        except MalformedError as error:
            self.problems.append(Problem(where, str(error)))
            return servers.base(None, self.unchosen, self.document_url)
