"""What is said of a call beside its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from farcall.engine import Engine
from farcall.errors import UsageError
from farcall.hints import did_you_mean, faults
from farcall.keys import has_controls
from farcall.tracking import CallOptions

OWN_OPTIONS: Final = ("timeout_s", "idempotency_key", "headers", "follow")


def merged(engine: Engine, old: CallOptions, options: Mapping[str, Any]) -> CallOptions:
    """Options of a call with some set anew.

    Raises:
        UsageError: An option is unknown or wrong.
    """
    mine = {name: value for name, value in options.items() if name in OWN_OPTIONS}
    rest = {name: value for name, value in options.items() if name not in OWN_OPTIONS}
    check_seconds(mine.get("timeout_s"))
    _check_own(mine)
    own = old.own if not rest else own_options(engine, {**_set(old.own), **rest})
    return replace(old, **mine, own=own)


def check_seconds(timeout_s: Any) -> None:
    """Raise a `UsageError` if it is no time to wait: seconds, 0 or more, or None."""
    if timeout_s is not None and not (isinstance(timeout_s, int | float) and timeout_s >= 0):
        raise UsageError(f"timeout_s is seconds, 0 or more, or None; not {timeout_s!r}.")


def _check_own(options: Mapping[str, Any]) -> None:
    headers, key = options.get("headers"), options.get("idempotency_key")
    if headers is not None and not isinstance(headers, Mapping):
        raise UsageError(f"headers is a mapping of names to values, or None; not a {type(headers).__name__}.")
    for name, value in (headers or {}).items():  # a header may hold a secret: its value is not shown
        if not (_one_line(name) and _one_line(value)):
            raise UsageError(f"headers: {name!r} and its value must be texts without line ends or control characters.")
    if key is not None and not _one_line(key):
        raise UsageError("idempotency_key is a text without line ends or control characters, or None.")
    if not isinstance(options.get("follow", True), bool):
        raise UsageError(f"follow is True or False; not {options['follow']!r}.")


def _one_line(text: object) -> bool:
    return isinstance(text, str) and not has_controls(text)


def own_options(engine: Engine, given: Mapping[str, Any]) -> BaseModel | None:
    """The provider's own options of a call; None if it takes none.

    Raises:
        UsageError: An option is unknown or wrong.
    """
    model = engine.provider.call_options()
    known = () if model is None else tuple(model.model_fields)
    for name in given:
        if name not in known:
            options = (*OWN_OPTIONS, *known)
            hint = did_you_mean(name, options)
            raise UsageError(f"There is no call option {name!r}.{hint} There are: {', '.join(options)}.")
    try:
        return None if model is None else model.model_validate(dict(given))
    except ValidationError as error:
        raise UsageError(f"A call option is wrong: {faults(error, 'options')}.") from None


def _set(own: BaseModel | None) -> dict[str, Any]:
    return {} if own is None else own.model_dump(exclude_unset=True)
