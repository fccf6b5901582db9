"""Gets the files of a call onto the way: inline, written out as text, or through a storage as a link."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from farcall.errors import InputError, PluginError
from farcall.files import File
from farcall.jobs import Step
from farcall.wire import FilePolicy, FileValue

if TYPE_CHECKING:
    from farcall.engine import Engine
    from farcall.tracking import Tracked

HOLDERS: Final = frozenset({File, list})
"""Types of the arguments a file can be in."""


async def travelling(engine: Engine, tracked: Tracked, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments with each file as the host takes it.

    Raises:
        InputError: A file is too large for the host, or cannot be read.
    """
    changed = dict(values)
    for name, value in values.items():
        if isinstance(value, File):
            changed[name] = await _one(engine, tracked, name, value)
        elif isinstance(value, list) and any(isinstance(item, File) for item in value):
            changed[name] = [
                await _one(engine, tracked, name, item) if isinstance(item, File) else item for item in value
            ]
    return changed


async def _one(engine: Engine, tracked: Tracked, name: str, file: File) -> FileValue | str:
    value = file.carried()
    policy = engine.provider.file_transport(engine.binding, tracked.endpoint, name, value)
    if not isinstance(policy, FilePolicy):
        sent = await engine.courier.run(policy, Step.FILE)
        engine.tell("uploaded", tracked, file=value.name)
        return sent.url if sent.url is not None and sent.body is None else sent
    if policy.links and file.public and value.url is not None:
        return value.url
    limit = policy.max_inline_bytes
    if limit is not None and value.size is not None and value.size > limit:
        raise InputError(
            f"{tracked.endpoint.name}: {name!r} has {value.size:,} bytes and this host takes at most {limit:,} "
            "inline; put the file where the host can fetch it and give its address."
        )
    if policy.inline == "part":
        return value
    if policy.inline == "data_uri":
        return await data_uri(value)
    raise PluginError(f"{policy.inline!r} is no way to send a file; it is 'part' or 'data_uri'.")


async def data_uri(value: FileValue) -> str:
    """The file written out as a `data:` address (RFC 2397); held in memory."""
    content = b"" if value.body is None else b"".join([chunk async for chunk in value.body.chunks()])
    return f"data:{value.media_type};base64,{base64.b64encode(content).decode()}"
