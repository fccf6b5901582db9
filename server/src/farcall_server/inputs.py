"""A request's body, whatever its form, as the checked arguments of a function."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from farcall import threads
from farcall.files import File
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from farcall_server.incoming import context, in_long_text
from farcall_server.signature import Field, Signature
from farcall_server.uploads import Folder, LongText, MultipartError, Pair, multipart

T = TypeVar("T")

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
    """The arguments a request holds for a function. Files that lie elsewhere are not fetched yet.

    Args:
        request: Its body has not been read yet.
        signature: What the function takes.
        most_bytes: The largest body taken.
        folder: Where its files go; None: to a temporary one. It is emptied if the request is refused.

    Raises:
        HTTPException: 413 too large, 415 a form of body that is not read, 507 the disk is full.
        RequestValidationError: 422, the body is not what it says, or an argument is wrong, missing or unknown.
    """
    reading = _Reading(request, signature, most_bytes, Folder() if folder is None else folder)
    try:
        return await reading.inputs()
    except OSError as error:
        reading.folder.discard()
        raise HTTPException(507, f"The upload could not be stored: {error.strerror}.") from error
    except BaseException:
        reading.folder.discard()  # no await here: the request may be cancelled
        raise


def again(
    signature: Signature, given: bytes | Mapping[str, Any] | None, folder: Folder | None = None
) -> dict[str, Any]:
    """The checked arguments of a call that was taken on before: `Inputs.given`, read as it was then.

    Args:
        signature: What the function takes now.
        given: What `read` gave.
        folder: Where the call's files go; None: they stay in memory.

    Raises:
        RequestValidationError: The function does not take them any more.
    """
    if isinstance(given, bytes):
        return _check_json(signature, given, folder)
    return _check(signature, given or {}, folder)


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


class _Reading:
    """One request on its way to being a function's arguments."""

    def __init__(self, request: Request, signature: Signature, most_bytes: int, folder: Folder) -> None:
        self.request, self.signature, self.most_bytes, self.folder = request, signature, most_bytes, folder
        self.in_path = request.path_params

    async def inputs(self) -> Inputs:
        """The arguments, by the form in which they came."""
        if self.request.method in {"GET", "HEAD", "DELETE"}:
            return self._paired(self.request.query_params.multi_items(), place="query")
        kind, options = parse_options_header(self.request.headers.get("content-type", ""))
        if kind == b"multipart/form-data":
            return await self._multipart(options.get(b"boundary", b""))
        body = await whole(self.request, min(self.most_bytes, IN_MEMORY_BYTES))
        if kind == b"application/x-www-form-urlencoded":
            return await self._apart(len(body), self._form, body)
        if kind == b"application/json" or kind.endswith(b"+json") or not body:  # no body: no arguments
            return await self._apart(len(body), self._json, body)
        raise HTTPException(
            415, "Send the arguments as application/json, application/x-www-form-urlencoded or multipart/form-data."
        )

    async def _apart(self, size: int, check: Callable[[T], Inputs], body: T) -> Inputs:
        """Check what came in; on a thread if it is large."""
        return await threads.run(check, body) if size > SLOW_BYTES else check(body)

    def _paired(self, pairs: Iterable[tuple[str, str | File]], *, place: str = "body") -> Inputs:
        given = {**_cast(self.signature, pairs), **self.in_path}
        return Inputs(_check(self.signature, given, self.folder, place=place), given, self.folder)

    def _json(self, body: bytes) -> Inputs:
        body = body or b"{}"
        if not self.in_path:
            return Inputs(_check_json(self.signature, body, self.folder), body, self.folder)
        try:
            values = from_json(body)
        except ValueError as error:
            raise _malformed("json_invalid", f"The body is no JSON: {error}.") from error
        given = {**values, **self.in_path} if isinstance(values, dict) else values
        return Inputs(_check(self.signature, given, self.folder), given, self.folder)

    def _form(self, body: bytes) -> Inputs:
        try:
            pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
        except ValueError as error:
            raise _malformed("form_invalid", f"The form cannot be read: {error}.") from error
        return self._paired(pairs)

    async def _multipart(self, boundary: bytes) -> Inputs:
        try:
            async with aclosing(_pieces(self.request, self.most_bytes)) as pieces:
                pairs = await multipart(pieces, boundary, self.folder)
        except MultipartError as error:
            raise _malformed("multipart_invalid", f"The multipart body cannot be read: {error}.") from error
        long = sum(value.size for _, value in pairs if isinstance(value, LongText))
        return await self._apart(long, self._parted, pairs)

    def _parted(self, pairs: Sequence[Pair]) -> Inputs:
        left = IN_MEMORY_BYTES
        short: list[tuple[str, str | File]] = []
        for name, value in pairs:
            if isinstance(value, LongText):
                read = self._short(name, value, left)
                left -= value.size if isinstance(read, str) else 0
                short.append((name, read))
            else:
                short.append((name, value))
        return self._paired(short)

    def _short(self, name: str, text: LongText, most_bytes: int) -> str | File:
        """A long text as the file it stands for, or as it is."""
        known = self.signature.fields.get(name)
        try:
            if known is not None and known.form in {"file", "files"} and (file := in_long_text(text, self.folder)):
                return file
        except ValueError as error:
            raise _malformed("value_error", str(error), name) from error
        if text.size > most_bytes:
            raise HTTPException(413, "The form's texts are too large; send large values as file parts.")
        return Path(text.path).read_text("utf-8", "replace")


