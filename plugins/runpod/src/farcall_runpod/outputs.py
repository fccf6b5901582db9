"""What our worker puts into a Runpod job's output: our envelope, in every place where Runpod lets a worker speak.

- `output`, COMPLETED: the envelope; of a worker that streams a list of its pieces, the envelope its last item.
- `output`, IN_PROGRESS: the envelope of a running job; `data.rev` grows, so that a late one is known.
- `error`, FAILED: JSON as Runpod's own of an exception (`error_type`, `error_message`, `error_traceback`), with the
  envelope's other keys.
- an item of `/stream`: a piece of output, see `piece`; the last one is the envelope.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from farcall.jobs import Snapshot, State
from farcall_fasttaskapi.envelope import VERSION, render, render_chunk
from pydantic_core import to_json

# Source: runpod 1.12.0, serverless/modules/rp_job.py (read 2026-11-24): a dictionary with one of these keys is not
# passed on as it is.
_TAKEN: Final = frozenset({"error", "refresh_worker", "farcall"})


def envelope(look: Snapshot) -> dict[str, Any]:
    """The output of a job that succeeded, or that runs; its files with their bytes in memory."""
    return render(look)


def failed(look: Snapshot) -> dict[str, str]:
    """What a handler returns of a job that came to another end, so that Runpod ends it as FAILED."""
    rest = render(replace(look, error=None, error_type=None, traceback=None))
    fault = {
        "error_type": look.error_type or look.state.value,
        "error_message": look.error or look.state.value,
        "error_traceback": look.traceback or "",
    }
    return {"error": to_json({**fault, **rest}).decode()}


def ended(look: Snapshot) -> dict[str, Any]:
    """What a handler returns at a job's end."""
    return envelope(look) if look.state is State.SUCCEEDED else failed(look)


def piece(value: Any) -> Any:
    """A piece of output: the value itself, where nothing else can be taken for it.

    A value with files in it, or with a key that Runpod or we read, is `{"farcall": 1, "chunk": {"value", "files"}}`.
    """
    if isinstance(value, Mapping) and _TAKEN & value.keys():
        return {"farcall": VERSION, "chunk": render_chunk(value)}
    made = render_chunk(value)
    return {"farcall": VERSION, "chunk": made} if made["files"] else value
