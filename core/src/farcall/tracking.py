"""What is remembered of one job while it is followed: its last look, its output, and who waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from farcall.errors import (
    FarcallError,
    JobCancelled,
    JobFailed,
    JobTimedOut,
    PluginError,
    ServiceError,
    UsageError,
    WaitTimeout,
)
from farcall.jobs import Chunk, JobRef, Log, Snapshot, State
from farcall.outbound import Outbound
from farcall.output import Output
from farcall.spec import EndpointSpec


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The core's own options of one call.

    Args:
        timeout_s: Our patience from submission to result, in seconds; None: no end.
        idempotency_key: Sent if the host tells repeated submissions by it; None: one is made up.
        headers: Added to the submitting request.
        follow: Whether the job is followed in the background.
        own: The provider's own options of the call; None if it has none.
    """

    timeout_s: float | None = None
    idempotency_key: str | None = None
    headers: dict[str, str] | None = field(default=None, repr=False)
    follow: bool = True
    own: Any = None


_QUEUED = Snapshot(state=State.QUEUED)
_NO_OUTPUT = Output()
"""What every job has before its first piece; nothing is added to it."""


MOST_LOG_LINES: Final = 100_000
"""How many lines of a job's log are kept, the latest ones."""


class Tracked:
    """One job's memory. Written on the engine's loop only; its attributes may be read from any thread."""

    __slots__ = (
        "_listeners",
        "_logs",
        "_ref",
        "_waiters",
        "accepted_at",
        "chunk_id",
        "due",
        "endpoint",
        "failing_since",
        "failures",
        "following",
        "outbound",
        "output",
        "place",
        "problem",
        "reply",
        "resting",
        "sending",
        "snapshot",
        "started_at",
        "stream_problem",
        "streamed",
        "streaming",
        "told",
        "trouble",
        "wanted",
    )  # fmt: skip

    def __init__(self, endpoint: EndpointSpec, now: float) -> None:
        self.endpoint = endpoint
        self.snapshot = _QUEUED
        self.place: tuple[str, str] | None = None
        """Whose job it is and at which address, once the host has accepted it under an id."""
        self._ref: JobRef | None = None
        self.outbound: Outbound | None = None
        """Its files on their way; None once nothing is to be told of them."""
        self.problem: FarcallError | None = None
        self.stream_problem: FarcallError | None = None
        """Why its output is not whole; the job itself may be well."""
        self._logs: deque[str] | None = None
        self.output = _NO_OUTPUT
        self.chunk_id: str | None = None
        self.streamed = False
        self.streaming = False
        self.reply: asyncio.Task[None] | None = None
        self.started_at = now
        self.accepted_at = now
        self.due = now
        self.sending = False
        """Whether the host may be accepting it just now, so that it can no longer be abandoned."""
        self.failures = 0
        self.failing_since = 0.0
        self.trouble = ""
        """What the last look that failed said."""
        self.resting = False
        """Whether the host asked for a pause until `due`, or did not answer."""
        self.following = False
        self.wanted = False
        """Whether somebody waits for its end, so that it is followed once it is accepted."""
        self.told = False
        """Whether the extensions know that it has ended."""
        self._waiters: dict[asyncio.Future[None], None] = {}
        self._listeners: list[Callable[[Snapshot], None]] = []

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more: the job ended, or we lost it."""
        return self.problem is not None or self.snapshot.state.ended

    @property
    def logs(self) -> tuple[str, ...]:
        """The lines of its log, as far as known."""
        return () if self._logs is None else tuple(self._logs)

    @property
    def accepted(self) -> bool:
        """Whether the host has taken it: it has an id, or its reply streams in."""
        return self.place is not None or self.reply is not None

    @property
    def ref(self) -> JobRef | None:
        """Enough to find it again; None before it is accepted, and where it has no id. Made when it is wanted."""
        job_id, place = self.snapshot.job_id, self.place
        if self._ref is None and place is not None and job_id is not None:
            data = self.snapshot.data
            self._ref = JobRef(provider=place[0], url=place[1], endpoint=self.endpoint.name, id=job_id, data=data)
        return self._ref

    def refer(self, ref: JobRef) -> None:
        """Be the job that was written down."""
        self._ref, self.place = ref, (ref.provider, ref.url)
        self.snapshot = replace(self.snapshot, job_id=ref.id, data=ref.data)

    def see(self, snapshot: Snapshot) -> bool:
        """Take a look in. The end, once seen, stays; returns whether anything changed."""
        old = self.snapshot
        if self.ended:
            return False
        if snapshot.job_id is None and old.job_id is not None:
            snapshot = replace(snapshot, job_id=old.job_id)
        if self.outbound is not None:
            snapshot = self.outbound.seen(snapshot)
        ref = self.ref
        if ref is not None and snapshot.data and snapshot.data != ref.data:
            self._ref = replace(ref, data={**ref.data, **snapshot.data})
        if snapshot.logs is not None:
            self._logs = deque(snapshot.logs, maxlen=MOST_LOG_LINES)
        self.snapshot = snapshot
        if same(old, snapshot):
            return False
        for listener in self._listeners:
            listener(snapshot)
        self._wake()
        return True

    def take(self, piece: Chunk | Log) -> None:
        """Take a piece of output or a line of the log in."""
        if isinstance(piece, Chunk):
            if self.output is _NO_OUTPUT:
                self.output = Output()
            self.output.add(piece.value)
            self.chunk_id = piece.id or self.chunk_id
        else:
            if self._logs is None:
                self._logs = deque(maxlen=MOST_LOG_LINES)
            self._logs.append(piece.line)
        self._wake()

    def lose(self, problem: BaseException) -> None:
        """The job cannot be followed any more; those who wait get this error."""
        if self.ended:
            return
        if isinstance(problem, ServiceError):
            problem.snapshot = problem.snapshot or self.snapshot
        if isinstance(problem, FarcallError):
            self.problem = fresh(problem)
        else:
            self.problem = PluginError(f"Following {self.endpoint.name} broke: {problem!r}")
            self.problem.__cause__ = problem
        self._wake()

    def stream_over(self) -> None:
        """The stream of output has ended, for good."""
        self.streaming = False
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def change(self) -> None:
        """Wait until something is new."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)  # a wait that was given up is not kept

    async def pause(self, seconds: float) -> None:
        """Wait between two tries of its submission; ends at once when it is abandoned meanwhile."""
        self.sending = False
        self._wake()
        try:
            async with asyncio.timeout(seconds):
                while not self.ended:
                    await self.change()
        except TimeoutError:
            return

    async def until(self, condition: Callable[[], bool], timeout_s: float | None, sentence: str) -> None:
        """Wait until a condition holds or the job ended.

        Raises:
            WaitTimeout: It did not within `timeout_s` seconds.
        """
        if condition() or self.ended:
            return
        try:
            async with asyncio.timeout(timeout_s):
                while not condition() and not self.ended:
                    await self.change()
        except TimeoutError:
            raise WaitTimeout(sentence) from None

    async def looks(self) -> AsyncIterator[Snapshot]:
        """The snapshot now, then every change until the end.

        Raises:
            ServiceError: The job could not be followed to its end.
        """
        unread: deque[Snapshot] = deque([self.snapshot])
        listener = unread.append
        self._listeners.append(listener)
        try:
            while True:
                while unread:
                    snapshot = unread.popleft()
                    yield snapshot
                    if snapshot.state.ended:
                        return
                if self.problem is not None:
                    raise fresh(self.problem)
                if self.snapshot.state.ended:
                    return
                await self.change()
        finally:
            self._listeners.remove(listener)

    def error(self) -> FarcallError | None:
        """Why there is no result, as a fresh error; None if there is one, or the job goes on."""
        if self.problem is not None:
            return fresh(self.problem)
        if self.snapshot.state is State.SUCCEEDED:
            return None
        kind = _ERRORS.get(self.snapshot.state)
        if kind is None:
            return None
        return kind(_sentence(self.endpoint.name, self.snapshot), snapshot=self.snapshot)