def _check_json(signature: Signature, body: bytes, folder: Folder | None) -> dict[str, Any]:
    try:
        return {**signature.presets, **signature.check.validate_json(body, context=_context(signature, folder))}
    except ValidationError as error:
        raise refused(error) from error


def _malformed(kind: str, message: str, *place: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": ("body", *place), "msg": message, "input": None}])


# --- texts -----------------------------------------------------------------------------------------------------------


def _cast(signature: Signature, pairs: Iterable[tuple[str, str | File]]) -> dict[str, Any]:
    """The form's values by name, texts cast to what the function takes; what cannot be cast is left as it is."""
    grouped: dict[str, list[str | File]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return {name: _value(signature.fields.get(name), values) for name, values in grouped.items()}


_NOTHING: Final = ("", "null")
"""Texts that stand for no file: a browser's empty field, and how a form says None."""


def _value(known: Field | None, values: list[str | File]) -> Any:
    if known is not None and known.form == "files":
        return [each for value in values for each in _listed(value)]
    several = known is not None and known.form == "list"
    if len(values) > 1:
        return _repeated(known, values) if known is not None and several else values
    value = values[0]
    if known is None or isinstance(value, File):
        return values if several else value
    if known.form == "text":
        return value
    if known.form == "file":
        return None if value in _NOTHING else value
    if known.holds_files:  # checking whether they fit would write them to the disk
        return _json_or_text(value)
    return _read_text(known, value, otherwise=[value] if several else value)


def _repeated(known: Field, values: list[str | File]) -> list[Any]:
    """The items of a list, each a field of its own: the texts themselves if the list takes them, else what they say."""
    read = [value if isinstance(value, File) else _json_or_text(value) for value in values]
    if known.holds_files:
        return read
    return values if _fits(known, values) or not _fits(known, read) else read


def _fits(known: Field, value: Any) -> bool:
    try:
        known.check.validate_python(value)
    except ValidationError:
        return False
    return True


def _json_or_text(text: str) -> Any:
    try:
        return None if text in _NOTHING else from_json(text)
    except ValueError:
        return text


def _listed(value: str | File) -> Iterable[Any]:
    """The files that one field of several stands for: itself, those of a JSON list, or none if it is empty."""
    if isinstance(value, File) or not value.startswith("["):
        return [] if value in _NOTHING else [value]
    try:
        read = from_json(value)
    except ValueError:
        return [value]
    return read if isinstance(read, list) else [value]


def _read_text(known: Field, text: str, *, otherwise: Any) -> Any:
    """A text as the argument's type: the text itself, what it says as JSON, or nothing where it is empty."""
    return next((candidate for candidate in _readings(text) if _fits(known, candidate)), otherwise)


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


def _check(signature: Signature, values: Any, folder: Folder | None, *, place: str = "body") -> dict[str, Any]:
    try:
        return {**signature.presets, **signature.check.validate_python(values, context=_context(signature, folder))}
    except ValidationError as error:
        raise refused(error, place) from error


def _context(signature: Signature, folder: Folder | None) -> Mapping[str, Any] | None:
    return context(folder) if signature.file_kinds else None


def refused(error: ValidationError, place: str = "body") -> RequestValidationError:
    """The error as FastAPI writes it: 422, with every place that is wrong."""
    entries = error.errors(include_url=False, include_context=False)
    return RequestValidationError(
        [{**entry, "loc": (place, *entry["loc"]), "input": _shown(entry["input"])} for entry in entries]
    )


def _shown(value: Any) -> Any:
    """What was given, as far as it can be shown in an answer."""
    if isinstance(value, str):
        return value[:200].encode("utf-8", "replace").decode()
    if isinstance(value, bytes):
        return value[:200].decode("utf-8", "replace")
    return value if isinstance(value, int | None) else str(value)[:200]
