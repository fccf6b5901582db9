"""What a service offers: its endpoints, their parameters, and how it wants to be shown a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from farcall.media import as_files


class _Required:
    """Marks a parameter that has no default; None is a value like any other."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "REQUIRED"

    def __reduce__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()


class Place(StrEnum):
    """Where in a request an argument travels."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    COOKIE = "cookie"
    JSON = "json"
    FORM = "form"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an endpoint.

    Args:
        type: A Python type (`int`, `list[str]`, a pydantic model, `farcall.File`, media-toolkit's `ImageFile`).
        default: What the service takes if the argument is left out; it is shown, not sent.
        place: Where it travels; None: in the path if the path names it, else where the provider puts it.
        doc: One sentence for `help()`.
        alias: Its name on the wire, if that is no Python name.
    """

    type: Any
    _: KW_ONLY
    default: Any = REQUIRED
    place: Place | None = None
    doc: str | None = None
    alias: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", as_files(self.type))
        if self.place is not None:
            object.__setattr__(self, "place", Place(self.place))  # a user may write "query"

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED

    def typed(self, kind: Any) -> Parameter:
        """The parameter with another type."""
        return replace(self, type=kind)


def as_parameter(value: Any) -> Parameter:
    """A parameter from what users write: a `Parameter`, a Python type, or a JSON Schema with `place` and `default`.

    Raises:
        ValueError: The schema or the place is wrong.
    """
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Mapping):
        from farcall.schemas import to_type  # needs File, which needs this module's neighbours

        schema = dict(value)
        place = schema.pop("place", None)
        default = schema.pop("default", REQUIRED)
        doc = schema.get("description")
        kind = to_type(schema, schema)
        if "type" in schema and kind is Any and schema["type"] not in (None, "any"):
            raise ValueError(f"{schema['type']!r} is no JSON Schema type")
        return Parameter(kind, default=default, place=place, doc=doc)
    return Parameter(value)


