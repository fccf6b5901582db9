"""A service's OpenAPI document, recognised, fetched and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Optional
from urllib.parse import urlsplit

from farcall import media, schemas, wire
from farcall.binding import Binding
from farcall.files import File
from farcall.hookspecs import Flow
from farcall.jobs import Recognition
from farcall.spec import (
    REQUIRED,
    EndpointSpec,
    Parameter,
    Place,
    Problem,
    SecurityScheme,
    ServiceSpec,
    last_segment,
    operation_name,
    python_name,
)
from farcall.wire import Document, Request

from farcall_fasttaskapi import dialects
from farcall_fasttaskapi.dialects import DEDICATED, Dialect

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_OWN_ROUTES: Final = frozenset(
    {"/status", "/status/{job_id}", "/cancel", "/cancel/{job_id}", "/stream/{job_id}", "/health"}
)
_JSON: Final = "application/json"
_FORMS: Final = ("multipart/form-data", "application/x-www-form-urlencoded")
_FAULTS: Final = (ValueError, TypeError, KeyError, AttributeError, RecursionError)

_DEEPEST: Final = 8  # a schema may lead round in circles

Json = Mapping[str, Any]


def recognise(document: Document | None) -> Recognition:
    """`CERTAIN` by a mark of one of the three; an address alone tells nothing."""
    if document is None or dialects.of_document(document.content) is Dialect.UNKNOWN:
        return Recognition.NO
    return Recognition.CERTAIN


def discover(binding: Binding) -> Flow[Document | None]:
    """Fetch `openapi.json`: under the address, else at the root, where it stays when routes have a prefix."""
    base = binding.options.url
    for url in dict.fromkeys((wire.join(base, "openapi.json"), wire.join(wire.origin(base), "openapi.json"))):
        response = yield Request(method="GET", url=url, headers={"accept": _JSON}, repeatable=True)
        if response.ok and response.media_type.endswith("json"):
            content = response.json()
            if isinstance(content, Mapping) and "paths" in content and _is_of(base, url, content):
                return Document(content=content, url=url)
        response.drop()
    return None


def _is_of(base: str, url: str, content: Json) -> bool:
    """Whether the document found describes what lies at the address: the root's may hold none of its paths."""
    mount = urlsplit(base).path
    at_root = bool(mount) and url == wire.join(wire.origin(base), "openapi.json")
    return not at_root or any(str(path).startswith(mount + "/") for path in _mapping(content, "paths"))


def describe(binding: Binding, document: Document) -> ServiceSpec:
    """The document read; what cannot be read is listed in `problems`."""
    content: Json = document.content if isinstance(document.content, Mapping) else {}
    info = _mapping(content, "info")
    reader = _Reader(content, dialects.of_document(content), _mounted(binding, document, content))
    found = list(reader.operations())
    return ServiceSpec(
        title=_text(info, "title"),
        version=_text(info, "version"),
        doc=_text(info, "description"),
        endpoints=_one_a_function([item for item in found if isinstance(item, EndpointSpec)]),
        security=tuple(_security(content)),
        traits=_traits(info, reader),
        problems=tuple(item for item in found if isinstance(item, Problem)),
    )


def _one_a_function(endpoints: Sequence[EndpointSpec]) -> tuple[EndpointSpec, ...]:
    """The endpoints, a function that is served under several methods of one path only once: by POST if it can be."""
    chosen: dict[tuple[str, tuple[str, ...]], EndpointSpec] = {}
    for endpoint in endpoints:
        function = (endpoint.path, tuple(endpoint.parameters))
        if function not in chosen:
            chosen[function] = endpoint
            continue
        kept = endpoint if endpoint.method == "POST" else chosen[function]
        chosen[function] = kept.model_copy(update={"name": python_name(last_segment(kept.path))})
    return tuple(chosen.values())


def _traits(info: Json, reader: _Reader) -> dict[str, str]:
    compute = _text(_mapping(info, "apipod"), "compute")
    known = {"dialect": str(reader.dialect), "compute": compute, "prefix": reader.prefix}
    return {name: text for name, text in known.items() if text}


def _mounted(binding: Binding, document: Document, content: Json) -> str:
    """What the document's paths begin with and the service's address already holds: `/api`; else empty."""
    mount = urlsplit(binding.options.url).path
    paths = _mapping(content, "paths")
    same = mount and document.url == wire.join(wire.origin(binding.options.url), "openapi.json")
    return mount if same and any(str(path).startswith(mount + "/") for path in paths) else ""


