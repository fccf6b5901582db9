"""What can be known of a job, as values: its state, one look at it, its reference, a piece of its output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, Final

from farcall.errors import UsageError


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more."""
        return self in ENDED


ENDED: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.TIMED_OUT})


class Step(StrEnum):
    """What a request was sent for."""

    DISCOVER = "discover"
    AUTH = "auth"
    FILE = "file"
    SUBMIT = "submit"
    POLL = "poll"
    STREAM = "stream"
    CANCEL = "cancel"
    WEBHOOK = "webhook"


class Recognition(IntEnum):
    """How surely a provider knows a service as its own."""

    NO = 0
    GENERIC = 1
    CERTAIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at a job.

    Args:
        state: Where it is.
        job_id: The host's id; None where the answer names none.
        progress: 0.0 to 1.0; None if the host does not say.
        message: The job's own words on what it does now; None if it says nothing.
        result: What it returned; JSON values, with a `FileValue` where a file stands. A reply that is not JSON is
            its `Response` here, and becomes a file. A job still running whose submitting reply is itself the stream
            of its output has that `Response` here, and ends when the stream does.
        error: Why it failed, in the host's words; None unless it failed.
        error_type: The remote exception's class name, where the host tells it.
        traceback: The remote traceback as text, where the host tells it.
        logs: Lines so far, where the host sends all of them with each look; None where it does not.
        data: What the provider must know again in later hooks (links, cursors); no secrets.
        retry_after_s: Seconds the host asks to wait before the next look; None if it does not say.
    """

    state: State
    job_id: str | None = None
    progress: float | None = None
    message: str | None = None
    result: Any = field(default=None, repr=False)
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = field(default=None, repr=False)
    logs: tuple[str, ...] | None = field(default=None, repr=False)
    data: Mapping[str, str] = field(default_factory=dict, repr=False)
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a job's output, as it comes."""

    value: Any
    job_id: str | None = None
    id: str | None = None
    """The stream's event id, to continue after it; None if the host gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A line of a job's log."""

    line: str
    job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The host knows no such job."""

    job_id: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The host surely did not accept the submission; it may be sent again."""

    message: str
    job_id: str | None = None
    retry_after_s: float | None = None


Update = Snapshot | Chunk | Log | Missing | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRef:
    """Enough to find a job again: no secrets, so it may be stored.

    Args:
        provider: Whose job it is.
        url: The service's base address.
        endpoint: The endpoint's name.
        id: The host's id.
        data: What the provider must remember of it.
    """

    provider: str
    url: str
    endpoint: str
    id: str
    data: Mapping[str, str] = field(default_factory=dict, repr=False)

    def dump(self) -> str:
        """The reference as JSON text."""
        return json.dumps(
            {
                "farcall": 1,
                "provider": self.provider,
                "url": self.url,
                "endpoint": self.endpoint,
                "id": self.id,
                "data": dict(self.data),
            }
        )

    @classmethod
    def load(cls, text: str) -> JobRef:
        """A reference from what `dump` wrote.

        Raises:
            UsageError: The text is something else.
        """
        try:
            raw = json.loads(text)
            if raw["farcall"] != 1:
                raise UsageError(f"This job reference is of version {raw['farcall']!r}; this farcall reads 1.")
            parts = {key: raw[key] for key in ("provider", "url", "endpoint", "id")}
            if not all(isinstance(part, str) for part in parts.values()):
                raise TypeError("every part must be text")
            data = {str(key): str(value) for key, value in raw["data"].items()}
            return cls(**parts, data=MappingProxyType(data))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"This is no job reference as job.ref() writes it: {str(text)[:80]!r}.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened to a job, told to extensions. Frozen; look, do not touch.

    Args:
        kind: `uploaded submitted snapshot chunk downloaded ended`.
        provider: The provider's name.
        endpoint: The endpoint's name.
        job_id: The host's id; None before it is known.
        snapshot: The look that caused it; None for `uploaded`, `chunk`, `downloaded`.
        file: The file's name, for `uploaded` and `downloaded`.
        at: Seconds, on a clock that only goes forward; differences are durations.
    """

    kind: str
    provider: str
    endpoint: str
    job_id: str | None = None
    snapshot: Snapshot | None = None
    file: str | None = None
    at: float = 0.0
