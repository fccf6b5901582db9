"""The words in which job APIs say where a job is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from farcall.errors import ProtocolError
from farcall.jobs import State

# The words of: Azure Resource Manager's and Microsoft's REST guidelines (long-running operations, 2026-03), BentoML
# 1.4 tasks, Google's AIP-151, Kubernetes' Job conditions, OGC API Processes 1.0, and those that frameworks' tutorials
# use. Compared without case, blanks, `-` and `_`.
WORDS: Final[Mapping[str, State]] = {
    **dict.fromkeys(
        ("accepted", "created", "enqueued", "new", "notstarted", "pending", "queued", "received", "scheduled",
         "submitted", "waiting"),
        State.QUEUED,
    ),
    **dict.fromkeys(
        ("active", "canceling", "cancelling", "creating", "deleting", "inprogress", "processing", "provisioning",
         "retrying", "running", "started", "starting", "updating"),
        State.RUNNING,
    ),
    **dict.fromkeys(
        ("complete", "completed", "done", "finished", "ok", "ready", "succeeded", "success", "successful"),
        State.SUCCEEDED,
    ),
    **dict.fromkeys(("crashed", "error", "errored", "failed", "failure", "rejected"), State.FAILED),
    **dict.fromkeys(("aborted", "canceled", "cancelled", "dismissed", "revoked", "stopped", "terminated"),
                    State.CANCELLED),
    **dict.fromkeys(("deadlineexceeded", "expired", "timedout", "timeout"), State.TIMED_OUT),
}  # fmt: skip
_BETWEEN: Final = re.compile(r"[\s_-]+")


def known(word: str) -> State | None:
    """The state a word means; None if it is in no table.

    >>> known("In_Progress"), known("shipped")
    (<State.RUNNING: 'running'>, None)
    """
    return WORDS.get(_BETWEEN.sub("", word).lower())


def state_of(word: object, own: Mapping[str, State]) -> State:
    """The state a word means: by the binding's own table, else by the common one.

    Raises:
        ProtocolError: It is in neither.
    """
    state = own.get(str(word)) or (known(word) if isinstance(word, str) else None)
    if state is None:
        raise ProtocolError(
            f"The service says of a job that it is {word!r}, which is in no table; "
            "tell what it means with job={'states': {…}}."
        )
    return state
