"""A request's body, whatever its form, as the checked arguments of a function."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from farcall import threads
from farcall.files import File
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from farcall_server.signature import Field, Signature
from farcall_server.uploads import Folder, MultipartError, Pair, multipart

IN_MEMORY_BYTES: Final = 100 * 1024 * 1024
"""Most bytes of a JSON body, a form, or a multipart body's texts: what has to be held in memory to be read."""

MOST_FIELDS: Final = 10_000
SLOW_BYTES: Final = 1024 * 1024
"""A body larger than this is checked on a thread, so that other requests go on."""


@dataclass(slots=True)
class Inputs:
    """A request's arguments, checked and as they came, and the files that came with it."""

    arguments: dict[str, Any]
    given: bytes | Mapping[str, Any] = b""
    folder: Folder = field(default_factory=Folder)


async def read(request: Request, signature: Signature, *, most_bytes: int, folder: Folder | None = None) -> Inputs:
    """The arguments a request holds for a function.

    Args:
        request: Its body has not been read yet.
        signature: What the function takes.
        most_bytes: The largest body taken.
        folder: Where its files go; None: to a temporary one.

    Raises:
        HTTPException: 413 too large, 415 a form of body that is not read, 422 a body that is not what it says.
        RequestValidationError: 422, an argument is wrong, missing or unknown.
    """
    if request.method in {"GET", "HEAD", "DELETE"}:
        pairs = request.query_params.multi_items()
        return Inputs(_check(signature, {**_cast(signature, pairs), **request.path_params}))
    folder = Folder() if folder is None else folder
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data":
        return await _multipart(request, signature, options.get(b"boundary", b""), most_bytes, folder)
    body = await whole(request, min(most_bytes, IN_MEMORY_BYTES))
    if kind == b"application/x-www-form-urlencoded":
        given = _form(request, signature, body)
        return Inputs(_check(signature, given), given, folder)
    if kind == b"application/json" or kind.endswith(b"+json") or not (kind or body):
        return Inputs(await _json(request, signature, body), _given(request, body), folder)
    raise HTTPException(
        415, "Send the arguments as application/json, application/x-www-form-urlencoded or multipart/form-data."
    )


def again(signature: Signature, given: bytes | Mapping[str, Any] | None) -> dict[str, Any]:
    """The checked arguments of a call that was taken on before: `Inputs.given`, read as it was then.

    Raises:
        RequestValidationError: The function does not take them any more.
    """
    if isinstance(given, bytes):
        return _check_json(signature, given, {})
    return _check(signature, given or {})


def _given(request: Request, body: bytes) -> bytes | Mapping[str, Any]:
    if not request.path_params:
        return body or b"{}"
    return {**from_json(body or b"{}"), **request.path_params}


# --- bodies ----------------------------------------------------------------------------------------------------------


