"""How much of one job's output Runpod still takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from farcall.errors import FileError

from farcall_runpod import limits

AROUND_BYTES: Final = 128
"""What stands around a result or a piece of output at most: our version, Runpod's id for the job."""


class ResultTooLarge(FileError):
    """Runpod would not take it; the sentence says what to do."""

    def __init__(self, what: str, size_bytes: int, most_bytes: int, *, stores: bool) -> None:
        remedy = (
            "return less, or all of it as one File, which goes through the app's storage."
            if stores
            else "give the app a storage for its files, FastTaskAPI(storage=…) or FTAPI_STORAGE; "
            "what is no file has to be returned as one."
        )
        super().__init__(
            f"The {what} has {size_bytes / 1e6:.1f} MB, and Runpod takes {most_bytes / 1e6:.0f} MB: {remedy}"
        )


@dataclass(slots=True)
class Room:
    """What one job may give back.

    Args:
        most_bytes: All of its output.
        told_bytes: What has been told of it as pieces, which Runpod puts before the result.
    """

    most_bytes: int
    told_bytes: int = 0

    @classmethod
    def of(cls, job_id: str) -> Room:
        """The room that Runpod gives to this job.

        Source: Runpod's documentation of handler functions, "Payload limits", 2026-08-20.
        """
        return cls(limits.RUNSYNC_BYTES if job_id.startswith("sync-") else limits.RUN_BYTES)

    @property
    def left_bytes(self) -> int:
        """For the result and what stands with it."""
        return self.most_bytes - self.told_bytes - AROUND_BYTES

    @property
    def piece_bytes(self) -> int:
        """For the next piece, so that there is as much left for those after it and for the result."""
        return min(limits.STREAM_BYTES - AROUND_BYTES, self.left_bytes // 2)
