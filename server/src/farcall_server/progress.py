"""What a running function says of itself: how far it is, what it does, and whether it should stop."""

from __future__ import annotations

import math
from typing import Final, Protocol

from farcall.errors import JobCancelled

from farcall_server.texts import sendable

LONGEST_TEXT: Final = 10_000
"""Characters of a message or a log line; the rest is cut off."""


class Report(Protocol):
    """Where progress goes; called from the function's own thread, thousands of times a second if need be."""

    @property
    def cancelling(self) -> bool:
        """Whether somebody asked for the job's end."""
        ...

    def tell(self, *, progress: float | None = None, message: str | None = None, line: str | None = None) -> None:
        """Note what is not None."""
        ...


class JobProgress:
    """A running job's own view of itself, handed to a function that has a parameter of this type or name.

    Safe to use from several threads. `JobProgress()` works without a server, so that a function can be tested alone.

    >>> job_progress = JobProgress()
    >>> job_progress.set_status(0.5, "half way")
    >>> job_progress.progress, job_progress.message
    (0.5, 'half way')
    """

    def __init__(self, report: Report | None = None) -> None:
        self._report = report
        self._share = 0.0
        self._text: str | None = None

    def set_status(self, progress: float | None = None, message: str | None = None) -> None:
        """Say how far the job is and what it does; what is None stays as it was.

        Args:
            progress: 0.0 to 1.0; a number outside is taken for the nearer end.
            message: One line for the person who waits.

        Raises:
            ValueError: The progress is no number.
        """
        share = None if progress is None else _share(progress)
        text = None if message is None else sendable(str(message)[:LONGEST_TEXT])
        self._share = self._share if share is None else share
        self._text = self._text if text is None else text
        if self._report is not None:
            self._report.tell(progress=share, message=text)

    def log(self, text: str) -> None:
        """Add a line to the job's log. The last thousand lines are kept."""
        if self._report is not None:
            self._report.tell(line=sendable(str(text)[:LONGEST_TEXT]))

    @property
    def progress(self) -> float:
        """How far the job is, 0.0 to 1.0."""
        return self._share

    @progress.setter
    def progress(self, value: float) -> None:
        self.set_status(progress=value)

    @property
    def message(self) -> str | None:
        """What the job does now; None if it has not said."""
        return self._text

    @message.setter
    def message(self, value: str | None) -> None:
        self.set_status(message="" if value is None else value)

    # The names FastTaskAPI's users write.
    _progress = progress
    _message = message

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked for the job's end; a function that looks can stop early."""
        return self._report is not None and self._report.cancelling

    def raise_if_cancelled(self) -> None:
        """End the job here if somebody asked for its end.

        Raises:
            JobCancelled: Let it pass; the job then ends as cancelled.
        """
        if self.cancelled:
            raise JobCancelled("The job was cancelled.")


def _share(value: float) -> float:
    number = float(value)
    if math.isnan(number):
        raise ValueError("progress is a number from 0.0 to 1.0, not NaN")
    return min(max(number, 0.0), 1.0)
