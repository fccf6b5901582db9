"""The app: decorate a function and it is an endpoint."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from farcall.errors import UsageError
from fastapi import FastAPI
from fastapi.params import Depends
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from farcall_server import (
    backends,
    documents,
    inputs,
    keys,
    lanes,
    places,
    replies,
    routing,
    sentences,
    signature,
    starting,
    supervisors,
)
from farcall_server.arguments import Fetching
from farcall_server.crew import Crew
from farcall_server.fetching import Fetcher
from farcall_server.hookspecs import Options
from farcall_server.hosts import HostCheck, OpenDoor, named
from farcall_server.isolation import Isolation, isolation_of
from farcall_server.ledger import Ledger
from farcall_server.lines import Rules
from farcall_server.queue import Store
from farcall_server.routes import Endpoint, Handler, Jobs, Plain, Ready, Submit, health
from farcall_server.streaming import Streams
from farcall_server.worker import Lane, Work

if TYPE_CHECKING:
    from farcall import AsyncStorage, Storage

F = TypeVar("F", bound=Callable[..., Any])

GIBIBYTE: Final = 1024**3
PLAIN_THREADS: Final = 40
"""Threads for the synchronous functions of plain endpoints."""


class FastTaskAPI(FastAPI):
    """A FastAPI app whose functions can be jobs.

    Everything of FastAPI stays: `@app.get`, middleware, mounts, lifespan, `Depends`.

    >>> app = FastTaskAPI()
    >>> @app.task_endpoint("/add", queue_size=10)
    ... def add(a: int, b: int = 1) -> int:
    ...     return a + b

    Args:
        title: What the documentation calls the service.
        backend: Who serves it by `start()`: `local`, or an installed backend such as `runpod`. The variables
            `FARCALL_BACKEND` and `FTAPI_BACKEND` come first. None: `local`.
        queue: Where jobs are kept: `sqlite:///jobs.db` (a path), from where they are taken up again after a restart
            or a kill, or `memory://`. None: for an app that is started by `start()` a database in the user's state
            directory, one for each program; in memory under another ASGI server and in tests.
        max_concurrency: How many jobs may run at once over all endpoints, each of which has its own `concurrency` too;
            when a place gets free, the waiting job of the highest `priority` gets it, the oldest among equals. None:
            as many as the endpoints allow together.
        shutdown_grace_s: Seconds that running jobs have to end once the server is told to stop.
        result_ttl_s: Seconds a result is kept after its job has ended; it may be read many times until then.
        max_upload_bytes: The largest body of a request, in bytes; a larger one is refused with 413. Also the most that
            is fetched for one call whose files are given by their addresses.
        fetch_hosts: From where such files are fetched beside public addresses: names, addresses, networks
            (`10.0.0.0/8`), `*` for everywhere. None: `FTAPI_FETCH_HOSTS`, separated by commas.
        allowed_hosts: Names beside the loopback's own that may stand in a request's Host and Origin while the server
            listens on the loopback; for a server behind a proxy. None: `FTAPI_ALLOWED_HOSTS`, separated by commas.
        api_keys: Keys of which a caller must show one, as `Authorization: Bearer …`. None: `FTAPI_API_KEYS`, separated
            by commas; none there or an empty list: everybody may call.
        storage: Takes result files too large for a host like Runpod: an address (`s3://bucket`), a name of
            farcall.toml, or an open storage. None: `FTAPI_STORAGE`. The local server has no limit and does not use it.
        **options: As for FastAPI. `dependencies` apply to the job routes too.
    """

    def __init__(  # noqa: PLR0913 - as FastAPI's, each by name
        self,
        *,
        title: str = "FastTaskAPI",
        backend: str | None = None,
        queue: str | None = None,
        max_concurrency: int | None = None,
        shutdown_grace_s: float = 10.0,
        result_ttl_s: float = 3600.0,
        max_upload_bytes: int = 4 * GIBIBYTE,
        fetch_hosts: Collection[str] | None = None,
        allowed_hosts: Collection[str] | None = None,
        api_keys: Collection[str] | None = None,
        storage: str | Storage | AsyncStorage | None = None,
        **options: Any,
    ) -> None:
        if max_concurrency is not None:
            _at_least("max_concurrency", max_concurrency, 1)
        _at_least("result_ttl_s", result_ttl_s, 0)
        super().__init__(title=title, **options)
        self.exception_handlers.setdefault(Exception, replies.fault)
        self.result_ttl_s = result_ttl_s
        self.max_upload_bytes = max_upload_bytes
        self._fetching = Fetching(fetcher=Fetcher.configured(fetch_hosts), most_bytes=max_upload_bytes)
        self.backend = backend
        self.queue = queue
        self.shutdown_grace_s = shutdown_grace_s
        self.store = Store(max_concurrency=max_concurrency)
        self._keep_in(None if queue is None else places.database(queue))
        self._lanes: dict[str, Lane] = {}
        self._crew = Crew(PLAIN_THREADS, "farcall-plain")
        self._documented: list[documents.Documented] = []
        self._known_dependencies = tuple(self.router.dependencies)
        self.storage = storage if storage is not None else os.environ.get("FTAPI_STORAGE") or None
        self.api_keys = keys.configured(api_keys)
        if self.api_keys:
            self.add_middleware(keys.KeyCheck, keys=self.api_keys, open_paths=self._open_paths())
        self.open_door = OpenDoor(locked=bool(self.api_keys))
        self.add_middleware(HostCheck, allowed=named(allowed_hosts), door=self.open_door)
        self._add_job_routes()
        self.router.lifespan_context = self._around(self.router.lifespan_context)

    def task_endpoint(  # noqa: PLR0913 - what there is to say of an endpoint, each by name
        self,
        path: str,
        *,
        queue_size: int = 100,
        concurrency: int = 1,
        priority: int = 0,
        isolation: Isolation | None = None,
        timeout_s: float | None = None,
        cancel_grace_s: float = 5.0,
        retries: int = 0,
        backoff_s: float = 1.0,
        idempotent: bool = False,
        result_ttl_s: float | None = None,
        dependencies: Sequence[Depends] = (),
        tags: Sequence[str] = (),
    ) -> Callable[[F], F]:
        """Make a function a job endpoint: a call is accepted at once, runs in its turn, and is asked for later.

        Args:
            path: Where it is served, in its normal spelling (`/make-fries`); as written too.
            queue_size: How many calls may wait; further ones are refused with 429.
            concurrency: How many may run at once.
            priority: The endpoint with the higher number is first where endpoints wait for a place under the app's
                `max_concurrency`, and when waiting jobs are taken up after a restart. Without `max_concurrency` no
                endpoint waits for another.
            isolation: Where the function runs. `"thread"` (a `def`'s default): on a thread. `"async"` (an `async
                def`'s): on the event loop. `"process"`: in worker processes of its own, at most `concurrency` of them,
                each started when it is first needed and then kept; only there can any function be killed, and one that
                crashes takes nothing else along.
            timeout_s: Seconds after which a running call ends as timed out; None: never. The function is stopped as if
                the call had been cancelled.
            cancel_grace_s: Seconds a function in a process has to end by itself once its call was cancelled or has
                timed out; then the process is killed.
            retries: How many more times a call is run that failed, or whose server was killed while it ran.
            backoff_s: Seconds until a failed call is run again; doubled for each further time, 60 at most. It waits
                without taking up a place.
            idempotent: Whether a call may be run again each time its server is killed while it runs; else it fails
                with "server stopped while running" once its retries are used up.
            result_ttl_s: Seconds its results are kept; None: the app's.
            dependencies: Solved before a call is accepted.
            tags: Under which the documentation lists it.

        Raises:
            UsageError: The function, the path or a number cannot be served; the sentence says why.
        """
        _at_least("queue_size", queue_size, 0)
        _at_least("concurrency", concurrency, 1)
        _at_least("retries", retries, 0)
        _at_least("backoff_s", backoff_s, 0)
        _at_least("cancel_grace_s", cancel_grace_s, 0)
        ttl_s = self.result_ttl_s if result_ttl_s is None else result_ttl_s
        _at_least("result_ttl_s", ttl_s, 0)
        if timeout_s is not None and timeout_s <= 0:
            raise UsageError(f"timeout_s is {timeout_s}; it must be more than 0, or None.")

        def register(function: F) -> F:
            known = signature.read(function, path, job=True)
            where = isolation_of(known, isolation)
            work = Work(
                signature=known,
                store=self.store,
                fetching=self._fetching,
                concurrency=concurrency,
                timeout_s=timeout_s,
            )
            lane = lanes.lane(work, where, path=path, cancel_grace_s=cancel_grace_s)
            handler = Submit(
                signature=known, store=self.store, lane=lane, ttl_s=ttl_s, most_bytes=self.max_upload_bytes
            )
            self._serve(
                path,
                handler,
                ["POST"],
                dependencies,
                documents.Documented(signature=known, methods=("POST",), tags=tags, concurrency=concurrency),
            )
            rules = Rules(
                queue_size=queue_size,
                concurrency=concurrency,
                priority=priority,
                retries=retries,
                backoff_s=backoff_s,
                isolated=where == "process",
                idempotent=idempotent,
                revive=partial(inputs.again, known),
            )
            self.store.open(known.spec.path, rules, lane.again)
            self._lanes[known.spec.path] = lane
            return function

        return register

    def endpoint(
        self,
        path: str,
        *,
        methods: Sequence[str] = ("POST",),
        dependencies: Sequence[Depends] = (),
        tags: Sequence[str] = (),
    ) -> Callable[[F], F]:
        """Make a function a plain endpoint: the reply is the result, a `File` its bytes. Arguments come as for a task.

        Args:
            path: Where it is served, in its normal spelling; as written too.
            methods: HTTP methods; GET and DELETE take their arguments from the query.
            dependencies: Solved before the function is called.
            tags: Under which the documentation lists it.

        Raises:
            UsageError: The function or the path cannot be served; the sentence says why.
        """
        verbs = tuple(method.upper() for method in methods)

        def register(function: F) -> F:
            known = signature.read(function, path, method=verbs[0], job=False)
            handler = Plain(signature=known, crew=self._crew, fetching=self._fetching, most_bytes=self.max_upload_bytes)
            self._serve(
                path, handler, verbs, dependencies, documents.Documented(signature=known, methods=verbs, tags=tags)
            )
            return function

        return register

    def start(self, host: str | None = None, port: int | None = None) -> None:
        """Serve until told to stop (Ctrl-C, SIGTERM).

        Where the program is only loaded, by `farcall serve` or by a worker process, it returns at once.

        Args:
            host: Where to listen; None: `FTAPI_HOST`, else 127.0.0.1, which only this machine reaches.
            port: On which port, 0 for a free one; None: `FTAPI_PORT`, else 8000.

        Raises:
            ConfigError: The backend is not installed, or cannot serve the app.
        """
        options = Options(host=host, port=port)
        if not starting.is_held(self, options):
            backends.serve(backends.chosen(self.backend), self, options)

    @property
    def operations(self) -> Sequence[documents.Documented]:
        """What is served by `task_endpoint` and `endpoint`, in the order of registration."""
        return tuple(self._documented)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with the job endpoints."""
        return documents.describe(super().openapi(), self._documented, keyed=bool(self.api_keys))

    def release(self) -> None:
        """Answer every request that waits for a job with what is known now: the server is about to stop."""
        self.store.release()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or a server that starts the app."""
        await super().__call__(scope, receive, sentences.plainly(send) if scope["type"] == "lifespan" else send)

    # --- routes

    def _open_paths(self) -> Collection[str]:
        docs = (self.openapi_url, self.docs_url, self.redoc_url, self.swagger_ui_oauth2_redirect_url)
        return [*self._health_routes(), *(path for path in docs if path)]

    def _health_routes(self) -> dict[str, Handler]:
        return {"/health": health, "/health/live": health, "/health/ready": Ready(store=self.store)}

    def _add_job_routes(self) -> None:
        jobs = Jobs(store=self.store)
        routing.add(self, "/status/{job_id}", jobs.status, ["GET"])
        routing.add(self, "/status", jobs.status_named, ["GET"])
        routing.add(self, "/status", jobs.status_posted, ["POST"])
        routing.add(self, "/stream/{job_id}", Streams(store=self.store), ["GET"])
        routing.add(self, "/jobs", jobs.page, ["GET"])
        routing.add(self, "/cancel/{job_id}", jobs.cancel, ["POST"])
        routing.add(self, "/jobs/{job_id}/files/{number:int}", jobs.file, ["GET", "HEAD"])
        for path, handler in self._health_routes().items():
            self.router.routes.append(Route(path, Endpoint(handler), methods=["GET"], include_in_schema=False))

    def _serve(
        self,
        path: str,
        handler: Handler,
        methods: Sequence[str],
        dependencies: Sequence[Depends],
        documented: documents.Documented,
    ) -> None:
        served = signature.served_path(path)
        routing.check_free(self, served, methods)
        routing.add(self, served, handler, methods, dependencies, shown=True)
        written = path if path.startswith("/") else "/" + path
        if written != served:
            routing.add(self, written, handler, methods, dependencies)
        self._documented.append(documented)

    # --- life

    def _keep_in(self, database: Path | None) -> None:
        self.store.durable = None if database is None else Ledger(database)

    @property
    def kept_in(self) -> str:
        """Where the jobs are kept: `memory://`, or `sqlite:///` and the database's path."""
        return places.MEMORY if self.store.durable is None else self.store.durable.name

    def _around(self, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[Any]:
            self._check_dependencies()
            async with inner(app) as state:
                try:
                    await self._begin()
                    yield state
                finally:
                    await self._stop()

        return lifespan

    def _check_dependencies(self) -> None:
        if tuple(self.router.dependencies) != self._known_dependencies:
            raise UsageError(
                "Dependencies were added to app.router after the app was made, and would not apply to its job routes. "
                "Write FastTaskAPI(dependencies=[…])."
            )

    async def _begin(self) -> None:
        supervisors.refuse_several(sys.argv, os.environ)
        await self.store.begin()
        for path, count in self.store.waiting():
            for _ in range(count):
                self._lanes[path].wake()

    async def _stop(self) -> None:
        self.store.release()
        await self.store.drained(self.shutdown_grace_s)
        await self.store.close("The server stopped before the job had ended.")
        for lane in self._lanes.values():
            await lane.close()
        self._crew.close()


def _at_least(name: str, value: float, least: int) -> None:
    if not value >= least:  # NaN too
        raise UsageError(f"{name} is {value}; it must be {least} or more.")
