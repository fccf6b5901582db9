"""A call's checked arguments as its function takes them: each file within reach, and of the type annotated."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import dataclasses
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from farcall import threads
from farcall.errors import FileError, JobCancelled
from farcall.files import File
from pydantic import BaseModel

from farcall_server.fetching import Fetcher, Room
from farcall_server.job import Job
from farcall_server.signature import Signature
from farcall_server.uploads import Folder

MOST_LINKS: Final = 100
"""Addresses that one call may have fetched, so that nobody floods a third party through the server."""

MOST_AT_ONCE: Final = 8
"""Files of one call that are fetched side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """Gets the files of a call that lie elsewhere, before its function runs.

    Args:
        fetcher: Gets one.
        most_bytes: The most bytes that one call's files may have together.
    """

    fetcher: Fetcher
    most_bytes: int

    async def fetched(self, signature: Signature, arguments: Mapping[str, Any], folder: Folder) -> Mapping[str, Any]:
        """The arguments, with the bytes of each file on this machine.

        Raises:
            FileError: One could not be fetched; the sentence begins with the parameter's name.
        """
        links = [(name, file) for name in _named(signature, arguments) for file in _linked(arguments[name])]
        if len(links) > MOST_LINKS:
            raise FileError(f"{links[MOST_LINKS][0]}: a call may name {MOST_LINKS} files by their addresses, not more.")
        room, turns = Room(self.most_bytes), asyncio.Semaphore(MOST_AT_ONCE)
        got: dict[int, File] = {}

        async def get(name: str, file: File) -> None:
            try:
                async with turns:
                    got[id(file)] = File(await self.fetcher.fetch(file.value, folder, room=room))
            except FileError as error:
                raise FileError(f"{name}: {error}") from None  # what lies under it may show the address's query

        await _all([get(name, file) for name, file in links])
        return _with(arguments, {name for name, _ in links}, lambda file: got.get(id(file), file))

    async def ready(self, signature: Signature, arguments: Mapping[str, Any], folder: Folder) -> Mapping[str, Any]:
        """The arguments as the function takes them; nothing blocks the event loop.

        Raises:
            FileError: A file could not be fetched.
        """
        if not signature.file_kinds:
            return arguments
        here = await self.fetched(signature, arguments, folder)
        return await threads.run(converted, signature, here)

    def from_thread(self, signature: Signature, job: Job, loop: asyncio.AbstractEventLoop | None) -> Mapping[str, Any]:
        """A job's arguments, with the bytes of each file on this machine; fetched on `loop` while this thread waits.

        Raises:
            FileError: A file could not be fetched.
            JobCancelled: Somebody asked for the job's end meanwhile.
        """
        if loop is None or not _lie_elsewhere(signature, job.arguments):
            return job.arguments
        future = asyncio.run_coroutine_threadsafe(self.fetched(signature, job.arguments, job.folder), loop)
        job.stop = partial(_give_up, future)
        if job.cancelling:
            future.cancel()
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise JobCancelled("The job was cancelled.") from error
        except FileError as error:
            raise FileError(str(error)) from None  # without the way it took through threads and loops
        finally:
            job.stop = None


async def _all(tasks: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Do all of them side by side; the first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
    except* FileError as errors:
        raise errors.exceptions[0] from None


def _give_up(fetched: concurrent.futures.Future[Any]) -> None:
    fetched.cancel()


def _linked(value: Any) -> list[File]:
    """The files in an argument that are known by their address alone."""
    found: list[File] = []

    def note(file: File) -> File:
        if file.value.body is None:
            found.append(file)
        return file

    _changed(value, note)
    return found


def _lie_elsewhere(signature: Signature, arguments: Mapping[str, Any]) -> bool:
    """Whether a file must be fetched before the function can run."""
    return any(_linked(arguments[name]) for name in _named(signature, arguments))


def converted(signature: Signature, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments with each file as the type its annotation names; may read from the disk."""
    if not signature.file_kinds:
        return arguments
    made = dict(arguments)
    for name in _named(signature, arguments):
        made[name] = _changed(arguments[name], signature.file_kinds[name].make)
    return made


def _with(arguments: Mapping[str, Any], names: Collection[str], change: Callable[[File], Any]) -> Mapping[str, Any]:
    return {name: _changed(value, change) if name in names else value for name, value in arguments.items()}


def _named(signature: Signature, arguments: Mapping[str, Any]) -> list[str]:
    """The arguments that are files, or hold some."""
    return [name for name in signature.file_kinds if name in arguments]


def _changed(value: Any, change: Callable[[File], Any]) -> Any:
    """The value with each file in it changed."""
    if isinstance(value, File):
        return change(value)
    if isinstance(value, tuple) and type(value) is not tuple:  # one with names
        return type(value)(*(_changed(inner, change) for inner in value))
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_changed(inner, change) for inner in value)
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _changed(inner, change) for name, inner in value})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        made = copy.copy(value)
        for field in dataclasses.fields(value):
            object.__setattr__(made, field.name, _changed(getattr(value, field.name), change))  # it may be frozen
        return made
    if isinstance(value, dict):
        return {key: _changed(inner, change) for key, inner in value.items()}
    return value
