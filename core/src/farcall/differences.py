"""What two descriptions of one service say differently."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from farcall.spec import HOSTS_OWN, EndpointSpec, Parameter


def differences(one: Iterable[EndpointSpec], other: Iterable[EndpointSpec], *, there: str) -> Iterator[str]:
    """A sentence for each difference that a caller could notice; what the hosts themselves offer is left out.

    Args:
        one: The endpoints as they should be.
        other: Those to compare.
        there: What the other place is called in a sentence: `under 'prod'`.
    """
    ours, theirs = _own(one), _own(other)
    for name, endpoint in ours.items():
        if name not in theirs:
            yield f"{name} is missing {there}."
        else:
            yield from (f"{name}: {said}" for said in _between(endpoint, theirs[name], there))
    yield from (f"{name} is only {there}." for name in theirs if name not in ours)


def _own(endpoints: Iterable[EndpointSpec]) -> Mapping[str, EndpointSpec]:
    return {endpoint.name: endpoint for endpoint in endpoints if HOSTS_OWN not in endpoint.traits}


def _between(one: EndpointSpec, other: EndpointSpec, there: str) -> Iterator[str]:
    for name, parameter in one.parameters.items():
        if name not in other.parameters:
            yield f"the parameter {name!r} is missing {there}."
        else:
            yield from _of_parameter(name, parameter, other.parameters[name], there)
    yield from (f"the parameter {name!r} is only {there}." for name in other.parameters if name not in one.parameters)
    if one.open != other.open:
        yield f"{'further arguments are' if one.open else 'no further argument is'} taken, and not so {there}."


def _of_parameter(name: str, one: Parameter, other: Parameter, there: str) -> Iterator[str]:
    types = _type(one.type), _type(other.type)
    if types[0] != types[1]:
        yield f"{name!r} is {types[0]}, and {types[1]} {there}."
    if one.required != other.required or one.default != other.default:
        yield f"{name!r} {_default(one)}, and {_default(other)} {there}."


def _type(kind: Any) -> str:
    return inspect.formatannotation(kind).replace("farcall.", "").replace("typing.", "")


def _default(parameter: Parameter) -> str:
    return "is required" if parameter.required else f"is {parameter.default!r} if not given"
