"""Images, sounds and videos as NumPy, PIL and media-toolkit hold them: sent as files, and made of files.

`from farcall.media import ImageFile` gives media-toolkit's own classes, which is imported then and not before.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import typing
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from farcall import arrays, threads
from farcall.bodies import BytesBody, PathBody
from farcall.errors import InputError
from farcall.libraries import needed
from farcall.saving import safe_name
from farcall.wire import UNKNOWN_TYPE, FileValue

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from farcall.files_async import AsyncFile

TOOLKIT: Final = "media_toolkit"
RATE_HZ: Final = 44_100
"""Samples a second of a sound that is a bare array (media-toolkit 0.2.24, `AudioFile.from_np_array`)."""
CHUNK_BYTES: Final = 1 << 18
HELD_BYTES: Final = 1 << 20
"""A file from elsewhere up to this size is a media object in memory."""


class Kind(StrEnum):
    """What a file parameter takes, under the name of media-toolkit's class."""

    ANY = "MediaFile"
    IMAGE = "ImageFile"
    AUDIO = "AudioFile"
    VIDEO = "VideoFile"


BY_TYPE: Final = {"image": Kind.IMAGE, "audio": Kind.AUDIO, "video": Kind.VIDEO}
"""The first half of a media type to the kind that it is of."""


def __getattr__(name: str) -> Any:
    """One of media-toolkit's classes."""
    if name in set(Kind):
        return getattr(needed(TOOLKIT), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --- types ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taking:
    """Marks a file parameter that takes media of a kind: `Annotated[File, Taking(Kind.IMAGE)]`."""

    kind: Kind

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._taken, handler(source))

    def _taken(self, value: Any) -> Any:
        from farcall.files import File

        made = taken(value, self.kind)
        return value if made is None else File(made)


def kind_of(kind: Any) -> Kind | None:
    """The kind of a media type; None for any other type. Imports nothing."""
    if isinstance(kind, type) and kind.__module__.partition(".")[0] == TOOLKIT and kind.__name__ in set(Kind):
        return Kind(kind.__name__)
    return None


def as_files(kind: Any) -> Any:
    """A type with a marked `File` wherever a media type stands: `list[ImageFile]` becomes `list[File]`."""
    if TOOLKIT not in sys.modules:  # so nobody has a type of it
        return kind
    found = kind_of(kind)
    if found is not None:
        from farcall.files import File

        return Annotated[File, Taking(found)]
    parts = typing.get_args(kind)
    if not parts or typing.get_origin(kind) is typing.Literal:
        return kind
    changed = tuple(as_files(part) for part in parts)
    return kind if changed == parts else _rebuilt(kind, changed)


def kind_said(content_type: str) -> Kind | None:
    """The kind of media that a content type says, or several with commas; None if none, or several kinds.

    >>> kind_said("image/png, image/*")
    <Kind.IMAGE: 'ImageFile'>
    """
    first, *others = {part.strip().partition("/")[0].lower() for part in content_type.split(",")}
    return None if others else BY_TYPE.get(first)


def taking(kind: Any, taken: Kind) -> Any:
    """A type of files that takes media of a kind wherever it takes a file: `list[File]` becomes that of images."""
    from farcall.files import File

    if kind is File:
        return Annotated[File, Taking(taken)]
    parts = typing.get_args(kind)
    changed = tuple(taking(part, taken) for part in parts)
    return kind if changed == parts else _rebuilt(kind, changed)


def bare(kind: Any) -> Any:
    """A type of files as a reader wants it, without its marks: `list[File]`."""
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is Annotated:
        return bare(parts[0])
    changed = tuple(map(bare, parts))
    return kind if changed == parts else _rebuilt(kind, changed)


def _rebuilt(kind: Any, parts: tuple[Any, ...]) -> Any:
    import types

    origin = typing.get_origin(kind)
    if origin in {typing.Union, types.UnionType}:
        return typing.Union[parts]  # noqa: UP007 - made at run time
    return Annotated[parts] if origin is Annotated else origin[parts]


def wanted(kind: Any) -> Kind | None:
    """The kind of media that a result's type asks for; None if for none."""
    if kind is None or TOOLKIT not in sys.modules:
        return None
    found = (wanted(part) for part in typing.get_args(kind))
    return kind_of(kind) or next(filter(None, found), None)


# --- sent ----------------------------------------------------------------------------------------------------------


