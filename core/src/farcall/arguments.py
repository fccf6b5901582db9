"""Checks and casts the arguments of a call before anything is sent."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, NotRequired, Optional, Required

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, SchemaValidator, to_jsonable_python
from typing_extensions import TypedDict

from farcall import media
from farcall.errors import InputError, PluginError
from farcall.files import LOCAL, File
from farcall.files_async import AsyncFile
from farcall.filetypes import mentions_file, with_folders
from farcall.hints import near
from farcall.spec import EndpointSpec, Parameter

PLAIN: Final = frozenset({str, int, float, bool, type(None)})
"""Types of values that go over the wire as they are, and hold no file."""


class Checker:
    """One endpoint's arguments, compiled once: when it is first called, since a service may have thousands."""

    def __init__(self, endpoint: EndpointSpec) -> None:
        self._name = endpoint.name
        self._order = tuple(endpoint.parameters)
        self._endpoint = endpoint

    @cached_property
    def _validate(self) -> Any:
        return _compiled(self._endpoint)

    @cached_property
    def signature(self) -> inspect.Signature:
        """The endpoint's signature, for `help()` and error messages."""
        return signature(self._endpoint)

    @cached_property
    def takes_files(self) -> frozenset[str]:
        """Names of the parameters that are files."""
        return frozenset(n for n, p in self._endpoint.parameters.items() if mentions_file(p.type))

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name, cast: JSON values, and `File`s where a parameter is a file.

        Raises:
            InputError: One is wrong, missing or unknown; all are named.
        """
        given = self._by_name(args, kwargs) if args else kwargs
        try:
            values: dict[str, Any] = self._validate(given, context=LOCAL if self.takes_files else None)
        except ValidationError as error:
            values = self._once_more(given, error)
        for name, value in values.items():
            if type(value) not in PLAIN and name not in self.takes_files and not self._is_open_file(name, value):
                values[name] = self._plain(name, value)
        return values

    def _is_open_file(self, name: str, value: Any) -> bool:
        """Whether it is a file, or a list with one, in an argument that no parameter declares."""
        if name in self._endpoint.parameters:
            return False
        return isinstance(value, File) or (isinstance(value, list) and any(isinstance(item, File) for item in value))

    def _by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if len(args) > len(self._order):
            raise InputError(
                f"{self._name} takes at most {len(self._order)} arguments and {len(args)} were given: {self}."
            )
        given = dict(zip(self._order, args, strict=False))
        if twice := [name for name in given if name in kwargs]:
            raise InputError(f"{self._name} was given {twice[0]!r} twice, by position and by name: {self}.")
        return {**given, **kwargs}

    def _once_more(self, given: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
        """Try again with the values as they would be written: an Enum's value, a model's fields, NumPy's numbers."""
        plain = {k: v if k in self.takes_files or type(v) in PLAIN else _written(v) for k, v in given.items()}
        if any(plain[k] is not v for k, v in given.items()):
            try:
                values: dict[str, Any] = self._validate(plain, context=LOCAL)
            except ValidationError as second:
                error = second
            else:
                return values
        raise InputError(self._explain(error)) from None

    def _explain(self, error: ValidationError) -> str:
        lines = []
        for fault in error.errors(include_url=False):
            name, *inner = fault["loc"]
            where = f"{name}{''.join(f'[{part!r}]' for part in inner)}"
            if fault["type"] == "missing" and not inner:
                lines.append(f"{name!r} is missing")
            elif fault["type"] == "extra_forbidden" and not inner:
                close = near(str(name), self._order)
                hint = f" (did you mean {close}?)" if close else ""
                lines.append(f"there is no parameter {name!r}{hint}")
            else:
                shown = repr(fault["input"])
                shown = shown if len(shown) <= 80 else shown[:77] + "..."
                lines.append(f"{where} cannot be {shown}: {_said(fault['msg'])}")
        return f"{self._name}: {'; '.join(dict.fromkeys(lines))}. It is {self}."

    def _plain(self, name: str, value: Any) -> Any:
        try:
            return to_jsonable_python(value, inf_nan_mode="constants", fallback=_fallback)
        except (PydanticSerializationError, ValueError) as error:
            raise InputError(f"{self._name}: {name!r} cannot be sent: {error}.") from error

    def __str__(self) -> str:
        return f"{self._name}{self.signature}"