_ERRORS: dict[State, type[ServiceError]] = {
    State.FAILED: JobFailed,
    State.CANCELLED: JobCancelled,
    State.TIMED_OUT: JobTimedOut,
}


def _sentence(endpoint: str, snapshot: Snapshot) -> str:
    if snapshot.state is State.CANCELLED:
        return f"{endpoint} was cancelled (job {snapshot.job_id})."
    if snapshot.state is State.TIMED_OUT:
        return f"{endpoint} passed the host's time limit (job {snapshot.job_id}). {snapshot.error or ''}".strip()
    kind = f"{snapshot.error_type}: " if snapshot.error_type else ""
    return f"{endpoint} failed: {kind}{snapshot.error or snapshot.message or 'the host gave no reason'}"


def same(a: Snapshot, b: Snapshot) -> bool:
    """Whether a user would see no difference."""
    return (
        a.state is b.state
        and a.progress == b.progress
        and a.message == b.message
        and a.logs == b.logs
        and a.job_id == b.job_id
    )


def check_finished(tracked: Tracked) -> None:
    """Raise the job's error if it has one.

    Raises:
        FarcallError: The job failed, was cancelled, timed out or was lost.
    """
    error = tracked.error()
    if error is not None:
        raise error


E = TypeVar("E", bound=FarcallError)


def fresh(error: E) -> E:
    """The same error, raised nowhere yet: one that is raised again and again keeps every traceback it ever had."""
    kind = type(error)
    new = kind.__new__(kind, *error.args)
    new.__dict__.update(error.__dict__)
    if error.__cause__ is not None:
        new.__cause__ = error.__cause__
    return new


def closed() -> UsageError:
    """What everybody who still waits is told when the service is closed."""
    return UsageError(
        "The service was closed before this job's end was seen; a job that its host has accepted goes on there."
    )