def taken(value: Any, kind: Kind | None) -> FileValue | None:
    """The file of an array, a PIL image or a media object; None if the value is none of them.

    Args:
        value: Anything; a sound may be `(samples a second, array)`.
        kind: What the parameter takes; None: any file.

    Raises:
        InputError: It cannot be written as what the parameter takes.
    """
    if isinstance(value, tuple) and kind is Kind.AUDIO and len(value) == 2 and _is(value[1], "numpy", "ndarray"):
        return _bytes("audio.wav", "audio/wav", arrays.wav(value[1], int(value[0])))
    if _is(value, "numpy", "ndarray"):
        return _array(value, kind)
    if _is(value, "PIL.Image", "Image"):
        if kind in {Kind.AUDIO, Kind.VIDEO}:
            raise InputError(f"an image is no {kind}")
        return _bytes("image.png", "image/png", _png(value))
    if _is(value, TOOLKIT, "MediaFile"):
        return FileValue(
            name=safe_name(value.file_name or "file"),
            media_type=value.content_type or UNKNOWN_TYPE,
            body=(body := _MediaBody(value)),
            size=body.length,
        )
    return None


def returned(value: Any) -> FileValue | None:
    """The file of a PIL image or a media object that a function returned; None for all else, arrays too."""
    made_of = _is(value, "PIL.Image", "Image") or _is(value, TOOLKIT, "MediaFile")
    return taken(value, None) if made_of else None


def _is(value: Any, module: str, name: str) -> bool:
    """Whether a value is of a library's class; a library that nobody has imported has no values."""
    home = sys.modules.get(module)
    return home is not None and isinstance(value, getattr(home, name, ()))


def _array(value: Any, kind: Kind | None) -> FileValue:
    if kind is Kind.IMAGE:
        return _bytes("image.png", "image/png", arrays.png(value))
    if kind is Kind.AUDIO:
        return _bytes("audio.wav", "audio/wav", arrays.wav(value, RATE_HZ))
    if kind is Kind.VIDEO:
        raise InputError("an array is not made into a video; give a path, bytes or a VideoFile")
    return _bytes("array.npy", UNKNOWN_TYPE, arrays.npy(value))


def _bytes(name: str, media_type: str, content: bytes) -> FileValue:
    return FileValue(name=name, media_type=media_type, body=BytesBody(content), size=len(content))


def _png(image: Any) -> bytes:
    target = io.BytesIO()
    try:
        image.save(target, "PNG")
    except (OSError, ValueError) as error:
        raise InputError(f"this image cannot be written as PNG ({error}); convert it to RGB first") from error
    return target.getvalue()


class _MediaBody:
    """A media object's bytes; read piece by piece, since `to_bytes` would hold them all."""

    repeatable = True

    def __init__(self, media: Any) -> None:
        self._media = media
        self.length = int(media.file_size("bytes"))

    async def chunks(self) -> AsyncIterator[bytes]:
        pieces = iter(self._media.chunks(CHUNK_BYTES))
        while (piece := await threads.run(next, pieces, None)) is not None:
            yield piece


# --- given ---------------------------------------------------------------------------------------------------------


async def media_file(file: AsyncFile, kind: Kind | None = None) -> Any:
    """A file as media-toolkit's object; a large one is read from the disk when it is wanted.

    Args:
        file: On this machine or elsewhere; what is large and elsewhere is fetched to a temporary file, gone with the
            object.
        kind: Which class; None: by the file's media type.

    Raises:
        UsageError: media-toolkit is not installed.
        FileError: The file cannot be fetched, or is not whole.
    """
    toolkit = await threads.run(needed, TOOLKIT)
    first = file.media_type.partition("/")[0]
    name = safe_name(file.name)
    made = getattr(toolkit, kind or BY_TYPE.get(first, Kind.ANY))(file_name=name, content_type=file.media_type)
    if isinstance(file.value.body, PathBody):
        return await threads.run(made.from_file, file.value.body.path)
    if file.size is not None and file.size <= HELD_BYTES:
        return await threads.run(made.from_bytes, await file.read())
    folder = Path(await threads.run(tempfile.mkdtemp, prefix="farcall-media-"))
    weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
    return await threads.run(made.from_file, str(await file.save(folder)))


async def given(value: Any, kind: Kind) -> Any:
    """A result with a media object wherever a file stands."""
    from farcall.files_async import AsyncFile

    if isinstance(value, AsyncFile):
        return await media_file(value, kind)
    if type(value) is list:
        return [await given(item, kind) for item in value]
    if type(value) is dict:
        return {key: await given(item, kind) for key, item in value.items()}
    return value
