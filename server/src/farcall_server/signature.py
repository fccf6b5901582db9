"""What a function takes: its signature read once, at registration, and compiled into a checker."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NotRequired, Required, Union, get_args, get_origin

from farcall.errors import UsageError
from farcall.files import File
from farcall.spec import REQUIRED, EndpointSpec, Parameter, Place, normalised
from fastapi.params import Depends
from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, SchemaValidator
from typing_extensions import TypedDict

from farcall_server import filekinds
from farcall_server.chunks import is_generator
from farcall_server.filekinds import FileKind
from farcall_server.incoming import IncomingFile
from farcall_server.progress import JobProgress

Form = Literal["text", "list", "value", "file", "files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One argument as it is read from a form.

    Args:
        form: `text` is taken as it is; `list` may be repeated; `value` is cast; `file` and `files` are uploaded.
        check: Casts and checks this argument alone.
        holds_files: Whether it is a file, or there may be some in it.
    """

    form: Form
    check: TypeAdapter[Any]
    holds_files: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function as an endpoint sees it.

    Args:
        spec: Path, parameters and documentation, for clients.
        function: What is called, with keyword arguments.
        progress: The parameter that takes a `JobProgress`; None if there is none.
        asynchronous: Whether it is an `async def`.
        streams: Whether it yields its output in pieces.
        presets: Defaults that the function does not hold itself, as written by `Field(1)`.
        fields: Parameter name to how it is read from a form.
        file_kinds: Parameter name to the type of its files; only those that are files, or may hold some.
        adapter: Checks all arguments at once.
        check: The adapter's compiled validator.
    """

    spec: EndpointSpec
    function: Callable[..., Any]
    progress: str | None
    asynchronous: bool
    streams: bool
    presets: Mapping[str, Any]
    fields: Mapping[str, Field]
    file_kinds: Mapping[str, FileKind]
    adapter: TypeAdapter[dict[str, Any]]
    check: SchemaValidator

    @property
    def takes_files(self) -> bool:
        """Whether an argument is a file."""
        return any(field.form in {"file", "files"} for field in self.fields.values())

    @property
    def in_path(self) -> frozenset[str]:
        """The parameters whose values stand in the path."""
        return frozenset(n for n, p in self.spec.parameters.items() if p.place is Place.PATH)


def read(function: Callable[..., Any], path: str, *, method: str = "POST", job: bool) -> Signature:
    """A function's signature as an endpoint.

    Raises:
        UsageError: It has a parameter that no request can fill; the sentence says which and what to write.
    """
    where = f"{getattr(function, '__name__', function)!s} ({path})"
    if is_generator(function) and not job:
        raise UsageError(f"{where} is a generator; serve it by task_endpoint, which streams it, or return a list.")
    parameters, extra = _parameters(function, where)
    progress = _progress_name(parameters)
    taken = {name: _Taken.of(p, where) for name, p in parameters.items() if name != progress}
    template = _template_names(path)
    if unknown := template - taken.keys():
        raise UsageError(f"{where}: the path names {sorted(unknown)}, which the function does not take.")
    adapter = _adapter(taken, where, extra=extra)
    kinds = _file_kinds(taken, where)
    return Signature(
        spec=_spec(function, path, taken, method=method, job=job),
        function=function,
        progress=progress,
        asynchronous=_is_asynchronous(inspect.unwrap(function)),
        streams=is_generator(function),
        presets={n: p.default for n, p in taken.items() if p.preset and p.default is not REQUIRED},
        fields=MappingProxyType(
            {n: Field(form=_form(p.type), check=p.adapter, holds_files=n in kinds) for n, p in taken.items()}
        ),
        file_kinds=MappingProxyType(kinds),
        adapter=adapter,
        check=typing.cast("SchemaValidator", adapter.validator),
    )


def _is_asynchronous(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


# --- parameters ----------------------------------------------------------------------------------------------------


def _parameters(function: Callable[..., Any], where: str) -> tuple[dict[str, inspect.Parameter], bool]:
    """The function's parameters by name, and whether it takes any other keyword."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, SyntaxError, TypeError, ValueError) as error:
        raise UsageError(
            f"{where}: its annotations cannot be read: {error}. Define their names in its module."
        ) from error
    found, extra = {}, False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            extra = True
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            raise UsageError(f"{where}: arguments come by name, so {parameter} cannot be filled; give it a plain name.")
        else:
            found[name] = parameter
    return found, extra