async def _pieces(request: Request, most_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes in; 413 as soon as it is surely too large."""
    _check_length(request, most_bytes)
    left = most_bytes
    try:
        async with aclosing(request.stream()) as stream:
            async for piece in stream:
                left -= len(piece)
                if left < 0:
                    raise _too_large(most_bytes)
                yield piece
    except ClientDisconnect as error:
        raise HTTPException(400, "The body ended before it was whole.") from error


def _check_length(request: Request, most_bytes: int) -> None:
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most_bytes:
        raise _too_large(most_bytes)


def _too_large(most_bytes: int) -> HTTPException:
    detail = f"The body is larger than the {most_bytes} bytes taken here."
    return HTTPException(413, detail, headers={"Connection": "close"})


async def whole(request: Request, most_bytes: int) -> bytes:
    """A request's body, in memory; 413 if it is larger than allowed."""
    async with aclosing(_pieces(request, most_bytes)) as pieces:
        read = [piece async for piece in pieces]
    return read[0] if len(read) == 1 else b"".join(read)


async def _json(request: Request, signature: Signature, body: bytes) -> dict[str, Any]:
    if len(body) > SLOW_BYTES:
        return await threads.run(_check_json, signature, body, request.path_params)
    return _check_json(signature, body, request.path_params)


def _check_json(signature: Signature, body: bytes, in_path: Mapping[str, Any]) -> dict[str, Any]:
    try:
        if not in_path:
            return {**signature.presets, **signature.check.validate_json(body or b"{}")}
        values = from_json(body or b"{}")
    except ValidationError as error:
        raise refused(error) from error
    except ValueError as error:
        raise _malformed("json_invalid", f"The body is no JSON: {error}.") from error
    return _check(signature, {**values, **in_path} if isinstance(values, dict) else values)


def _form(request: Request, signature: Signature, body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise _malformed("form_invalid", f"The form cannot be read: {error}.") from error
    return {**_cast(signature, pairs), **request.path_params}


async def _multipart(
    request: Request, signature: Signature, boundary: bytes, most_bytes: int, folder: Folder
) -> Inputs:
    try:
        async with aclosing(_pieces(request, most_bytes)) as pieces:
            pairs = await multipart(pieces, boundary, folder, most_text_bytes=min(most_bytes, IN_MEMORY_BYTES))
        given = {**_cast(signature, pairs), **request.path_params}
        return Inputs(_check(signature, given), given, folder)
    except MultipartError as error:
        await threads.run(folder.discard)
        raise _malformed("multipart_invalid", f"The multipart body cannot be read: {error}.") from error
    except OSError as error:
        await threads.run(folder.discard)
        raise HTTPException(507, f"The upload could not be stored: {error.strerror}.") from error
    except BaseException:
        folder.discard()  # no await here: the request may be cancelled
        raise


def _malformed(kind: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": ("body",), "msg": message, "input": None}])


# --- texts -----------------------------------------------------------------------------------------------------------


def _cast(signature: Signature, pairs: Iterable[Pair]) -> dict[str, Any]:
    """The form's values by name, texts cast to what the function takes; what cannot be cast is left as it is."""
    grouped: dict[str, list[str | File]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return {name: _value(signature.fields.get(name), values) for name, values in grouped.items()}


def _value(known: Field | None, values: list[str | File]) -> Any:
    several = known is not None and known.form in {"list", "files"}
    if len(values) > 1:
        return values
    value = values[0]
    if known is None or isinstance(value, File):
        return values if several else value
    if known.form == "text":
        return value
    if known.form == "files":
        return values
    return _read_text(known, value, otherwise=[value] if several else value)


def _read_text(known: Field, text: str, *, otherwise: Any) -> Any:
    """A text as the argument's type: the text itself, what it says as JSON, or nothing where it is empty."""
    for candidate in _readings(text):
        try:
            known.check.validate_python(candidate)
        except ValidationError:
            continue
        return candidate
    return otherwise


def _readings(text: str) -> Iterable[Any]:
    if not text:  # what an empty field of a form means, and what FastTaskAPI and APIPod take it for
        yield from (None, text)
        return
    yield text
    try:
        yield from_json(text)
    except ValueError:
        return


# --- checking --------------------------------------------------------------------------------------------------------


def _check(signature: Signature, values: Any) -> dict[str, Any]:
    try:
        return {**signature.presets, **signature.check.validate_python(values)}
    except ValidationError as error:
        raise refused(error) from error


def refused(error: ValidationError) -> RequestValidationError:
    """The error as FastAPI writes it: 422, with every place that is wrong."""
    entries = error.errors(include_url=False, include_context=False)
    return RequestValidationError(
        [{**entry, "loc": ("body", *entry["loc"]), "input": _shown(entry["input"])} for entry in entries]
    )


def _shown(value: Any) -> Any:
    """What was given, as far as it can be shown in an answer."""
    if isinstance(value, str):
        return value[:200].encode("utf-8", "replace").decode()
    if isinstance(value, bytes):
        return value[:200].decode("utf-8", "replace")
    return value if isinstance(value, int | None) else str(value)[:200]
