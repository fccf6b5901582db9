"""Every error a caller can meet, grouped by who must act.

FarcallError
├── UsageError              you
│   ├── InputError
│   ├── UnknownEndpoint
│   ├── ConfigError
│   └── KeyMissing
├── PluginError             the plugin's author
├── ServiceError            the other side
│   ├── Unreachable
│   ├── Refused
│   │   └── AuthRefused
│   ├── ServerFault
│   ├── Busy
│   ├── ProtocolError
│   ├── JobFailed
│   ├── JobCancelled
│   ├── JobTimedOut
│   ├── JobLost
│   ├── CancelUnsupported
│   ├── CancelFailed
│   └── FileError
└── WaitTimeout             our patience
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from farcall.jobs import Snapshot
    from farcall.wire import Request, Response


class FarcallError(Exception):
    """Whatever farcall raises on purpose."""


class UsageError(FarcallError):
    """The call cannot be made as it was written; the sentence says what to write instead."""


class InputError(UsageError, ValueError):
    """An argument is wrong, missing or unknown; nothing was sent."""


class UnknownEndpoint(UsageError, AttributeError, KeyError):
    """The service has no endpoint of that name or path."""

    __str__ = Exception.__str__  # KeyError would show the sentence in quotes


class ConfigError(UsageError):
    """farcall.toml, a FARCALL_ variable or a binding's option is wrong."""


class KeyMissing(UsageError):
    """The service wants a key and none was found; the sentence says where was looked and how to set it."""


class PluginError(FarcallError):
    """A plugin is broken, missing a hook, or clashes with another."""


class ServiceError(FarcallError):
    """The other side did not do what was asked.

    Attributes:
        request: What was sent, without headers and body; None where no request was made.
        response: The reply; None where there was none.
        snapshot: The job's last known look; None where there is no job.
        retry_after_s: Seconds the service asks to wait before another try; None if it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        request: Request | None = None,
        response: Response | None = None,
        snapshot: Snapshot | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.request = None if request is None else request.bare()
        self.response = response
        self.snapshot = snapshot
        self.retry_after_s = retry_after_s
        self.job: Any = None
        """The job this error ended, where there is one; set by the job itself."""

    def __copy__(self) -> Self:
        twin = type(self)(*self.args)
        vars(twin).update(vars(self))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """What another process can use: no job, no connection, no result."""
        response, snapshot = self.response, self.snapshot
        kept = {**vars(self), "job": None}
        if response is not None:
            kept["response"] = replace(response, headers=dict(response.headers), body=None)
        if snapshot is not None:
            kept["snapshot"] = replace(snapshot, result=None, data=dict(snapshot.data))
        return type(self), self.args, kept


class Unreachable(ServiceError):
    """No reply, or half of one: the service is down, the name does not resolve, or the connection broke.

    Attributes:
        unsent: Whether surely no byte of the request was written, so that sending it again cannot do it twice.
    """

    def __init__(self, message: str, *, unsent: bool = False, request: Request | None = None) -> None:
        super().__init__(message, request=request)
        self.unsent = unsent


class Refused(ServiceError):
    """The service refused the request (HTTP 4xx)."""


class AuthRefused(Refused):
    """The service refused the credential (HTTP 401 or 403)."""


class ServerFault(ServiceError):
    """The service failed while it handled the request (HTTP 5xx)."""


class Busy(ServiceError):
    """The service accepted no more work for as long as we were patient."""


class ProtocolError(ServiceError):
    """The reply is not what the host's protocol promises: not JSON, too large, an unknown word."""


class JobFailed(ServiceError):
    """The job ended in failure.

    Attributes:
        error_type: The remote exception's class name, where the host tells it.
        traceback: The remote traceback as text, where the host tells it.
    """

    @property
    def error_type(self) -> str | None:
        """The remote exception's class name; None where the host does not tell it."""
        return None if self.snapshot is None else self.snapshot.error_type

    @property
    def traceback(self) -> str | None:
        """The remote traceback; None where the host does not tell it."""
        return None if self.snapshot is None else self.snapshot.traceback


class JobCancelled(ServiceError):
    """The job was cancelled before it ended."""


class JobTimedOut(ServiceError):
    """The host's own deadline for the job passed."""


class JobLost(ServiceError):
    """The host no longer knows the job; whether it ran to its end cannot be told."""


class CancelUnsupported(ServiceError):
    """The host cannot cancel this job; it goes on."""


class CancelFailed(ServiceError):
    """The host was asked to cancel and did not; the job may go on."""


class FileError(ServiceError):
    """A file could not be fetched, stored or was not whole."""


class WaitTimeout(FarcallError, TimeoutError):
    """Our patience ended; the job goes on at the host.

    Attributes:
        job: The job, to be asked again later.
    """

    def __init__(self, message: str, *, job: Any = None) -> None:
        super().__init__(message)
        self.job = job

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**vars(self), "job": None}
