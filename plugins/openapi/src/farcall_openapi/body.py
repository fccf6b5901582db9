"""A request body in the document: which of its media types is sent, and which arguments make it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from farcall.files import File
from farcall.filetypes import mentions_file
from farcall.media import kind_said, taking
from farcall.schemas import is_file, resolve, to_type
from farcall.spec import REQUIRED, Parameter, Place

from farcall_openapi import media
from farcall_openapi.conforming import conforming
from farcall_openapi.draft import Draft
from farcall_openapi.filetype import as_text
from farcall_openapi.media import Form
from farcall_openapi.parameters import STYLES, Style
from farcall_openapi.shape import MalformedError, each, members, schema_of, text

_PLACES = {
    Form.JSON: Place.JSON,
    Form.MULTIPART: Place.FORM,
    Form.URLENCODED: Place.FORM,
    Form.RAW: Place.FORM,
}


@dataclass(slots=True)
class Properties:
    """What an object schema and everything it is `allOf` say together."""

    properties: dict[str, Any] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    more: Any = None
    """Its `additionalProperties`, where it has them said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The media type that is sent: its form, its schema, and the encoding of its parts."""

    media_type: str
    form: Form
    schema: Mapping[str, Any]
    encoding: Mapping[str, Any]


def add(draft: Draft, raw: Any, root: Mapping[str, Any]) -> None:
    """Put an operation's request body into its draft.

    Raises:
        MalformedError: It is malformed, or names no media type.
    """
    body = resolve(members(raw, "the request body"), root)
    required = body.get("required") is True
    chosen = _choose(members(body.get("content"), "the request body's content"), root)
    draft.traits["body"] = chosen.media_type
    if required:
        draft.traits["body_required"] = "yes"
    draft.lost.extend(_headers_of_parts(chosen))
    made = None if chosen.form is Form.RAW else properties(chosen.schema, root)
    if made is None:
        _add_whole(draft, chosen, Parameter(Any, default=REQUIRED if required else None, doc=_doc(body)), root)
    else:
        _add_properties(draft, chosen, made, root, required=required)


def _headers_of_parts(chosen: Chosen) -> Iterator[str]:
    """OpenAPI 3.1.1, "Encoding Object": `headers` counts in multipart only, and a `Content-Type` in it never."""
    for part, raw in chosen.encoding.items() if chosen.form is Form.MULTIPART else ():
        headers = members(members(raw, "an encoding").get("headers", {}), "an encoding's headers")
        if names := [name for name in headers if name.lower() != "content-type"]:
            yield f"the part {part!r} is sent without headers of its own ({', '.join(names)})"


def _choose(content: Mapping[str, Any], root: Mapping[str, Any]) -> Chosen:
    """JSON over multipart over form over the rest, unless multipart carries a file."""
    offers = [_offer(media_type, content[media_type], root) for media_type in media.declared(content)]
    if not offers:
        raise MalformedError("the request body names no media type")
    with_file = (o for o in offers if o.form is Form.MULTIPART and _carries_file(o, root))
    return next(with_file, None) or min(offers, key=lambda offer: offer.form)


def _offer(media_type: str, raw: Any, root: Mapping[str, Any]) -> Chosen:
    value = members(raw, f"the request body's {media_type}")
    said = schema_of(value.get("schema", {}), "the request body's schema")
    schema = {} if isinstance(said, bool) else said
    if media.bare(media_type) in {"*/*", "application/*"} and schema and not is_file(resolve(schema, root)):
        media_type = "application/json"
    encoding = members(value.get("encoding", {}), "the request body's encoding")
    return Chosen(media_type=media_type, form=media.form(media_type), schema=schema, encoding=encoding)


def _carries_file(chosen: Chosen, root: Mapping[str, Any]) -> bool:
    made = properties(chosen.schema, root)
    return made is not None and any(mentions_file(_type(chosen, n, s, root)) for n, s in made.properties.items())


# --- an object's properties ---------------------------------------------------------------------------------


def properties(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Properties | None:
    """An object schema's properties, with those of its `allOf`; None if it is no object with named ones."""
    made = Properties()
    fits = _gather(schema, root, made, set())
    return made if fits and made.properties else None


