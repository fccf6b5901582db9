"""Events of our own server's stream, read one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from farcall.errors import ProtocolError
from farcall.jobs import Chunk, Update
from farcall.wire import StreamEvent

from farcall_fasttaskapi import envelope

_MARK: Final[Mapping[str, str]] = {"dialect": "farcall"}


def updates(event: StreamEvent, job_id: str | None, *, base: str) -> Sequence[Update]:
    """What one event says.

    A line of the log says nothing here: each look tells the whole log, and it would stand there twice.

    Args:
        event: An unnamed one or a `chunk` is a piece of output, a `job` is a look.
        job_id: The job it was asked for.
        base: The service's address; put before the files' relative addresses.

    Raises:
        ProtocolError: It is not what our servers send.
    """
    if event.event == "message":
        return (Chunk(value=_json(event), job_id=job_id, id=event.id),)
    if event.event == "chunk":
        return (Chunk(value=envelope.read_chunk(_json(event), base=base), job_id=job_id, id=event.id),)
    if event.event == "job":
        raw = _json(event)
        if not isinstance(raw, Mapping):
            raise ProtocolError(f"The stream holds a look that is no envelope: {str(raw)[:80]!r}.")
        return (envelope.read(raw, base=base, data=_MARK),)
    return ()


def _json(event: StreamEvent) -> Any:
    try:
        return json.loads(event.data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"The stream holds what is no JSON: {event.data[:80]!r}.") from error
