"""Writes a file's bytes to the disk: whole or not at all, and over nothing that was not named."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Final

from farcall import threads, unbroken
from farcall.errors import FileError
from farcall.wire import base_name

BATCH_BYTES: Final = 2 << 20
"""How much is written at a time, while the next bytes come in."""

SEPARATORS: Final = (os.sep, os.altsep or os.sep)
_FOREIGN: Final = re.compile(r'[<>:"|?*]')
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


async def save(
    target: str | os.PathLike[str], name: str, write: Callable[[BinaryIO, Path], Coroutine[Any, Any, None]]
) -> Path:
    """Write a file to a path, or into a folder under a name of its own.

    Args:
        target: A path, whose file is replaced; or a folder that exists, in which nothing is.
        name: What the file is called in a folder, from wherever it came.
        write: Writes the bytes to an open file in a folder.

    Returns:
        The path written.

    Raises:
        OSError: The disk refuses.
    """
    path = Path(target)
    into_folder = await threads.run(path.is_dir)
    if not into_folder and os.fspath(target).endswith(SEPARATORS):
        raise NotADirectoryError(errno.ENOTDIR, "there is no such folder; make it first", os.fspath(target))
    folder = path if into_folder else path.parent
    if not into_folder and not await threads.run(folder.exists):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder; make it first", os.fspath(folder))
    part = folder / f".{secrets.token_hex(8)}.part"
    stream = await threads.opened(lambda: part.open("xb"), _discard)  # with the mode any new file gets
    try:
        with stream:
            await write(stream, folder)
        if into_folder:
            return await unbroken.outcome(unbroken.begin(_settle, part, folder, safe_name(name)))
        await unbroken.outcome(unbroken.begin(part.replace, path))
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        raise
    return path


def _discard(part: BinaryIO) -> None:
    part.close()
    Path(part.name).unlink()


async def spool(stream: BinaryIO, pieces: AsyncGenerator[bytes], begin: Callable[[], None] = lambda: None) -> None:
    """Write pieces to an open file, each batch while the next comes in.

    Args:
        stream: Open for writing.
        pieces: The bytes.
        begin: Called before the first are written; what it raises ends it.
    """
    batch: list[bytes] = []
    size = 0
    writing: asyncio.Future[None] | None = None
    try:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                if not size and writing is None:
                    begin()
                batch.append(piece)
                size += len(piece)
                if size >= BATCH_BYTES:
                    if writing is not None:
                        await unbroken.outcome(writing)
                    writing = unbroken.begin(stream.writelines, batch)
                    batch, size = [], 0
        if writing is not None:
            await unbroken.outcome(writing)
        await unbroken.outcome(unbroken.begin(stream.writelines, batch))
    finally:
        if writing is not None:  # the file is closed next
            await unbroken.settled(writing)


def check_room(folder: Path, name: str, expected: int | None) -> None:
    """Raise `FileError` if a folder's disk cannot take so many bytes (None: unknown, so it is tried)."""
    if expected is not None and expected > (free := shutil.disk_usage(folder).free):
        raise FileError(
            f"{name!r} is said to have {expected:,} bytes, and there is room for {free:,} in {str(folder)!r}."
        )


def _settle(part: Path, folder: Path, name: str) -> Path:
    """Give a finished file the first name that is free in its folder."""
    for path in _paths(folder / name):
        try:
            os.link(part, path)
        except FileExistsError:
            continue
        except OSError:  # this disk has no links: the name is taken first, then filled
            try:
                path.open("xb").close()
            except FileExistsError:
                continue
            part.replace(path)
        else:
            part.unlink()
        return path
    raise AssertionError("unreachable")


def _paths(path: Path) -> Iterator[Path]:
    """The path, then `photo-2.png` and so on."""
    yield path
    for number in count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def safe_name(name: str) -> str:
    """A name that came from elsewhere as one a file may have on any system, seen and no device.

    >>> safe_name("../.bashrc"), safe_name("12:30.png"), safe_name("NUL.txt")
    ('bashrc', '12_30.png', '_NUL.txt')
    """
    plain = _FOREIGN.sub("_", base_name(name)).lstrip(". ").rstrip(". ") or "file"
    return f"_{plain}" if _DEVICES.fullmatch(plain) else plain
