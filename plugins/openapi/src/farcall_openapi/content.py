"""Arguments written as a request's body: JSON, multipart, form, or as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from farcall.bodies import TextPart, form_body, json_body, multipart_body
from farcall.errors import UsageError
from farcall.hookspecs import Call
from farcall.spec import Place
from farcall.wire import Body, FileValue

from farcall_openapi import media
from farcall_openapi.media import Form
from farcall_openapi.parameters import Slot, deep_pairs, json_text, plain, usual
from farcall_openapi.plan import Plan

_ANY: Final = "application/octet-stream"
_JSON: Final = "application/json"
Written = tuple[Mapping[str, str], bytes | Body]


def write(plan: Plan, call: Call) -> Written:
    """Headers and bytes of the body; both empty where there is nothing to send."""
    if not plan.body:
        return {}, b""
    form = media.form(plan.body)
    if plan.whole:
        if plan.whole not in call.arguments:
            return {}, b""
        return _whole(form, plan, call)
    given = [(slot, call.arguments[slot.name]) for slot in plan.fields if slot.name in call.arguments]
    rest = call.arguments.get(plan.rest) or {} if plan.rest else {}
    if not given and not rest and not (plan.required and form is Form.JSON):
        return {}, b""
    if form is Form.JSON:
        return _json(plan, {**rest, **{slot.wire: value for slot, value in given}})
    return _fields(form, given + _named(rest), call.token)


def _whole(form: Form, plan: Plan, call: Call) -> Written:
    value = call.arguments[plan.whole]
    if form is Form.JSON:
        return _json(plan, value)
    if form is Form.RAW:
        return _raw(plan.body, value)
    if not isinstance(value, Mapping):
        raise UsageError(f"{plan.whole} becomes a form, so it is a mapping of its fields.")
    return _fields(form, _named(value), call.token)


def _named(values: Mapping[str, Any]) -> list[tuple[Slot, Any]]:
    return [(Slot(name=key, wire=key, style=usual(Place.FORM)), value) for key, value in values.items()]


def _json(plan: Plan, value: Any) -> Written:
    headers, content = json_body(value)
    return (headers if plan.body == _JSON else {"content-type": plan.body}), content


def _fields(form: Form, given: list[tuple[Slot, Any]], token: str) -> Written:
    pairs = [pair for slot, value in given for pair in _pairs(slot, value)]
    if form is Form.MULTIPART:
        return multipart_body(pairs, token)
    texts = [(name, part.text if isinstance(part, TextPart) else part) for name, part in pairs]
    return form_body([(name, text) for name, text in texts if isinstance(text, str)])


def _pairs(slot: Slot, value: Any) -> Iterator[tuple[str, str | TextPart | FileValue]]:
    """A property as form fields: arrays repeat the name, objects are JSON unless a style says otherwise."""
    if slot.style.name == "deepObject":
        yield from deep_pairs(slot.wire, value)
    elif isinstance(value, list) and slot.style.explode:
        yield from ((slot.wire, _part(slot, item)) for item in value)
    elif isinstance(value, list) and slot.style.name != "json":
        yield slot.wire, _SEPARATORS.get(slot.style.name, ",").join(plain(item) for item in value)
    elif value is not None or slot.style.name == "json":
        yield slot.wire, _part(slot, value)


def _part(slot: Slot, value: Any) -> str | TextPart | FileValue:
    """OpenAPI 3.1.1, "Encoding Object": what a part is by default, an object `application/json`."""
    if isinstance(value, FileValue):
        return value
    text = json_text(value) if slot.style.name == "json" else plain(value)
    kind = slot.style.media_type or (_JSON if isinstance(value, Mapping) else "")
    return TextPart(text=text, media_type=kind) if kind else text


_SEPARATORS: Final = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|"}


def _raw(media_type: str, value: Any) -> Written:
    kind = _ANY if "*" in media_type else media_type
    if isinstance(value, FileValue):
        if value.body is None:
            raise UsageError(f"{value.name!r} is only a link, and this service wants the file itself.")
        return {"content-type": value.media_type if "*" in media_type else kind}, value.body
    text = kind if "charset" in kind or not kind.startswith("text/") else f"{kind}; charset=utf-8"
    return {"content-type": text}, plain(value).encode()