def _parameters(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return MappingProxyType({name: as_parameter(item) for name, item in value.items()})


def _with_files(data: Mapping[str, Any]) -> dict[str, Any]:
    if not data.get("file_params"):
        return {}
    from farcall.filetypes import with_file_params  # needs File, which needs this module's neighbours

    parameters = {name: as_parameter(item) for name, item in data.get("parameters", {}).items()}
    return {"parameters": with_file_params(parameters, data["file_params"])}


class EndpointSpec(BaseModel):
    """One callable of a service.

    >>> EndpointSpec(path="/add", parameters={"a": int, "b": int}).name
    'add'

    Args:
        path: Under the service's address; may hold `{names}`.
        name: What it is called in Python; by default the path's last literal segment.
        method: HTTP method.
        parameters: Name to Python type, `Parameter`, or JSON Schema (with `place` and `default`), in order.
        file_params: Name to `File` or a media type, for those that are files: another way to write them.
        result: The result's type, for `help()`; a media type: its files come back as such; None if unknown.
        doc: What it does, for `help()`.
        deprecated: Whether the service wants it used no more.
        open: Whether it takes arguments beside its parameters, of any name; a file may be among them.
        job: True if a call becomes a job, False if the reply is the result, None if only the reply tells.
        operation_id: The name the service's own description gives it.
        traits: What the provider wrote down for itself.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, extra="forbid", defer_build=True)

    path: str
    name: str = ""
    method: str = "POST"
    parameters: Annotated[Mapping[str, Parameter], BeforeValidator(_parameters)] = Field(default_factory=dict)
    file_params: Mapping[str, Any] = Field(default_factory=dict)
    result: Any = None
    doc: str = ""
    deprecated: bool = False
    open: bool = False
    job: bool | None = None
    operation_id: str = ""
    traits: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("path"), str):
            path = data["path"] if data["path"].startswith("/") else "/" + data["path"]
            name = data.get("name") or python_name(last_segment(path))
            method = data.get("method", "POST")
            return {**data, "path": path, "name": name, "method": str(method).upper(), **_with_files(data)}
        return data

    def __hash__(self) -> int:
        return hash((self.method, self.path, self.name))


HOSTS_OWN: Final = "verb"
"""The trait of an endpoint that the host offers beside the service's own; its value says which: `health`."""


class SecurityScheme(BaseModel):
    """One way in which a service wants to be shown a key.

    Args:
        kind: How; `header`, `query` and `cookie` carry a bare API key.
        name: The header's, parameter's or cookie's name; unused for `bearer` and `basic`.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    kind: Literal["bearer", "basic", "header", "query", "cookie"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a service's description that could not be used, and why."""

    where: str
    why: str


class ServiceSpec(BaseModel):
    """A service: what it is called, what it offers, how it wants a key.

    Args:
        title: Its own name.
        version: Its own version.
        doc: What it does.
        endpoints: Its callables, in its order. Names are made unique when the service is connected.
        security: The ways it takes a key; the first one is used. Empty: it does not say.
        traits: What the provider learned of the service and needs again, `{"dialect": "2"}`.
        problems: What was left out of the description, and why.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, defer_build=True)

    title: str = ""
    version: str = ""
    doc: str = ""
    endpoints: tuple[EndpointSpec, ...] = ()
    security: tuple[SecurityScheme, ...] = ()
    traits: Mapping[str, str] = Field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


# --- names -------------------------------------------------------------------------------------------------------

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def python_name(text: str) -> str:
    """A lower snake-case Python name.

    >>> python_name("getUserById"), python_name("2img"), python_name("class")
    ('get_user_by_id', '_2img', 'class_')
    """
    import keyword

    name = re.sub(r"[\W_]+", "_", _CAMEL.sub("_", text)).strip("_").lower() or "root"
    name = f"_{name}" if name[0].isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) else name


def last_segment(path: str) -> str:
    """The path's last segment that is no template: `users` of `/users/{id}`."""
    literal = [part for part in path.strip("/").split("/") if part and "{" not in part]
    return literal[-1] if literal else path


def normalised(path: str) -> str:
    """A path as some job servers spell it: lower case, other characters than letters, digits, `/` to `-`.

    Templates (`{…}`) are kept.

    >>> normalised("/Make_Fries/{Item_Id}")
    '/make-fries/{Item_Id}'
    """
    parts = re.split(r"(\{[^}]*\})", path)
    plain = [p if p.startswith("{") else re.sub(r"[^a-z0-9/]+", "-", p.lower()) for p in parts]
    return re.sub(r"/+", "/", "/" + "".join(plain).strip("/"))


def unique_names(endpoints: tuple[EndpointSpec, ...]) -> tuple[EndpointSpec, ...]:
    """The endpoints with one name each: on a clash the whole path, on a further clash the method before it."""
    named = list(endpoints)
    for longer in (_path_name, _method_name):
        counts: dict[str, int] = {}
        for endpoint in named:
            counts[endpoint.name] = counts.get(endpoint.name, 0) + 1
        named = [e if counts[e.name] == 1 else e.model_copy(update={"name": longer(e)}) for e in named]
    seen: dict[str, EndpointSpec] = {}
    for endpoint in named:
        name, number = endpoint.name, 2
        while name in seen:
            name, number = f"{endpoint.name}_{number}", number + 1
        seen[name] = endpoint if name == endpoint.name else endpoint.model_copy(update={"name": name})
    return tuple(seen.values())


def _path_name(endpoint: EndpointSpec) -> str:
    return python_name(endpoint.path)


def _method_name(endpoint: EndpointSpec) -> str:
    return python_name(f"{endpoint.method}_{endpoint.path}")


def operation_name(operation_id: str, method: str, path: str) -> str:
    """The Python name of an OpenAPI operation; FastAPI's made-up `name_path_method` is cut back to `name`.

    >>> operation_name("read_item_items__item_id__get", "GET", "/items/{item_id}")
    'read_item'
    """
    made_up = re.sub(r"\W", "_", f"{path}_{method.lower()}")
    plain = operation_id.removesuffix(made_up) if operation_id != made_up.strip("_") else ""
    return python_name(plain.rstrip("_")) if plain.rstrip("_") else python_name(last_segment(path))
