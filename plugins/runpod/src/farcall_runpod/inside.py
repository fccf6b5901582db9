"""What a worker of ours, of APIPod or of FastTaskAPI put into a job's output: an envelope, or a piece of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from farcall.errors import ProtocolError
from farcall.jobs import Snapshot
from farcall_fasttaskapi import envelope

_JSON_STARTS: Final = ("{", " ", "\n", "\t")


def look(output: Any) -> Snapshot | None:
    """The look at the job that stands in the output; None if the output is the worker's own value.

    A worker of FastTaskAPI writes its envelope as a text, APIPod's a list of one text, and ours as it is; one that
    streams has it as the last piece of a list. Source: fast_task_api 1.3.3 and apipod 1.0.33, run 2026-11-23.

    Raises:
        ProtocolError: It is our own envelope, and broken.
    """
    if isinstance(output, list):
        return None if not output else _last(output)
    raw = _written(output)
    whose = envelope.dialect(raw)
    if whose == "farcall":
        return envelope.read(raw)
    if whose is None:
        return None
    try:
        return envelope.read(raw)
    except ProtocolError:  # a function's own value that only looks like one of theirs
        return None


def _last(output: list[Any]) -> Snapshot | None:
    """The envelope at the end of a list; theirs only where it is all that the list holds."""
    raw = _written(output[-1])
    if len(output) > 1 and envelope.dialect(raw) != "farcall":
        return None
    return None if isinstance(raw, list) else look(raw)


def _written(output: Any) -> Any:
    """The value, or what is written in it as JSON."""
    if not isinstance(output, str) or not output.startswith(_JSON_STARTS):
        return output
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        return output


def is_look(piece: Any) -> bool:
    """Whether a piece of a stream is our envelope, which ends it, and no output."""
    return envelope.dialect(piece) == "farcall"


def chunk(piece: Any) -> Any:
    """A piece of a stream as the function made it.

    Raises:
        ProtocolError: It is one of ours, and broken.
    """
    if isinstance(piece, Mapping) and "farcall" in piece and "chunk" in piece:
        return envelope.read_chunk(piece["chunk"])
    return piece
