"""What runs Runpod's jobs: the handlers that the SDK calls, on its event loop, for an app that lives on another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from farcall.jobs import Chunk, Snapshot
from farcall_server.inprocess import InProcess

from farcall_runpod import outputs
from farcall_runpod.calls import Call, News
from farcall_runpod.home import Home
from farcall_runpod.reports import Reports
from farcall_runpod.room import Room
from farcall_runpod.watching import Marks


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Runs Runpod's jobs by an app.

    Args:
        app: It has been started at home.
        home: Where it lives.
        marks: Told which jobs run.
        deployed: Whether Runpod's own queue feeds the worker, not the SDK's local test API, which takes no progress and
            where a handler that streams cannot fail.
    """

    app: InProcess
    home: Home
    marks: Marks
    deployed: bool

    async def handle(self, job: dict[str, Any]) -> dict[str, Any]:
        """The handler of a worker that does not stream: the job's output, or its failure."""
        made: dict[str, Any] = {}
        async with aclosing(self._news(job, pieces=False)) as news:
            async for item in news:
                made = outputs.ended(item) if isinstance(item, Snapshot) else made
        return made

    async def stream(self, job: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """The handler of a worker that streams: each piece of output, and then what `handle` would return."""
        async with aclosing(self._news(job, pieces=True)) as news:
            async for item in news:
                if isinstance(item, Snapshot):
                    made = outputs.ended(item)
                    yield outputs.envelope(item) if "error" in made and not self.deployed else made
                    return
                yield outputs.piece(item.value)

    async def _news(self, job: dict[str, Any], *, pieces: bool) -> AsyncGenerator[News, None]:
        """The pieces of a job's output as they come, and then its end."""
        inbox, reports = asyncio.Queue[News](), Reports(job)
        loop = asyncio.get_running_loop()

        def tell(news: News) -> None:
            loop.call_soon_threadsafe(inbox.put_nowait, news)

        call = Call(self.app, job.get("input"), tell, Room.of(job["id"]), pieces=pieces)
        self.marks.begun(job["id"])
        work = asyncio.wrap_future(self.home.start(call.run()))
        try:
            while isinstance(news := await inbox.get(), Chunk) or not news.state.ended:
                if isinstance(news, Chunk):
                    yield news
                elif self.deployed:
                    reports.tell(replace(news, job_id=job["id"]))
        except (asyncio.CancelledError, GeneratorExit):  # Runpod has ended the job
            self.home.loop.call_soon_threadsafe(call.cancel)
            await _over(work)
            raise
        finally:
            self.marks.ended(job["id"])
            await reports.close()
        yield replace(news, job_id=job["id"])


async def _over(work: asyncio.Future[None]) -> None:
    """Return once the function has stopped, however often the waiting is cancelled: until then there is no room."""
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            continue