def _progress_name(parameters: Mapping[str, inspect.Parameter]) -> str | None:
    for name, parameter in parameters.items():
        kinds = get_args(parameter.annotation) or (parameter.annotation,)
        if name == "job_progress" or any(isinstance(k, type) and issubclass(k, JobProgress) for k in kinds):
            return name
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """One parameter a request fills."""

    type: Any
    adapter: TypeAdapter[Any]
    default: Any
    preset: bool
    doc: str | None

    @classmethod
    def of(cls, parameter: inspect.Parameter, where: str) -> _Taken:
        kind = Any if parameter.annotation is parameter.empty else parameter.annotation
        default = REQUIRED if parameter.default is parameter.empty else parameter.default
        doc = None
        for note in (*getattr(kind, "__metadata__", ()), default):
            if isinstance(note, Depends):
                raise UsageError(
                    f"{where}: {parameter.name} is a Depends; write task_endpoint(…, dependencies=[Depends(…)]), "
                    "or use app.post for a plain endpoint."
                )
            if isinstance(note, FieldInfo):
                doc = note.description
        preset = isinstance(default, FieldInfo)
        if isinstance(default, FieldInfo):
            kind, default = Annotated[(kind, *default.metadata)] if default.metadata else kind, default.default
            default = REQUIRED if default is PydanticUndefined or default is ... else default
        return cls(type=kind, adapter=_single(kind, parameter.name, where), default=default, preset=preset, doc=doc)


def _single(kind: Any, name: str, where: str) -> TypeAdapter[Any]:
    """The checker of one argument; a file in it never takes a path."""
    for inner in map(_plain, _walk(kind)):
        if inner is bytes:
            raise UsageError(f"{where}: {name} is bytes, which JSON and forms cannot hold; take a File.")
        if filekinds.container_of_media(inner):
            raise UsageError(f"{where}: {name} is a {inner.__name__}; take a list, as in list[ImageFile].")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(_guarded(kind))
    except PydanticUserError as error:
        raise UsageError(f"{where}: {name} has a type that cannot be checked: {error.message}") from error
    return adapter


def _file_kinds(taken: Mapping[str, _Taken], where: str) -> dict[str, FileKind]:
    """The types of the parameters that are files, or hold some."""
    found: dict[str, FileKind] = {}
    for name, parameter in taken.items():
        kinds = {kind.type: kind for inner in _walk(parameter.type) if (kind := filekinds.of(inner)) is not None}
        if len(kinds) > 1:
            named = " and ".join(sorted(kind.__name__ for kind in kinds))
            raise UsageError(f"{where}: {name} is {named}, and nothing tells which is meant; take one of them.")
        if kinds or _holds_file_inside(parameter.type, set()):
            found[name] = next(iter(kinds.values()), filekinds.PLAIN)
    return found


def _holds_file_inside(kind: Any, seen: set[Any]) -> bool:
    """Whether there is a `File` in a model or dataclass of the type."""
    for inner in map(_plain, _walk(kind)):
        if inner is File:
            return True
        if not isinstance(inner, type) or inner in seen:
            continue
        seen.add(inner)
        models: Mapping[str, FieldInfo] = getattr(inner, "model_fields", {}) if issubclass(inner, BaseModel) else {}
        fields = [field.annotation for field in models.values()]
        if dataclasses.is_dataclass(inner) or typing.is_typeddict(inner):
            fields += typing.get_type_hints(inner).values()
        if any(_holds_file_inside(field, seen) for field in fields):
            return True
    return False


