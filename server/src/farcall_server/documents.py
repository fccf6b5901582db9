"""The OpenAPI description of the job routes, rendered from their signatures."""

from __future__ import annotations

import copy
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from farcall import media
from farcall.spec import EndpointSpec, Place, unique_names
from farcall_fasttaskapi.envelope import MEDIA_TYPE, VERSION
from pydantic_core import PydanticSerializationError, to_jsonable_python

from farcall_server import filekinds
from farcall_server.listing import QUERY
from farcall_server.signature import Signature

REFERENCE: Final = "#/components/schemas/{model}"

MARK: Final[Mapping[str, Any]] = {"protocol": VERSION, "version": "0.1.0"}
"""How a client knows this server in the document's `info`."""

# Source: fastsdk 0.4.26, run 2026-11-24: without it, it takes a job's envelope for the result.
OLDER_MARK: Final = "fast-task-api"
"""How FastTaskAPI's and APIPod's clients know that a service makes jobs."""

_WITHOUT_FILES: Final = ("application/json", "application/x-www-form-urlencoded")

# Source: fastsdk 0.4.26, run 2026-11-24: were JSON listed too, it would send a file's path there.
AS_TEXTS: Final = (
    "JSON and a form are taken too, with each file as a text: base64, a data: address, an http(s) address, or "
    '{"file_name": …, "content_type": …, "content": …}.'
)
"""What is said of a body that holds files, and described as multipart alone."""

MEDIA: Final = {kind: f"{first}/*" for first, kind in media.BY_TYPE.items()}

KEY_SCHEME: Final = "ApiKey"

JOB_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "JobResult",  # the name by which fastsdk 0.4.26 knows that it must ask again
    "type": "object",
    "description": "One submitted call. Ask for it again under GET /status/{id}.",
    "required": ["id", "status"],
    "properties": {
        "id": {"type": ["string", "null"]},
        "job_id": {"type": ["string", "null"]},
        "status": {"enum": ["Queued", "Processing", "Finished", "Failed", "Cancelled", "Timeout"]},
        "progress": {
            "type": ["object", "null"],
            "properties": {"progress": {"type": ["number", "null"]}, "message": {"type": ["string", "null"]}},
        },
        "message": {"type": ["string", "null"]},
        "error": {"type": ["string", "null"]},
        "result": {},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}

_ERROR_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "ArgumentErrors",
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"type": {"type": "string"}, "loc": {"type": "array"}, "msg": {"type": "string"}},
            },
        }
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """One operation to be described.

    Args:
        signature: The endpoint.
        methods: In capitals.
        tags: Under which it is listed.
        concurrency: How many calls may run at once; None for a plain endpoint.
    """

    signature: Signature
    methods: Sequence[str]
    tags: Sequence[str] = ()
    concurrency: int | None = None


def describe(document: Mapping[str, Any], operations: Sequence[Documented], *, keyed: bool = False) -> dict[str, Any]:
    """A copy of FastAPI's document with the operations it does not know.

    What FastAPI has already written of an operation (the headers and security of its dependencies) is kept.

    Args:
        document: FastAPI's.
        operations: Those to add.
        keyed: Whether a caller must show a key.
    """
    made = copy.deepcopy(dict(document))
    made["info"] = {**made.get("info", {}), "farcall": dict(MARK), OLDER_MARK: MARK["version"]}
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    specs = unique_names(tuple(operation.signature.spec for operation in operations))
    for operation, spec in zip(operations, specs, strict=True):
        path = made.setdefault("paths", {}).setdefault(spec.path, {})
        for method in operation.methods:
            known = path.get(method.lower(), {})
            path[method.lower()] = {**known, **_operation(operation, spec, method, known, schemas)}
    if any(spec.job for spec in specs):
        made["paths"]["/jobs"] = {"get": _listing(schemas)}
    if not schemas:
        del made["components"]["schemas"]
    return _keyed(made) if keyed else made


def _keyed(made: dict[str, Any]) -> dict[str, Any]:
    """The document, saying that every operation wants a key and how it is shown."""
    made["components"].setdefault("securitySchemes", {})[KEY_SCHEME] = {"type": "http", "scheme": "bearer"}
    made["security"] = [*made.get("security", ()), {KEY_SCHEME: []}]
    for item in made.get("paths", {}).values():
        for operation in item.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["responses"].setdefault("401", {"description": "The key is missing or unknown."})
                if "security" in operation:  # its own would stand in the place of the document's
                    operation["security"] = [{**way, KEY_SCHEME: []} for way in operation["security"]]
    return made


def _operation(
    operation: Documented, spec: EndpointSpec, method: str, known: Mapping[str, Any], schemas: dict[str, Any]
) -> dict[str, Any]:
    summary = spec.name.replace("_", " ").strip().capitalize()
    name = spec.name if len(operation.methods) == 1 else f"{spec.name}_{method.lower()}"
    arguments = _arguments(operation.signature, schemas)
    made: dict[str, Any] = {"operationId": name, "summary": summary, "description": spec.doc}
    if operation.tags:
        made["tags"] = list(operation.tags)
    in_url = Place.QUERY if method in {"GET", "HEAD", "DELETE"} else None
    made["parameters"] = [*known.get("parameters", ()), *_in_url(spec, arguments, in_url)]
    if in_url is None and (body := _body(operation.signature, arguments)) is not None:
        made["requestBody"] = body
    made["responses"] = _responses(spec, schemas)
    if spec.job:
        made["x-farcall"] = {"job": True}
    return {key: value for key, value in made.items() if value not in ("", [])}


