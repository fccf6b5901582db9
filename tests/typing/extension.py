"""How an extension's author writes against farcall. Never executed; mypy checks it."""

import time
from collections.abc import Awaitable, Generator

from farcall import hookimpl
from farcall.jobs import Event, Step
from farcall.wire import Request, Response

took_s: list[float] = []
ended: list[str] = []


class Timed:
    """An awaitable that is awaited once, and measured."""

    def __init__(self, sending: Awaitable[Response]) -> None:
        self._sending = sending

    def __await__(self) -> Generator[object, None, Response]:
        """Wait for the reply."""
        start = time.perf_counter()
        response = yield from self._sending.__await__()
        took_s.append(time.perf_counter() - start)
        return response


@hookimpl(wrapper=True)
def farcall_send(request: Request, step: Step) -> Generator[None, Awaitable[Response], Awaitable[Response]]:
    """Time each submission."""
    sending = yield
    return Timed(sending) if step is Step.SUBMIT and request.method == "POST" else sending


@hookimpl
def farcall_event(event: Event) -> None:
    """Note each end."""
    if event.kind == "ended" and event.snapshot is not None:
        ended.append(f"{event.endpoint} {event.snapshot.state}")