def _guarded(kind: Any) -> Any:
    """The type with each type of file in it replaced by one that only takes what a request may hold."""
    if filekinds.of(kind) is not None:
        return IncomingFile
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return Annotated[(_guarded(args[0]), *kind.__metadata__)]
    if not args or origin is Literal or not _holds_file(kind):
        return kind
    made = tuple(_guarded(arg) for arg in args)
    if origin in (Union, UnionType):
        return Union[made]  # noqa: UP007 - made at run time
    return origin[made if len(made) > 1 else made[0]]


def _holds_file(kind: Any) -> bool:
    return any(filekinds.of(inner) is not None for inner in _walk(kind))


def _walk(kind: Any) -> typing.Iterator[Any]:
    yield kind
    for inner in get_args(kind):
        yield from _walk(inner)


def _adapter(taken: Mapping[str, _Taken], where: str, *, extra: bool) -> TypeAdapter[dict[str, Any]]:
    kinds: dict[str, Any] = {}
    for name, parameter in taken.items():
        kind = _guarded(parameter.type)
        kinds[name] = Required[kind] if parameter.default is REQUIRED else NotRequired[kind]
    table = TypedDict("Arguments", kinds)  # type: ignore[misc]  # its keys are known at run time only
    table.__pydantic_config__ = ConfigDict(extra="allow" if extra else "forbid", arbitrary_types_allowed=True)  # type: ignore[attr-defined]
    try:
        adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(typing.cast("Any", table))
    except PydanticUserError as error:
        raise UsageError(f"{where}: its arguments cannot be checked: {error.message}") from error
    return adapter


_LISTS: Final = (list, tuple, set, frozenset)


def _form(kind: Any) -> Form:
    """How an argument of this type is read from a form."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    options = get_args(bare) if get_origin(bare) in (Union, UnionType) else (bare,)
    if options in ((str,), (Any,)):
        return "text"
    options = tuple(o for o in options if o is not NoneType)
    if any(filekinds.of(_plain(option)) is not None for option in options):
        return "file"
    if len(options) == 1 and _plain(options[0]) in _LISTS:
        items = [arg for arg in get_args(options[0]) if arg is not ...]
        return "files" if items and all(filekinds.of(_plain(item)) is not None for item in items) else "list"
    return "value"


def _plain(kind: Any) -> Any:
    origin = get_origin(kind)
    return _plain(get_args(kind)[0]) if origin is Annotated else origin or kind


# --- the spec ------------------------------------------------------------------------------------------------------


def _template_names(path: str) -> set[str]:
    return {piece.partition("}")[0].partition(":")[0] for piece in path.split("{")[1:]}


def served_path(path: str) -> str:
    """A path as it is served and documented, with its templates as they were written."""
    return normalised(path)


def documented_path(path: str) -> str:
    """A served path without its templates' converters: `/items/{id}` of `/items/{id:int}`."""
    head, *pieces = served_path(path).split("{")
    return head + "".join(
        "{" + name.partition(":")[0] + "}" + rest for name, _, rest in (piece.partition("}") for piece in pieces)
    )


def _spec(
    function: Callable[..., Any], path: str, taken: Mapping[str, _Taken], *, method: str, job: bool
) -> EndpointSpec:
    template = _template_names(path)
    place = Place.QUERY if method in {"GET", "HEAD", "DELETE"} else None
    returned = inspect.signature(function, eval_str=True).return_annotation
    return EndpointSpec(
        path=documented_path(path),
        method=method,
        parameters={
            name: Parameter(p.type, default=p.default, place=Place.PATH if name in template else place, doc=p.doc)
            for name, p in taken.items()
        },
        result=None if returned is inspect.Signature.empty else returned,
        doc=inspect.getdoc(function) or "",
        job=job,
    )
