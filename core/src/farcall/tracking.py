"""What is remembered of one job while it is followed: its last look, its output, and who waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from farcall.errors import (
    FarcallError,
    JobCancelled,
    JobFailed,
    JobTimedOut,
    PluginError,
    ServiceError,
    WaitTimeout,
)
from farcall.jobs import Chunk, JobRef, Log, Snapshot, State
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
    headers: dict[str, str] | None = None
    follow: bool = True
    own: Any = None


_QUEUED = Snapshot(state=State.QUEUED)


class Tracked:
    """One job's memory. Written on the engine's loop only; its attributes may be read from any thread."""

    __slots__ = (
        "_listeners",
        "_waiters",
        "accepted_at",
        "chunk_id",
        "chunks",
        "due",
        "endpoint",
        "failing_since",
        "failures",
        "following",
        "logs",
        "problem",
        "ref",
        "reply",
        "resting",
        "snapshot",
        "started_at",
        "streamed",
        "streaming",
        "told",
        "wanted",
    )  # fmt: skip

    def __init__(self, endpoint: EndpointSpec, now: float) -> None:
        self.endpoint = endpoint
        self.snapshot = _QUEUED
        self.ref: JobRef | None = None
        self.problem: BaseException | None = None
        self.logs: tuple[str, ...] = ()
        self.chunks: list[Any] = []
        self.chunk_id: str | None = None
        self.streamed = False
        self.streaming = False
        self.reply: asyncio.Task[None] | None = None
        self.started_at = now
        self.accepted_at = now
        self.due = now
        self.failures = 0
        self.failing_since = 0.0
        self.resting = False
        """Whether the host asked for a pause until `due`, or did not answer."""
        self.following = False
        self.wanted = False
        """Whether somebody waits for its end, so that it is followed once it is accepted."""
        self.told = False
        """Whether the extensions know that it has ended."""
        self._waiters: list[asyncio.Future[None]] = []
        self._listeners: list[Callable[[Snapshot], None]] = []

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more: the job ended, or we lost it."""
        return self.problem is not None or self.snapshot.state.ended

    @property
    def accepted(self) -> bool:
        """Whether the host has taken it: it has an id, or its reply streams in."""
        return self.ref is not None or self.reply is not None

    def see(self, snapshot: Snapshot) -> bool:
        """Take a look in. The end, once seen, stays; returns whether anything changed."""
        old = self.snapshot
        if self.ended:
            return False
        if snapshot.job_id is None and old.job_id is not None:
            snapshot = replace(snapshot, job_id=old.job_id)
        if self.ref is not None and snapshot.data and snapshot.data != self.ref.data:
            self.ref = replace(self.ref, data={**self.ref.data, **snapshot.data})
        if snapshot.logs is not None:
            self.logs = snapshot.logs
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
            self.chunks.append(piece.value)
            self.chunk_id = piece.id or self.chunk_id
        else:
            self.logs = (*self.logs, piece.line)
        self._wake()

    def lose(self, problem: BaseException) -> None:
        """The job cannot be followed any more; those who wait get this error."""
        if not self.ended:
            if isinstance(problem, ServiceError):
                problem.snapshot = problem.snapshot or self.snapshot
            self.problem = problem
            self._wake()

    def stream_over(self) -> None:
        """The stream of output has ended, for good."""
        self.streaming = False
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def change(self) -> None:
        """Wait until something is new."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

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
        fresh: deque[Snapshot] = deque([self.snapshot])
        listener = fresh.append
        self._listeners.append(listener)
        try:
            while True:
                while fresh:
                    snapshot = fresh.popleft()
                    yield snapshot
                    if snapshot.state.ended:
                        return
                if self.problem is not None:
                    raise self.problem
                if self.snapshot.state.ended:
                    return
                await self.change()
        finally:
            self._listeners.remove(listener)

    def error(self) -> BaseException | None:
        """Why there is no result, as a fresh error; None if there is one, or the job goes on."""
        if self.problem is not None:
            return self.problem
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
    if isinstance(error, FarcallError):
        raise error
    if error is not None:
        raise PluginError(f"Following {tracked.endpoint.name} broke: {error!r}") from error
