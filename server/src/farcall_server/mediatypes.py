"""Functions that take media-toolkit's objects: the files of a request, made into them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from farcall import background, media
from farcall.files import File


def given_media(function: Callable[..., Any], annotations: Mapping[str, Any]) -> Callable[..., Any]:
    """The function, called with media objects where it is annotated to take them; as it is if nowhere.

    Args:
        function: Of any colour; what it yields is passed on.
        annotations: Parameter name to type.
    """
    kinds = {name: kind for name, written in annotations.items() if (kind := media.wanted(written)) is not None}
    if not kinds:
        return function
    if inspect.iscoroutinefunction(inspect.unwrap(function)):

        async def call_async(**arguments: Any) -> Any:
            changed = {n: await media.given(_asynchronous(arguments[n]), k) for n, k in kinds.items() if n in arguments}
            return await function(**{**arguments, **changed})

        return call_async

    def call(**arguments: Any) -> Any:
        changed = {
            n: background.run(media.given(_asynchronous(arguments[n]), k)) for n, k in kinds.items() if n in arguments
        }
        return function(**{**arguments, **changed})

    return call


def _asynchronous(value: Any) -> Any:
    """A value with each file in its other colour."""
    if isinstance(value, list):
        return [_asynchronous(item) for item in value]
    return value._async if isinstance(value, File) else value  # noqa: SLF001 - its other half
