"""Values as plain trees that can be compared, also those that compare by identity or cannot be copied."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Generator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from farcall.wire import Body, Request, Response


def portrait(value: Any) -> Any:
    """The value as a tree of tuples: equal for values that say the same. Bodies are read if they may be read again."""
    if isinstance(value, str | bytes | int | float | bool | enum.Enum | type | None):
        return value
    if isinstance(value, Mapping):
        return "mapping", tuple((portrait(key), portrait(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(portrait(item) for item in value)
    if isinstance(value, AbstractSet):
        return "set", frozenset(portrait(item) for item in value)
    if isinstance(value, Body) and value.repeatable:
        return "body", asyncio.run(_whole(value))
    if isinstance(value, BaseModel):
        return type(value), tuple((name, portrait(getattr(value, name))) for name in type(value).model_fields)
    if is_dataclass(value):
        return type(value), tuple((field.name, portrait(getattr(value, field.name))) for field in fields(value))
    return value


def finished(answer: Any, reply: Callable[[Request], Response]) -> tuple[tuple[Request, ...], Any]:
    """A hook's answer, and the requests on the way to it if it is a flow."""
    if not isinstance(answer, Generator):
        return (), answer
    asked = []
    try:
        request = next(answer)
        while True:
            asked.append(request)
            request = answer.send(reply(request))
    except StopIteration as end:
        return tuple(asked), end.value
    finally:
        answer.close()


async def _whole(body: Body) -> bytes:
    return b"".join([chunk async for chunk in body.chunks()])