@dataclass(frozen=True, slots=True)
class _Reader:
    """One document being read.

    Args:
        root: The document, for its references.
        dialect: Whose it is.
        mounted: What is cut from its paths.
    """

    root: Json
    dialect: Dialect
    mounted: str

    @property
    def prefix(self) -> str:
        """Where the server's own routes are: `/api` of `/api/status`; empty at the root, as ours always are."""
        if self.dialect is Dialect.FARCALL:
            return ""
        paths = [str(path).removeprefix(self.mounted) for path in _mapping(self.root, "paths")]
        found = [p.removesuffix("/status/{job_id}") for p in paths if p.endswith("/status/{job_id}")]
        found += [p.removesuffix("/status") for p in paths if p.endswith("/status")]
        return min(found, key=len, default="")

    def operations(self) -> Iterator[EndpointSpec | Problem]:
        """Each operation of the service, or why it was left out."""
        prefix = self.prefix
        for path, item in _mapping(self.root, "paths").items():
            place = str(path).removeprefix(self.mounted)
            if place.startswith(prefix) and self._is_own(place.removeprefix(prefix)):
                continue
            methods = [m for m in _METHODS if isinstance(item, Mapping) and m in item]
            for method in methods:
                yield self._operation(place, method, item)
            if not methods:
                yield Problem(place, "it has no operation that can be called")

    def _is_own(self, path: str) -> bool:
        jobs = path == "/jobs" or path.startswith("/jobs/")
        return path in _OWN_ROUTES or (jobs and self.dialect is Dialect.FARCALL)

    def _operation(self, path: str, method: str, item: Json) -> EndpointSpec | Problem:
        try:
            return self._endpoint(path, method, item, schemas.resolve(item[method], self.root))
        except _FAULTS as error:
            return Problem(f"{method.upper()} {path}", f"{type(error).__name__}: {error}")

    def _endpoint(self, path: str, method: str, item: Json, operation: Json) -> EndpointSpec:
        body = _Body.of(operation, self.root)
        operation_id = _text(operation, "operationId")
        answer = self._answer(operation)
        job = self._makes_job(operation, answer)
        found = [*self._outside(item, operation), *body.parameters(self.dialect)]
        return EndpointSpec(
            path=path,
            name=operation_name(operation_id, method, self.mounted + path),
            method=method,
            parameters=dict(found),
            result=None if job else schemas.to_type(answer, self.root),
            doc=_text(operation, "description") or _text(operation, "summary"),
            deprecated=operation.get("deprecated") is True,
            job=job,
            operation_id=operation_id,
            traits={"root": body.root_name} if body.root_name else {},
        )

    def _answer(self, operation: Json) -> Json:
        """The schema of the reply when all went well; empty if it is not described."""
        replies = _mapping(operation, "responses")
        good = next((code for code in sorted(replies) if code.startswith("2")), "")
        reply = schemas.resolve(_mapping(replies, good), self.root)
        return _mapping(_mapping(_mapping(reply, "content"), _JSON), "schema")

    def _makes_job(self, operation: Json, answer: Json) -> bool | None:
        """Whether a call becomes a job; None: only the reply tells."""
        if self.dialect is Dialect.FARCALL:
            return _mapping(operation, "x-farcall").get("job") is True
        if self.dialect is Dialect.UNKNOWN:
            return None
        compute = _text(_mapping(_mapping(self.root, "info"), "apipod"), "compute")
        return compute != DEDICATED and _text(answer, "$ref").endswith("/JobResult")

    def _outside(self, item: Json, operation: Json) -> Iterator[tuple[str, Parameter]]:
        """The parameters outside the body: the path's own and the operation's, which win."""
        for raw in [*_list(item, "parameters"), *_list(operation, "parameters")]:
            declared = schemas.resolve(raw, self.root)
            schema = {**_mapping(declared, "schema"), "description": _text(declared, "description")}
            needed = declared.get("required") is True
            yield _parameter(declared["name"], schema, self.root, place=Place(declared["in"]), required=needed)


@dataclass(frozen=True, slots=True)
class _Body:
    """An operation's request body.

    Args:
        schema: Its schema, references followed; empty if it has none.
        is_json: Whether it is JSON, else a form.
        root: The document.
        required: Whether it must be there.
        said: Name of a part to the content type it is said to have.
    """

    schema: Json
    is_json: bool
    root: Json
    required: bool
    said: Mapping[str, str]

    @classmethod
    def of(cls, operation: Json, root: Json) -> _Body:
        """The body of an operation; of several kinds JSON is taken first."""
        declared = schemas.resolve(_mapping(operation, "requestBody"), root)
        content = _mapping(declared, "content")
        kind = next((kind for kind in (_JSON, *_FORMS) if kind in content), "")
        if content and not kind:
            raise ValueError(f"its body is {', '.join(content)}, which is not sent")
        schema = _flat(_mapping(_mapping(content, kind), "schema"), root)
        said = {name: _text(raw, "contentType") for name, raw in _mapping(_mapping(content, kind), "encoding").items()}
        return cls(schema, kind == _JSON, root, declared.get("required") is True, said)

    @property
    def root_name(self) -> str:
        """The name of the one parameter that is the whole body; empty where its fields are parameters."""
        return "body" if self.is_json and "properties" not in self.schema else ""

    def parameters(self, dialect: Dialect) -> Iterator[tuple[str, Parameter]]:
        """The body's fields; a pydantic model in it is flattened by these servers, and so it is here."""
        if self.root_name:
            yield _parameter(self.root_name, self.schema, self.root, place=Place.JSON, required=self.required)
        needed = _list(self.schema, "required")
        # ours takes a form's fields as JSON too, so the provider decides by what is sent
        place = Place.JSON if self.is_json else None if dialect is Dialect.FARCALL else Place.FORM
        for name, raw in _mapping(self.schema, "properties").items():
            schema = raw if isinstance(raw, Mapping) else {}
            if name != "job_progress":  # given by the server; an old one may list it
                said = self.said.get(name, "")
                yield _parameter(name, schema, self.root, place=place, required=name in needed, said=said)