def signature(endpoint: EndpointSpec) -> inspect.Signature:
    """The endpoint as a Python signature; every argument may be given by name, those with a place in order too."""
    listed: list[inspect.Parameter] = []
    optional_seen = False
    for name, parameter in endpoint.parameters.items():
        optional_seen |= not parameter.required
        by_name = parameter.required and optional_seen  # Python allows it only behind a star
        by_name |= bool(listed) and listed[-1].kind is inspect.Parameter.KEYWORD_ONLY
        listed.append(_python_parameter(name, parameter, by_name=by_name))
    if endpoint.open:
        listed.append(inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD))
    returns = inspect.Signature.empty if endpoint.result is None else shown(endpoint.result)
    return inspect.Signature(listed, return_annotation=returns)


def _python_parameter(name: str, parameter: Parameter, *, by_name: bool) -> inspect.Parameter:
    plain = name if name.isidentifier() else "".join(c if c.isalnum() else "_" for c in f"_{name}")
    return inspect.Parameter(
        plain,
        inspect.Parameter.KEYWORD_ONLY if by_name else inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=inspect.Parameter.empty if parameter.required else parameter.default,
        annotation=_annotation(parameter),
    )


def _annotation(parameter: Parameter) -> Any:
    kind = media.bare(parameter.type) if mentions_file(parameter.type) else shown(parameter.type)
    return kind if parameter.default is not None or kind is Any else kind | None


def shown(kind: Any) -> Any:
    """A type as a reader wants it: without the limits that `Annotated` carries."""
    if typing.get_origin(kind) is Annotated:
        return typing.get_args(kind)[0]
    return type(None) if kind is None else kind


def without_numpy(value: Any) -> Any:
    """The value with NumPy's scalars and arrays as Python's numbers and lists, in lists and dicts too."""
    import numpy as np

    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [without_numpy(item) for item in value]
    if isinstance(value, dict):
        return {key: without_numpy(item) for key, item in value.items()}
    return value


def _written(value: Any) -> Any:
    """The value as JSON would hold it; as it is if JSON cannot."""
    try:
        return to_jsonable_python(value, inf_nan_mode="constants", fallback=_fallback)
    except (PydanticSerializationError, ValueError):
        return value


def _fallback(value: Any) -> Any:
    if "numpy" in sys.modules:
        plain = without_numpy(value)
        if plain is not value:
            return plain
    if isinstance(value, File | AsyncFile):
        raise ValueError("a file stands where the service takes none")  # noqa: TRY004 - pydantic wants ValueError
    raise ValueError(f"a {type(value).__name__} cannot be written as JSON")


def _compiled(endpoint: EndpointSpec) -> Any:
    fields: dict[str, Any] = {}
    for name, parameter in endpoint.parameters.items():
        taken = with_folders(parameter.type)
        kind = Optional[taken] if parameter.default is None else taken  # noqa: UP045
        fields[name] = Required[kind] if parameter.required else NotRequired[kind]
    arguments = TypedDict("arguments", fields)  # type: ignore[misc]  # made at run time, for pydantic
    arguments.__pydantic_config__ = ConfigDict(  # type: ignore[attr-defined]
        extra="allow" if endpoint.open else "forbid", arbitrary_types_allowed=True
    )
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(arguments)
    except (PydanticUserError, TypeError, NameError) as error:
        raise PluginError(f"The parameters of {endpoint.name!r} cannot be checked: {error}") from error
    validator = adapter.validator
    return validator.validate_python if isinstance(validator, SchemaValidator) else adapter.validate_python


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".")
