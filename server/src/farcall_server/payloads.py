"""Values with files in them as texts that a store keeps, and back."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from farcall.bodies import Base64Body, BytesBody, PathBody
from farcall.files import File
from farcall.wire import FileValue
from pydantic_core import from_json, to_json

from farcall_server.uploads import Folder

IN_ROW_BYTES: Final = 16 * 1024
"""A file up to this size stands in the text; a larger one lies in the job's folder."""


def pack(value: Any, folder: Folder) -> str:
    """A value of JSON values and files as text; blocks while large files are written.

    Where a file stands is written apart from the value, so that nothing a client sends can be taken for one.

    Args:
        value: JSON values, with `File` or `FileValue` where a file stands.
        folder: Where large ones go.
    """
    files: list[dict[str, Any]] = []
    plain = _without_files(value, (), files, folder)
    return to_json({"value": plain, "files": files}, inf_nan_mode="constants").decode()


def unpack(text: str, folder: Folder, make: Callable[[FileValue], Any] = lambda file: file) -> Any:
    """The value that `pack` was given.

    Args:
        text: What it returned.
        folder: The folder it was given.
        make: Called with each file; what it returns stands in the file's place.
    """
    read = from_json(text)
    value = read["value"]
    for entry in read["files"]:
        *way, last = entry["at"] or [None]
        file = make(_file(entry, folder))
        if last is None:
            return file
        inner = value
        for step in way:
            inner = inner[step]
        inner[last] = file
    return value


def _without_files(value: Any, at: tuple[str | int, ...], files: list[dict[str, Any]], folder: Folder) -> Any:
    if isinstance(value, File):
        value = value.value
    if isinstance(value, FileValue):
        files.append({"at": at, **_entry(value, folder)})
        return None
    if isinstance(value, Mapping):
        return {name: _without_files(inner, (*at, name), files, folder) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_files(inner, (*at, place), files, folder) for place, inner in enumerate(value)]
    return value


def _entry(file: FileValue, folder: Folder) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": file.name, "media_type": file.media_type, "size": file.size, "url": file.url}
    body = file.body
    if isinstance(body, PathBody):
        return {**entry, "path": folder.relative(body.path), "length": body.length}
    if isinstance(body, Base64Body):
        body = BytesBody(base64.b64decode(body.text))
    if isinstance(body, BytesBody) and len(body.content) <= IN_ROW_BYTES:
        return {**entry, "base64": base64.b64encode(body.content).decode()}
    if isinstance(body, BytesBody):
        with folder.new() as target:
            target.write(body.content)
        return {**entry, "path": folder.relative(target.name), "length": len(body.content)}
    return entry


def _file(entry: Mapping[str, Any], folder: Folder) -> FileValue:
    body: BytesBody | PathBody | None = None
    if "base64" in entry:
        body = BytesBody(base64.b64decode(entry["base64"]))
    elif "path" in entry:
        body = PathBody(folder.absolute(entry["path"]), entry["length"])
    return FileValue(
        name=entry["name"], media_type=entry["media_type"], size=entry["size"], url=entry["url"], body=body
    )


def shelve(text: str | None, folder: Folder, name: str) -> str | None:
    """The text for a row, if it is small; a large one is written whole to the job's folder, and None returned."""
    if text is None or len(text) <= 4 * IN_ROW_BYTES:
        return text
    part = folder.path() / f"{name}.part"
    part.write_text(text, "utf-8")
    os.replace(part, part.with_name(name))  # noqa: PTH105 - atomic, over what an earlier try left
    return None


def fetch(text: str | None, folder: Folder, name: str) -> str | None:
    """The text that `shelve` was given; None if there was none."""
    if text is not None or not folder:
        return text
    place: Path = folder.path() / name
    return place.read_text("utf-8") if place.exists() else None