def _gather(schema: Any, root: Mapping[str, Any], made: Properties, seen: set[str]) -> bool:
    """Take in one schema; False if it may be something else than one object."""
    pointer = members(schema, "a schema").get("$ref")
    if isinstance(pointer, str):
        if pointer in seen:
            return True
        seen.add(pointer)
    schema = resolve(schema, root)
    variants = [v for v in each(schema.get("anyOf") or schema.get("oneOf") or [], "variants") if not _null(v)]
    if len(variants) == 1:
        return _gather(variants[0], root, made, seen)
    if any("$ref" in v or "properties" in v for v in variants if isinstance(v, Mapping)):
        return False
    kinds = schema.get("type", "object")
    if kinds != "object" and not (isinstance(kinds, list) and "object" in kinds):
        return False
    if not all(_gather(part, root, made, seen) for part in each(schema.get("allOf") or [], "allOf")):
        return False
    made.properties.update(members(schema.get("properties", {}), "properties"))
    made.required.update(name for name in each(schema.get("required") or [], "required") if isinstance(name, str))
    made.more = schema.get("additionalProperties", made.more)
    return True


def _null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _add_properties(draft: Draft, chosen: Chosen, made: Properties, root: Mapping[str, Any], *, required: bool) -> None:
    for name, raw in made.properties.items():
        said = {} if isinstance(raw, bool) else resolve(members(raw, f"the property {name}"), root)
        if said.get("readOnly") is True or raw is False:
            continue
        kind = _type(chosen, name, raw, root)
        place = Place.FILE if mentions_file(kind) else _PLACES[chosen.form]
        must = required and name in made.required
        kind = conforming(kind, raw, root)
        parameter = Parameter(kind, default=REQUIRED if must else said.get("default"), place=place, doc=_doc(said))
        draft.add(name, parameter, prefix="body", style=_part_style(chosen, name))
    if made.more:
        kind = dict[str, Any]
        parameter = Parameter(kind, default=None, place=_PLACES[chosen.form], doc="Further properties of the body.")
        draft.traits["body_rest"] = draft.add("additional_properties", parameter, prefix="body")


def _type(chosen: Chosen, name: str, raw: Any, root: Mapping[str, Any]) -> Any:
    kind = to_type(schema_of(raw, f"the property {name}"), root)
    if chosen.form is not Form.MULTIPART:
        return as_text(kind)  # JSON and forms hold no files
    return _by_encoding(chosen, name, kind)


def _by_encoding(chosen: Chosen, name: str, kind: Any) -> Any:
    """A part said to be `image/png` is a file, also where 3.1 leaves its schema empty, and takes pictures."""
    said = text(members(chosen.encoding.get(name, {}), "an encoding").get("contentType"))
    if said and not media.is_json(said) and not said.startswith("text/") and kind in (Any, str):
        kind = File
    return _of_media(kind, said)


def _of_media(kind: Any, said: str) -> Any:
    taken = kind_said(said)
    return kind if taken is None else taking(kind, taken)


def _part_style(chosen: Chosen, name: str) -> Style | None:
    said = members(chosen.encoding.get(name, {}), "an encoding")
    if "style" in said or "explode" in said:
        style = text(said.get("style")) or "form"
        if style not in STYLES[Place.QUERY]:
            raise MalformedError(f"the part {name!r} has the unknown style {style!r}")
        return Style(name=style, explode=said.get("explode", style == "form") is True)
    kind = text(said.get("contentType"))
    if media.is_json(kind):
        return Style(name="json", explode=False, media_type=kind)
    return Style(name="form", explode=True, media_type=kind) if media.is_one(kind) else None


# --- a body that is one argument ----------------------------------------------------------------------------


def _add_whole(draft: Draft, chosen: Chosen, parameter: Parameter, root: Mapping[str, Any]) -> None:
    kind = _raw_type(chosen, root) if chosen.form is Form.RAW else as_text(to_type(chosen.schema, root))
    kind = kind if chosen.form is Form.RAW else conforming(kind, chosen.schema, root)
    place = Place.FILE if mentions_file(kind) else _PLACES[chosen.form]
    whole = Parameter(kind, default=parameter.default, place=place, doc=parameter.doc)
    draft.traits["body_argument"] = draft.add("body", whole, prefix="body")


def _raw_type(chosen: Chosen, root: Mapping[str, Any]) -> Any:
    """A file for bytes, text for whatever is written as text."""
    schema, plain = resolve(chosen.schema, root), media.bare(chosen.media_type)
    if plain.startswith("text/") or plain.endswith(("xml", "yaml")):
        return str
    bytes_like = plain == "application/octet-stream" or plain.startswith(("image/", "audio/", "video/"))
    return _of_media(File, plain) if bytes_like or not schema or is_file(schema) else str


def _doc(schema: Mapping[str, Any]) -> str | None:
    return text(schema.get("description")) or None