def _flat(schema: Json, root: Json) -> Json:
    """A body's schema with its references followed and its `allOf` parts put together."""
    schema = schemas.resolve(schema, root)
    parts = [_flat(part, root) for part in _list(schema, "allOf")]
    if not parts:
        return schema
    every = [*parts, {key: value for key, value in schema.items() if key != "allOf"}]
    properties = {name: value for part in every for name, value in _mapping(part, "properties").items()}
    required = [name for part in every for name in _list(part, "required")]
    return {**schema, "properties": properties, "required": required}


def _parameter(
    name: str, schema: Json, root: Json, *, place: Place | None, required: bool, said: str = ""
) -> tuple[str, Parameter]:
    """A parameter under its Python name; its own name is kept as the alias if they differ."""
    kind = _file_type(schema, root)
    taken = media.kind_said(said) or _media(schema, root)
    if kind is not None and taken is not None:
        kind = media.taking(kind, taken)
    place = Place.FILE if kind is not None and place is not Place.JSON else place
    resolved = schemas.resolve(schema, root)
    plain = name if name.isidentifier() else python_name(name)
    return plain, Parameter(
        kind or schemas.to_type(schema, root),
        default=REQUIRED if required else resolved.get("default"),
        place=place,
        doc=_text(resolved, "description") or None,
        alias=None if plain == name else name,
    )


def _file_type(schema: Json, root: Json, depth: int = 0) -> Any:
    """`File`, `list[File]`, or one of them optional, if the schema means files; None if not.

    Files are `format: binary` (fastapi 0.115), `contentMediaType` (0.165), or a model marked `x-media-type`;
    beside these stands the text of a link or data URI. Source: documents of fast_task_api 1.3.3, 2026-11-23.
    """
    if depth > _DEEPEST:
        return None
    resolved = schemas.resolve(schema, root)
    if schemas.is_file(resolved) or "x-media-type" in resolved:
        return File
    if resolved.get("type") == "array":
        return list[File] if _file_type(_mapping(resolved, "items"), root, depth + 1) is File else None
    variants = [part for key in ("anyOf", "oneOf", "allOf") for part in _list(resolved, key)]
    kinds = [_file_type(variant, root, depth + 1) for variant in variants]
    kind = list[File] if list[File] in kinds else File if File in kinds else None
    nullable = any(isinstance(part, Mapping) and part.get("type") == "null" for part in variants)
    return Optional[kind] if kind is not None and nullable else kind  # noqa: UP045 - made at run time


def _media(schema: Json, root: Json, depth: int = 0) -> media.Kind | None:
    """The kind of media that the model of a file is marked with; None if with none."""
    resolved = schemas.resolve(schema, root)
    if (name := _text(resolved, "x-media-type")) in set(media.BY_TYPE.values()):
        return media.Kind(name)
    if depth > _DEEPEST:
        return None
    parts = [
        _mapping(resolved, "items"),
        *(part for key in ("anyOf", "oneOf", "allOf") for part in _list(resolved, key)),
    ]
    return next(filter(None, (_media(part, root, depth + 1) for part in parts if part)), None)


def _security(content: Json) -> Iterator[SecurityScheme]:
    """The ways in which the service takes a key, as far as they are simple ones."""
    for raw in _mapping(_mapping(content, "components"), "securitySchemes").values():
        scheme = raw if isinstance(raw, Mapping) else {}
        kind, way = _text(scheme, "type"), _text(scheme, "scheme").lower()
        if kind == "apiKey" and scheme.get("in") in {"header", "query", "cookie"}:
            yield SecurityScheme(kind=scheme["in"], name=_text(scheme, "name"))
        elif kind == "http" and way == "bearer":
            yield SecurityScheme(kind="bearer")
        elif kind == "http" and way == "basic":
            yield SecurityScheme(kind="basic")


# --- JSON of unknown shape --------------------------------------------------------------------------------


def _mapping(raw: Any, key: str) -> Json:
    value = raw.get(key) if isinstance(raw, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _list(raw: Json, key: str) -> list[Any]:
    value = raw.get(key)
    return value if isinstance(value, list) else []


def _text(raw: Json, key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""
