"""One accepted call: what it was given, how far it is, how it ended."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from farcall.jobs import Snapshot, State
from farcall.wire import FileValue

from farcall_server.chunks import Chunks
from farcall_server.listeners import Listener
from farcall_server.outputs import paths_of
from farcall_server.uploads import Folder

MOST_LOG_LINES: Final = 1000

Given = bytes | Mapping[str, Any] | None
"""Arguments as they came, to be checked anew after a restart: a JSON body, or a form's values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended.

    Args:
        state: One of the ended states.
        result: JSON values, with a `FileValue` where a file stands.
        files: The result's files, in the order in which they stand in it.
        error: Why it failed.
        error_type: The exception's class name.
        traceback: The traceback as text.
    """

    state: State
    result: Any = None
    files: tuple[FileValue, ...] = ()
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = None


PENDING: Final = Outcome(state=State.QUEUED)

_drawn: deque[str] = deque()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drawn.clear)  # a child must not give out the parent's ids


def new_id() -> str:
    """An id that cannot be guessed: 48 bits of the time in ms at which it was drawn, then 80 random ones.

    So new ids lie together in an index. They are drawn 256 at a time, all with that time: each draw gives up the
    interpreter lock.
    """
    while True:
        try:
            return _drawn.popleft()
        except IndexError:
            moment, fresh = f"{int(time.time() * 1000):012x}", os.urandom(10 * 256).hex()
            _drawn.extend(moment + fresh[start : start + 20] for start in range(0, len(fresh), 20))


class Job:
    """One accepted call. A store changes it; everybody else looks.

    Args:
        endpoint: The path of the endpoint it was sent to.
        arguments: Checked, ready to be handed to the function; dropped when the job has ended.
        ttl_s: Seconds its result is kept after its end.
        folder: The files that came with it; emptied when it is evicted.

    Attributes:
        revision: Grows with every change that a client can see.
        moments: When it was created, started and finished, in seconds since 1970.
        lines: How many lines the log has had, kept or not.
        chunks: Its output so far, if its function is a generator.
        begun: How many times its function has been begun.
        given: Its arguments as they came; None once they are not needed any more.
        cancelling: Whether somebody asked for its end.
        ending: Whether it has ended, which is yet to be written down before anybody is told.
        stop: What ends it while it runs, beside the flag; None if nothing can.
        told_at: When a waiting client was last told a change, on the monotonic clock.
        number: Its place in the order in which its store took jobs on; 0 before that.
        digest: Of its arguments, if it was sent under a key of its own; else None.
        life: How many times its function had been begun when its server took it up; its output is counted anew then.
        weight: Characters of its end as it was written down.
    """

    __slots__ = (
        "arguments", "begun", "cancelling", "chunks", "digest", "ending", "endpoint", "folder", "given", "id", "life",
        "lines", "listeners", "logs", "message", "moments", "mourners", "number", "outcome", "progress", "revision",
        "state", "stop", "told_at", "ttl_s", "weight",
    )  # fmt: skip

    def __init__(
        self,
        endpoint: str,
        arguments: Mapping[str, Any],
        *,
        ttl_s: float,
        folder: Folder | None = None,
        job_id: str | None = None,
    ) -> None:
        self.id = new_id() if job_id is None else job_id
        self.endpoint = endpoint
        self.arguments = arguments
        self.ttl_s = ttl_s
        self.folder = Folder() if folder is None else folder
        self.state = State.QUEUED
        self.progress: float | None = None
        self.message: str | None = None
        self.logs: deque[str] | None = None
        self.lines = 0
        self.chunks: Chunks | None = None
        self.outcome = PENDING
        self.revision = 0
        self.moments = {"created_at": time.time()}
        self.begun = self.life = 0
        self.given: Given = None
        self.cancelling = False
        self.ending = False
        self.stop: Callable[[], None] | None = None
        self.told_at = 0.0
        self.number = 0
        self.digest: str | None = None
        self.weight = 0
        self.listeners: dict[Listener, None] = {}  # an empty set takes three times as much
        self.mourners: dict[Listener, None] = {}

    def snapshot(self) -> Snapshot:
        """A look at the job as it is now."""
        outcome = self.outcome
        return Snapshot(
            state=self.state,
            job_id=self.id,
            progress=self.progress,
            message=self.message,
            result=outcome.result,
            error=outcome.error,
            error_type=outcome.error_type,
            traceback=outcome.traceback,
            logs=None if self.logs is None else tuple(self.logs),
            data={"rev": str(self.revision)},
        )

    def paths(self, outcome: Outcome) -> AbstractSet[str]:
        """The paths of the files that are kept after this end."""
        return paths_of(outcome.files) | (set() if self.chunks is None else self.chunks.paths)

    def say(self, progress: float | None, message: str | None, line: str | None) -> None:
        """Note progress, message and a line of the log, which keeps the last ones; what is None stays."""
        self.progress = self.progress if progress is None else progress
        self.message = self.message if message is None else message
        if line is not None:
            self.logs = deque(maxlen=MOST_LOG_LINES) if self.logs is None else self.logs
            self.logs.append(line)
            self.lines += 1

    def end(self, outcome: Outcome, moment: float) -> None:
        """The job has ended so, at this moment in seconds since 1970; it needs no arguments any more."""
        self.state, self.outcome, self.arguments, self.given, self.stop = outcome.state, outcome, {}, None, None
        self.progress = 1.0 if outcome.state is State.SUCCEEDED else self.progress
        self.moments["finished_at"] = moment

    def set_logs(self, logs: Sequence[str], lines: int) -> None:
        """Put back the log that the job had."""
        self.logs, self.lines = deque(logs, maxlen=MOST_LOG_LINES), lines