def _listing(schemas: dict[str, Any]) -> dict[str, Any]:
    """The operation that lists jobs."""
    taken = _hoisted(QUERY.json_schema(ref_template=REFERENCE), schemas)["properties"]
    entry = _content(JOB_SCHEMA, schemas)["content"]["application/json"]["schema"]
    page = {
        "type": "object",
        "required": ["jobs"],
        "properties": {"jobs": {"type": "array", "items": entry}, "cursor": {"type": ["string", "null"]}},
    }
    return {
        "operationId": "list_jobs",
        "summary": "List jobs",
        "description": "The jobs there are, newest first, without their results. `cursor` asks for the next page.",
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": schema.pop("description"), "schema": schema}
            for name, schema in taken.items()
        ],
        "responses": {
            "200": {
                "description": "A page of jobs.",
                "content": {"application/json": {"schema": page}, MEDIA_TYPE: {"schema": {"type": "object"}}},
            },
            "422": {"description": "Something in the query is wrong.", **_content(_ERROR_SCHEMA, schemas)},
        },
    }


# --- arguments -----------------------------------------------------------------------------------------------------


def _arguments(signature: Signature, schemas: dict[str, Any]) -> dict[str, Any]:
    """The arguments' JSON Schema, an object; the models in it are moved to the document's own."""
    schema = signature.adapter.json_schema(ref_template=REFERENCE)
    schema = _hoisted(schema, schemas)
    for name, parameter in signature.spec.parameters.items():
        shown = schema["properties"][name]
        if not parameter.required and (default := _default(parameter.default)) is not _UNSAYABLE:
            shown.setdefault("default", default)
        if parameter.doc:
            shown.setdefault("description", parameter.doc)
    return schema


_UNSAYABLE: Final = object()


def _default(value: Any) -> Any:
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, ValueError):
        return _UNSAYABLE


def _hoisted(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions moved into `schemas`, under another name where that one is taken."""
    definitions: dict[str, Any] = schema.pop("$defs", {})
    for name, definition in definitions.items():
        free = name
        while schemas.get(free, definition) != definition:
            free += "_"
        if free != name:
            schema, definitions = _renamed([schema, definitions], name, free)
        schemas[free] = definitions[name]
    schema.setdefault("properties", {})
    return schema


def _renamed(value: Any, name: str, free: str) -> Any:
    old, new = (json.dumps(REFERENCE.format(model=each)) for each in (name, free))
    return json.loads(json.dumps(value).replace(old, new))


def _in_url(spec: EndpointSpec, arguments: Mapping[str, Any], others: Place | None) -> list[dict[str, Any]]:
    made = []
    for name, parameter in spec.parameters.items():
        place = parameter.place if parameter.place is Place.PATH else others
        if place is not None:
            required = place is Place.PATH or parameter.required
            entry = {"name": name, "in": place.value, "required": required, "schema": arguments["properties"][name]}
            made.append(entry)
    return made


def _body(signature: Signature, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    in_path = [name for name, p in signature.spec.parameters.items() if p.place is Place.PATH]
    properties = {k: v for k, v in arguments["properties"].items() if k not in in_path}
    if not properties:
        return None
    required = [name for name in arguments.get("required", ()) if name not in in_path]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    schema["additionalProperties"] = arguments.get("additionalProperties", True)
    if signature.takes_files:
        form: dict[str, Any] = {"schema": schema}
        if encoding := _encoding(signature, properties):
            form["encoding"] = encoding
        return {"required": bool(required), "description": AS_TEXTS, "content": {"multipart/form-data": form}}
    return {"required": bool(required), "content": {each: {"schema": schema} for each in _WITHOUT_FILES}}


def _encoding(signature: Signature, names: Container[str]) -> dict[str, Any]:
    """What the parts with pictures, sounds and films are: `image/*`; a caller makes a picture of an array then."""
    kinds = {name: media.kind_of(kind.type) for name, kind in signature.file_kinds.items() if name in names}
    return {name: {"contentType": MEDIA[kind]} for name, kind in kinds.items() if kind in MEDIA}


# --- answers -------------------------------------------------------------------------------------------------------


def _responses(spec: EndpointSpec, schemas: dict[str, Any]) -> dict[str, Any]:
    refused = {"description": "An argument is wrong.", **_content(_ERROR_SCHEMA, schemas)}
    if not spec.job:
        return {"200": {"description": "The result.", "content": _plain_content(spec)}, "422": refused}
    job = _content(JOB_SCHEMA, schemas)
    own = {MEDIA_TYPE: {"schema": {"type": "object"}}}
    return {
        "200": {"description": "The job, accepted.", "content": {**job["content"], **own}},
        "422": refused,
        "429": {"description": "The queue is full; try again later.", **job},
    }


def _plain_content(spec: EndpointSpec) -> dict[str, Any]:
    if filekinds.of(spec.result) is not None:
        return {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": {}}}


def _content(schema: Mapping[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    schemas[schema["title"]] = dict(schema)
    return {"content": {"application/json": {"schema": {"$ref": REFERENCE.format(model=schema["title"])}}}}
