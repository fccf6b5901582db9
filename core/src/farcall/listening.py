"""Takes in the output of jobs as it comes: from a stream, look by look, or from the submitting reply."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from farcall import replies
from farcall.courier import LONGEST_PAUSE_S
from farcall.errors import FarcallError, ServiceError, Unreachable, WaitTimeout
from farcall.jobs import Snapshot, State, Step
from farcall.streams import KINDS, events
from farcall.tracking import closed, fresh

if TYPE_CHECKING:
    from farcall.engine import Engine
    from farcall.tracking import Tracked
    from farcall.wire import Request, Response

TRIES: Final = 20
"""How often a stream is asked for, until its output has come."""
PAUSE_S: Final = 0.1
"""The shortest pause between two looks at an output."""
POLLED: Final = "polled"
"""The kind of stream that is fetched look by look."""


class Listener:
    """Hears the output of a service's jobs, each once, for all who read it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def want(self, tracked: Tracked) -> None:
        """Open the job's output, if it has one and it is not open yet."""
        engine = self._engine
        if not tracked.streamed and tracked.ref is not None and engine.facts.stream is not None:
            request = engine.provider.stream(engine.binding, tracked.ref, None)
            if request is not None:
                tracked.streamed = tracked.streaming = True
                engine.spawn(self._hear(tracked, request), "stream")

    def hear_reply(self, tracked: Tracked, response: Response) -> None:
        """Take in a submitting reply that is itself the output; its end is the job's, and the result all its pieces."""
        tracked.streaming = True
        tracked.reply = self._engine.spawn(self._reply(tracked, response), "reply")

    async def _hear(self, tracked: Tracked, request: Request) -> None:
        try:
            take_in = self._looks if self._engine.facts.stream == POLLED else self._streams
            await take_in(tracked, request)
        except FarcallError as error:
            tracked.stream_problem = fresh(error)
        except asyncio.CancelledError:
            tracked.stream_problem = closed()
            raise
        finally:
            tracked.stream_over()
            self._engine.tell_end(tracked)

    async def _streams(self, tracked: Tracked, request: Request) -> None:
        """Take a stream in; take it up again after its last event, where the host can, when it ends before its job.

        Raises:
            FarcallError: The output did not come, or not to its end.
        """
        engine = self._engine
        onward: Request | None = request
        for attempt in range(1, TRIES + 1):
            pause_s, seen = engine.courier.pause(min(attempt, 6)), tracked.chunk_id
            try:
                if onward is not None:
                    await self._stream(tracked, onward)
            except ServiceError as error:
                # without an event's id, what came already would come twice
                once = tracked.chunk_id is not None or not tracked.output
                if tracked.ref is None or not once or attempt == TRIES or not _may_pass(error):
                    raise
                await asyncio.sleep(min(LONGEST_PAUSE_S, error.retry_after_s or pause_s))
            else:
                if tracked.ended or tracked.chunk_id == seen:  # over; else a proxy may have cut it short
                    return
                with contextlib.suppress(WaitTimeout):
                    await tracked.until(lambda: False, pause_s, "")
            onward = engine.provider.stream(engine.binding, tracked.ref, tracked.chunk_id) if tracked.ref else None

    async def _stream(self, tracked: Tracked, request: Request) -> None:
        engine = self._engine
        response = await engine.courier.once(request, Step.STREAM)
        jobs = [tracked.ref] if tracked.ref is not None else []
        if not response.ok:
            answer = await engine.courier.read(response)
            updates = engine.provider.read(engine.binding, answer, Step.STREAM, jobs, tracked.endpoint)
            engine.take(tracked, updates)
            none = answer.status in replies.NO_ROUTE and not tracked.output  # this host has no output to give
            error = None if none or updates else engine.courier.refusal(request, answer, Step.STREAM)
            if error is not None:
                raise error
            return
        try:
            async for event in events(response, engine.facts.stream or "sse"):
                engine.take(tracked, engine.provider.read(engine.binding, event, Step.STREAM, jobs, tracked.endpoint))
        finally:
            response.drop()

    async def _looks(self, tracked: Tracked, request: Request) -> None:
        """Take in an output that is fetched look by look, each with the pieces that are new.

        Raises:
            FarcallError: The output did not come, or not to its end.
        """
        engine = self._engine
        refs = [tracked.ref] if tracked.ref is not None else []
        refused, pause = 0, PAUSE_S
        while True:
            last = tracked.ended
            response = await engine.courier.exchange(request, Step.STREAM)
            pieces = engine.provider.read(engine.binding, response, Step.STREAM, refs, tracked.endpoint)
            error = None if pieces else engine.courier.refusal(request, response, Step.STREAM)
            if error is None:
                engine.take(tracked, pieces)
                if last and not pieces:
                    return
                refused, pause = 0, PAUSE_S if pieces else min(2 * pause, engine.facts.poll_max_s)
                with contextlib.suppress(WaitTimeout):
                    await tracked.until(lambda: False, pause, "")
            elif response.status in replies.NO_ROUTE and not tracked.output:
                return  # this host has no output to give
            elif response.status in replies.UNTOUCHED and refused < TRIES:
                refused += 1
                await asyncio.sleep(engine.courier.pause(min(refused, 6)))
            else:
                raise error

    async def _reply(self, tracked: Tracked, response: Response) -> None:
        engine = self._engine
        try:
            async for event in events(response, KINDS.get(response.media_type, "raw")):
                engine.take(tracked, engine.provider.read(engine.binding, event, Step.STREAM, (), tracked.endpoint))
                if tracked.ended:
                    break
            tracked.see(Snapshot(state=State.SUCCEEDED, progress=1.0, result=tracked.output.whole()))
        except FarcallError as error:
            tracked.lose(error)
        finally:
            response.drop()
            tracked.lose(closed())
            tracked.stream_over()
            engine.tell_end(tracked)


def _may_pass(error: ServiceError) -> bool:
    """Whether the same stream may be there when it is asked for again."""
    status = None if error.response is None else error.response.status
    return isinstance(error, Unreachable) or status in replies.PASSING
