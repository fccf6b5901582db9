"""How a call has ended, from what its function returned or raised."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any, Final

from farcall.errors import JobCancelled
from farcall.jobs import State

from farcall_server.job import Outcome
from farcall_server.outputs import files_of, plain, plain_async
from farcall_server.texts import sendable
from farcall_server.uploads import Folder

LONGEST_TRACEBACK: Final = 20_000
"""Characters; the end is kept, where the cause stands."""


def succeeded(value: Any, folder: Folder) -> Outcome:
    """The function returned; blocks while a file that can be read only once is read.

    Raises:
        UnserialisableError: It cannot be sent.
    """
    return _succeeded(plain(value, folder))


async def succeeded_async(value: Any, folder: Folder) -> Outcome:
    """The same on the event loop, which goes on while files are read."""
    return _succeeded(await plain_async(value, folder))


def _succeeded(result: Any) -> Outcome:
    return Outcome(state=State.SUCCEEDED, result=result, files=files_of(result))


def failed(error: BaseException, *, cancelling: bool) -> Outcome:
    """The function raised; as cancelled if somebody asked for the end and that is what it says."""
    if cancelling and isinstance(error, asyncio.CancelledError | JobCancelled):
        return Outcome(state=State.CANCELLED)
    return Outcome(
        state=State.FAILED, error=reason(error), error_type=type(error).__name__, traceback=_traceback(error)
    )


def reason(error: BaseException) -> str:
    """Why a function failed, in its own words; for one that called `sys.exit` that it did."""
    if isinstance(error, SystemExit):
        return f"The function ended with SystemExit({error.code!r})."
    try:
        return sendable(str(error)) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception's __str__ is a user's code too
        return type(error).__name__


def _traceback(error: BaseException) -> str:
    """The traceback from the user's function on, without the lines of ours that called it."""
    shown = error.__traceback__
    while shown is not None and shown.tb_frame.f_globals.get("__name__", "").startswith("farcall_server."):
        shown = shown.tb_next
    try:
        return sendable("".join(traceback.format_exception(type(error), error, shown))[-LONGEST_TRACEBACK:])
    except Exception:  # noqa: BLE001 - as above
        return type(error).__name__
