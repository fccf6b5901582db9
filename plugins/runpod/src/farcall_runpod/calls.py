"""A Runpod job's input as a call of the app, from its first look to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from farcall.errors import UnknownEndpoint, UsageError
from farcall.jobs import Chunk, Snapshot, State
from farcall_server.inprocess import InProcess, raised
from farcall_server.job import Job

DESCRIPTION: Final = "openapi.json"
"""The path under which a worker describes itself."""

News = Chunk | Snapshot


class Call:
    """One call; all of it on the app's own event loop.

    Args:
        app: It has been started.
        given: The job's input: `{"path": "/speak", "text": "hi"}`.
        tell: Takes each look and each piece of output; the last one is the end, whatever happens.
    """

    def __init__(self, app: InProcess, given: Any, tell: Callable[[News], None]) -> None:
        self._app, self._given, self._tell = app, given, tell
        self._task: asyncio.Task[Any] | None = None
        self._job: Job | None = None
        self._cancelled = False

    async def run(self) -> None:
        """Make the call and tell what comes of it."""
        self._task = asyncio.current_task()
        try:
            async for news in self._news():
                self._tell(news)
        except UsageError as error:
            self._tell(Snapshot(state=State.FAILED, error=str(error), error_type=type(error).__name__))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not leave the job without an end
            self._tell(raised(error))

    def cancel(self) -> None:
        """Have the function stop: one that awaits at once, one that blocks where it looks."""
        self._cancelled = True
        if self._job is not None:
            self._app.cancel(self._job)
        elif self._task is not None:
            self._task.cancel()

    async def _news(self) -> AsyncIterator[News]:
        path, arguments = _parts(self._given, self._app)
        if path.strip("/") == DESCRIPTION:
            yield Snapshot(state=State.SUCCEEDED, progress=1.0, result=self._app.app.openapi())
            return
        if self._cancelled:
            return
        answer = await self._app.submit(path, arguments)
        if isinstance(answer, Snapshot):
            yield answer
            return
        self._job = answer
        try:
            async for news in self._app.follow(answer):
                yield news
        finally:
            self._app.forget(answer)


def _parts(given: Any, app: InProcess) -> tuple[str, dict[str, Any]]:
    """The endpoint's path and the arguments in a job's input."""
    arguments = dict(given) if isinstance(given, dict) else {}
    path = arguments.pop("path", None)
    if not isinstance(path, str):
        known = ", ".join(operation.signature.spec.path for operation in app.app.operations)
        raise UnknownEndpoint(f'The input names no endpoint: {{"path": "/…", …arguments}}. The service has: {known}.')
    return path, arguments
