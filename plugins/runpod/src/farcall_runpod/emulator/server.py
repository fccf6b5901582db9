"""The emulator put together: the public API, the workers' wire and the workers, behind one port of this machine."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from aiohttp import web
from farcall.errors import UsageError

from farcall_runpod import limits
from farcall_runpod.emulator import faults as wrongs
from farcall_runpod.emulator.faults import Fault, Faults
from farcall_runpod.emulator.public import PublicApi
from farcall_runpod.emulator.queue import Queue
from farcall_runpod.emulator.times import Times
from farcall_runpod.emulator.webhooks import Webhooks
from farcall_runpod.emulator.wire import WorkerWire
from farcall_runpod.emulator.workers import Workers

HOST: Final = "127.0.0.1"
OUR_NAMES: Final = frozenset({HOST, "localhost"})
LAST_ANSWERS_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What is emulated.

    Args:
        program: The worker: a file that starts itself (`runpod.serverless.start`, `app.start()`), or `app.py:app`.
        id: The endpoint's id.
        port: On which port of this machine; 0: a free one.
        workers: How many worker processes.
        api_key: The key that users must show; None: any.
        python: The interpreter that runs the workers: the one of their own environment, if they have one.
        faults: What goes wrong.
        times: How long things last.
        rates: By route: how many requests in ten seconds, and how many at one time; more are answered 429.
        log_file: Where the workers' output goes; None: to ours.
    """

    program: str | os.PathLike[str]
    id: str = "emulated"
    port: int = 0
    workers: int = 1
    api_key: str | None = field(default=None, repr=False)
    python: str | os.PathLike[str] = sys.executable
    faults: Sequence[Fault] = ()
    times: Times = field(default_factory=Times)
    rates: Mapping[str, tuple[int, int]] = field(default_factory=lambda: limits.RATES)
    log_file: Path | None = None

    def __post_init__(self) -> None:
        file = Path(str(self.program).partition(".py:")[0])
        if not (file if file.suffix == ".py" else file.with_suffix(".py")).is_file():
            raise UsageError(
                f"There is no program {str(self.program)!r}; give the worker's file, app.py or app.py:app."
            )


@web.middleware
async def _for_this_machine(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
    """Refuse what a page in a browser sends here under another name, which it had resolved to this machine."""
    name = request.host.rpartition(":")[0] or request.host
    if name not in OUR_NAMES:
        raise web.HTTPForbidden
    response: web.StreamResponse = await handler(request)
    return response


class Running:
    """An endpoint at work on the event loop that runs.

    Args:
        endpoint: What is emulated.

    Attributes:
        requests: How many requests users made, by route.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        faults, times = Faults(endpoint.faults), endpoint.times
        self._endpoint = endpoint
        self._webhooks = Webhooks(times)
        self._queue = Queue(times, self._webhooks.post, lags=bool(faults.seconds(wrongs.STALE)))
        self._workers = Workers(
            str(endpoint.program),
            endpoint.workers,
            python=str(endpoint.python),
            variables=lambda worker: wire.variables(self._base, worker, endpoint.id),
            on_exit=self._queue.gone,
            log_file=endpoint.log_file,
        )
        wire = WorkerWire(self._queue, faults, kill=self._workers.kill)
        self._public = PublicApi(
            endpoint.id,
            self._queue,
            self._workers.alive,
            api_key=endpoint.api_key,
            faults=faults,
            times=times,
            rates=endpoint.rates,
        )
        app = web.Application(middlewares=[_for_this_machine], client_max_size=4 * limits.RUNSYNC_BYTES)
        app.add_routes([*self._public.routes(), *wire.routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_ANSWERS_S)
        self._base = ""
        self.requests: Counter[str] = self._public.requests

    async def start(self) -> None:
        """Listen, and start the workers.

        Raises:
            UsageError: The port is taken.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._endpoint.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(f"Port {self._endpoint.port} cannot be listened on: {error.strerror}.") from error
        port = self._runner.addresses[0][1]
        self._base = f"http://{HOST}:{port}"
        self._workers.start()

    @property
    def base_url(self) -> str:
        """What comes before the endpoint's id: `http://127.0.0.1:8010/v2`."""
        return f"{self._base}/v2"

    @property
    def last_end(self) -> float:
        """When a job ended last, on the loop's clock."""
        return self._queue.last_end

    async def stop(self) -> None:
        """End the workers and stop listening; the jobs are gone."""
        await self._workers.stop()
        await self._webhooks.stop()
        await self._runner.cleanup()


class Emulator:
    """An emulated endpoint on a thread of its own, while it is entered.

    >>> with Emulator(Endpoint(program="app.py", id="voice")) as emulator:
    ...     service = farcall.connect(emulator.url, provider="runpod", api_key="any")

    Args:
        endpoint: What is emulated.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._begun: Future[tuple[Running, Callable[[], object]]] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),), name="runpod-emulator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._begun.result()[1]()
        self._thread.join()

    async def _main(self) -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        running = Running(self.endpoint)
        try:
            await running.start()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._begun.set_exception(error)
            return
        self._begun.set_result((running, partial(loop.call_soon_threadsafe, over.set)))
        await over.wait()
        await running.stop()

    @property
    def base_url(self) -> str:
        """What comes before the endpoint's id: `http://127.0.0.1:8010/v2`."""
        return self._entered.base_url

    @property
    def url(self) -> str:
        """The endpoint's address: `http://127.0.0.1:8010/v2/voice`."""
        return f"{self.base_url}/{self.endpoint.id}"

    @property
    def requests(self) -> Counter[str]:
        """How many requests came so far, by route: `run`, `status`, …."""
        return Counter(self._entered.requests)

    @property
    def last_end(self) -> float:
        """When a job ended last, on the clock of `time.monotonic`; 0.0: none has."""
        return self._entered.last_end

    @property
    def _entered(self) -> Running:
        if not self._begun.done():
            raise UsageError("The emulator does not run; enter it: with Emulator(endpoint) as emulator.")
        return self._begun.result()[0]
