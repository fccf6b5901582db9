"""Does what the other steps decide: sends, retries, submits, cancels and looks. The only place with a clock."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast
from urllib.parse import urljoin

from farcall import auth, replies
from farcall.binding import Binding
from farcall.errors import (
    Busy,
    CancelFailed,
    CancelUnsupported,
    FarcallError,
    JobLost,
    KeyMissing,
    PluginError,
    ProtocolError,
    ServiceError,
    Unreachable,
    UsageError,
    WaitTimeout,
)
from farcall.files import REDIRECTS
from farcall.following import Follower
from farcall.hookspecs import Call, Credential, Flow, Grant
from farcall.jobs import Chunk, Event, JobRef, Log, Missing, Rejected, Snapshot, Step, Update
from farcall.keys import where_looked
from farcall.provider import Provider
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.streams import events
from farcall.tracking import CallOptions, Tracked
from farcall.transport import travelling
from farcall.wire import Request, Response, Sender, origin

T = TypeVar("T")
log = logging.getLogger("farcall")

HOPS: Final = 5
DIRECT_WAIT_S: Final = 2.0
"""How long a call that waits anyway lets the host hold the submitting reply open."""
SUBMITS_AT_ONCE: Final = 256
CONNECT_TRIES: Final = 3
UNAUTHORISED: Final = 401
LOOK_PATIENCE_S: Final = 60.0
"""How long looks may fail one after the other before a job counts as out of reach."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The engine's sense of time and chance; both can be taken over in tests."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    chance: Callable[[], float] = random.random


class Engine:
    """One connected service at work, on one event loop.

    Args:
        provider: Whose hooks say what to send and what an answer means.
        binding: The service, its options checked.
        sender: What carries the requests.
        credential: The user's key for the bound origin; None if there is none.
        clock: Time and chance.
    """

    def __init__(
        self,
        provider: Provider,
        binding: Binding,
        sender: Sender,
        *,
        credential: Credential | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.provider = provider
        self.clock = clock or Clock()
        self.credential = credential
        self.closed = False
        self._sender = sender
        self._grant: Grant | None = None
        self._granting = asyncio.Lock()
        self._submits = asyncio.Semaphore(SUBMITS_AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.bind(binding)
        self.follower = Follower(self)

    def bind(self, binding: Binding) -> None:
        """Take the service's description in."""
        self.binding = binding
        self.facts = self.provider.facts(binding)
        self.origin = origin(self.facts.url)
        self._inside = self.origin + "/"
        security = binding.service.security if binding.service is not None else ()
        self._scheme = security[0] if security else None

    def describe(self, service: ServiceSpec) -> None:
        """Go on with what the service's description said."""
        self.bind(self.binding.described(service=service))

    async def close(self) -> None:
        """Stop following and give the connections up; the host's jobs go on."""
        self.closed = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()

    def spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        """Run a coroutine in the background, until `close`."""
        task = self.loop.create_task(work, name=f"farcall {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- requests ---------------------------------------------------------------------------------------------

    async def request(self, request: Request, step: Step) -> Response:
        """Send one request once; JSON and text are read, any other body is still to come.

        Raises:
            Unreachable: No reply, or half of one.
            ProtocolError: The reply is larger than the host's envelopes may be.
        """
        if self.closed:
            raise UsageError("This service was closed; connect again.")
        for _ in range(HOPS):
            response = await self._once(request, step)
            if response.status not in REDIRECTS:
                break
            onward = _onward(request, response, self._inside)
            if onward is None:
                break
            response.drop()
            request = onward
        return await self._read(response)

    async def _once(self, request: Request, step: Step) -> Response:
        if request.url.startswith(self._inside) or origin(request.url) == self.origin:
            if self.provider.has_auth:
                request = await self._granted(request)
            elif self.credential is not None:
                request = auth.apply(request, self.credential, self._scheme)
        if self.provider.wrapped:
            return await self.provider.send(self.binding, request, step, self._sender.send)
        return await self._sender.send(request)

    async def _granted(self, request: Request) -> Request:
        """The provider's own way to show the key; one grant serves all callers."""
        for _ in range(2):
            now = self.clock.now()
            grant = self._grant
            if grant is not None and grant.expires_at is not None and grant.expires_at <= now:
                grant = None
            answer = self.provider.auth(self.binding, request, self.credential, grant, now)
            if isinstance(answer, Request):
                return answer
            async with self._granting:
                if self._grant is not None and self._grant is not grant:
                    answer.close()  # another caller brought one meanwhile
                else:
                    self._grant = await self.run(answer, Step.AUTH, bare=True)
        raise PluginError(
            f"The provider {self.provider.name!r} got a grant and did not use it in farcall_auth."
        )

    async def _read(self, response: Response) -> Response:
        body = response.body
        if body is None:
            return response
        media = response.media_type
        if media and not _is_text(media) and response.ok:
            return response
        if media in {"text/event-stream", "application/x-ndjson"} and response.ok:
            return response
        content = await body.read(self.facts.max_envelope_bytes)
        if response.status in self.facts.drop_connection_after:
            body.drop()
        return Response(status=response.status, headers=response.headers, content=content, url=response.url)

    async def exchange(self, request: Request, step: Step, tries: int = CONNECT_TRIES) -> Response:
        """Send one request; again where that can do no harm: nothing was sent, or it is repeatable.

        Raises:
            Unreachable: It stayed without a reply.
        """
        for attempt in range(1, tries + 1):
            try:
                response = await self.request(request, step)
            except Unreachable as error:
                if attempt == tries or not (error.unsent or request.repeatable):
                    raise
                request = replace(request, fresh=True)
                await asyncio.sleep(self.pause(attempt))
                continue
            passing = response.status in replies.PASSING and request.repeatable
            if not passing or attempt == tries:
                return response
            asked = replies.retry_after(response, self.clock.now())
            await asyncio.sleep(min(5.0, asked) if asked is not None else self.pause(attempt))
        raise AssertionError("unreachable")

    def pause(self, attempt: int) -> float:
        """Seconds before the next try: 0.2, 0.4, … at most 5, each ± 50 %."""
        return cast("float", min(5.0, 0.1 * 2**attempt) * (0.5 + self.clock.chance()))

    async def run(self, flow: Flow[T], step: Step, *, bare: bool = False) -> T:
        """Run a provider's flow to its end and return its value.

        Args:
            flow: The generator.
            step: What its requests are for.
            bare: Send without credentials, for a flow that fetches them.
        """
        if not inspect.isgenerator(cast("Any", flow)):
            raise PluginError(
                f"The provider {self.provider.name!r} returned {flow!r} where a flow was expected."
            )
        try:
            request = next(flow)
            while True:
                request = flow.send(await self._flow_request(request, step, bare=bare))
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            flow.close()

    async def _flow_request(self, request: Request, step: Step, *, bare: bool) -> Response:
        if bare:
            return await self._read(await self._sender.send(request))
        response = await self.exchange(request, step)
        if response.body is None:
            return response
        content = await response.body.read(self.facts.max_envelope_bytes)
        return replace(response, body=None, content=content)

    async def fetch(self, url: str) -> Response:
        """A result file's bytes, still to come; the key goes along only within the bound origin."""
        from farcall.files import follow

        return await follow(
            lambda request: self._once(request, Step.FILE), Request(method="GET", url=url, repeatable=True)
        )

    # --- submissions ------------------------------------------------------------------------------------------

    def track(self, endpoint: EndpointSpec) -> Tracked:
        """A job that is about to be submitted."""
        return Tracked(endpoint, self.loop.time())

    async def submit(
        self, tracked: Tracked, values: Mapping[str, Any], options: CallOptions, wait_s: float | None = None
    ) -> None:
        """Send the files, submit the call, and follow the job.

        Raises:
            ServiceError: It was not accepted; the job holds the same error.
        """
        try:
            async with self._submits:
                await self._submit(tracked, values, options, wait_s)
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            tracked.lose(JobLost("The submission was abandoned.") if cancelled else error)
            raise
        if tracked.ended:
            self.tell("ended", tracked)
        elif options.follow:
            self.follower.add(tracked)

    async def _submit(
        self, tracked: Tracked, values: Mapping[str, Any], options: CallOptions, wait_s: float | None
    ) -> None:
        token = secrets.token_hex(16)
        endpoint = tracked.endpoint
        values = await travelling(self, tracked, values)
        call = Call(endpoint=endpoint, arguments=values, options=options.own, token=token, wait_s=wait_s)
        request = self.provider.submit(self.binding, call)
        if not isinstance(request, Request):
            request = await self.run(request, Step.SUBMIT)
        if options.headers:
            request = request.with_headers(options.headers)
        if header := self.facts.idempotency_header:
            request = request.with_headers({header: options.idempotency_key or token})
            request = replace(request, repeatable=True)
        elif options.idempotency_key is not None:
            raise UsageError(f"The host of {endpoint.name!r} does not know idempotency keys.")
        deadline = None if options.timeout_s is None else tracked.started_at + options.timeout_s
        await self._until_accepted(tracked, request, deadline)
        log.info("submitted %s to %s: job %s", endpoint.name, self.origin, tracked.snapshot.job_id)

    async def _until_accepted(self, tracked: Tracked, request: Request, deadline: float | None) -> None:
        loop = self.loop
        patience = deadline if deadline is not None else loop.time() + self.binding.busy_patience_s
        attempt = 0
        while True:
            attempt += 1
            response = await self.exchange(request, Step.SUBMIT)
            updates = self.provider.read(self.binding, response, Step.SUBMIT, ())
            first = updates[0] if updates else replies.rejected(response, self.clock.now())
            if not isinstance(first, Rejected):
                self._accept(tracked, request, response, updates)
                return
            refusal = first
            asked = refusal.retry_after_s
            pause = self.pause(min(attempt, 6)) if asked is None else asked * (1 + 0.25 * self.clock.chance())
            if loop.time() + pause > patience:
                raise Busy(
                    f"{tracked.endpoint.name}: the service accepts no more work now ({refusal.message}); "
                    f"gave up after {loop.time() - tracked.started_at:.0f} s and {attempt} tries.",
                    request=request,
                    response=response,
                    retry_after_s=asked,
                )
            if not isinstance(request.body, bytes) and not request.body.repeatable:
                raise Busy(
                    f"{tracked.endpoint.name}: the service is busy, and the file was a stream that cannot be "
                    "read again; give it as a path or bytes.",
                    request=request,
                    response=response,
                    retry_after_s=asked,
                )
            await asyncio.sleep(pause)

    def _accept(
        self, tracked: Tracked, request: Request, response: Response, updates: Sequence[Update]
    ) -> None:
        snapshot = updates[0] if updates else None
        if not isinstance(snapshot, Snapshot):
            response.drop()
            raise self._refusal(request, response, Step.SUBMIT) or replies.unexpected(request, response)
        if snapshot.job_id is not None:
            tracked.ref = JobRef(
                provider=self.provider.name,
                url=self.facts.url,
                endpoint=tracked.endpoint.name,
                id=snapshot.job_id,
                data=snapshot.data,
            )
        elif not snapshot.state.ended:
            raise replies.unexpected(request, response)
        now = self.loop.time()
        tracked.accepted_at = now
        tracked.due = now + (snapshot.retry_after_s or self.facts.poll_min_s)
        tracked.see(snapshot)
        if self.provider.watched:
            self.tell("submitted", tracked)
        self._take(tracked, updates[1:])

    def _refusal(self, request: Request, response: Response, step: Step) -> FarcallError | None:
        """The error a reply's status means; a refused call without a key says how to set one."""
        error = replies.error(request, response, step, self.clock.now())
        if response.status == UNAUTHORISED and self.credential is None and error is not None:
            looked = where_looked(self.provider.name, self.facts.url, self.facts)
            missing = KeyMissing(f"{error} {looked}")
            missing.__cause__ = error
            return missing
        return error

    # --- looks ------------------------------------------------------------------------------------------------

    async def look(self, group: Sequence[Tracked], wait_s: float | None) -> None:
        """Look at jobs once and take in what is new; what a failed look means is decided here too."""
        refs = [t.ref for t in group if t.ref is not None]
        request = self.provider.status(self.binding, refs, wait_s)
        if request is None:
            for tracked in group:
                tracked.lose(
                    UsageError(f"The host of {tracked.endpoint.name!r} cannot be asked about its jobs.")
                )
            return
        if wait_s:
            request = replace(request, silence_s=wait_s + 60.0)
        if any(t.failures for t in group):
            request = replace(request, fresh=True)
        try:
            response = await self.request(request, Step.POLL)
            updates = self.provider.read(self.binding, response, Step.POLL, refs)
            if not updates and (error := self._refusal(request, response, Step.POLL)):
                raise error
        except ServiceError as error:
            self._failed_look(group, error)
            return
        except FarcallError as error:
            for tracked in group:
                tracked.lose(error)
            return
        for tracked in group:
            tracked.failures = 0
        self._spread(group, updates)

    def _spread(self, group: Sequence[Tracked], updates: Sequence[Update]) -> None:
        if len(group) == 1:
            self._take(group[0], updates)
            return
        by_id = {t.ref.id: t for t in group if t.ref is not None}
        for update in updates:
            if update.job_id in by_id:
                self._take(by_id[update.job_id], [update])

    def _take(self, tracked: Tracked, updates: Sequence[Update]) -> None:
        for update in updates:
            if isinstance(update, Snapshot):
                changed = tracked.see(update)
                if update.retry_after_s is not None:
                    tracked.due = self.loop.time() + update.retry_after_s
                if changed and self.provider.watched:
                    self.tell("snapshot", tracked)
            elif isinstance(update, Chunk | Log):
                tracked.take(update)
                if self.provider.watched:
                    self.tell("chunk", tracked)
            elif isinstance(update, Missing):
                tracked.lose(JobLost(_lost(tracked, self.facts.read_once)))
            elif update.retry_after_s is not None:
                tracked.due = self.loop.time() + update.retry_after_s

    def _failed_look(self, group: Sequence[Tracked], error: ServiceError) -> None:
        """Look again after what may pass; give the job up after what will not."""
        now = self.loop.time()
        status = None if error.response is None else error.response.status
        unsent = isinstance(error, Unreachable) and error.unsent
        passing = isinstance(error, Unreachable) or status in replies.PASSING
        for tracked in group:
            if not passing:
                tracked.lose(error)
                continue
            if not self.facts.poll_repeatable and not unsent:
                tracked.lose(
                    JobLost(
                        f"A look at {tracked.endpoint.name} broke, and this host takes each once: {error}"
                    )
                )
                continue
            tracked.failures += 1
            if tracked.failures == 1:
                tracked.failing_since = now
            if now - tracked.failing_since > LOOK_PATIENCE_S:
                tracked.lose(error)
                continue
            tracked.due = now + (error.retry_after_s or self.pause(min(tracked.failures, 6)))

    # --- output -----------------------------------------------------------------------------------------------

    def want_output(self, tracked: Tracked) -> None:
        """Open the job's stream, if it has one and it is not open yet."""
        if not tracked.streamed and tracked.ref is not None and self.facts.stream is not None:
            request = self.provider.stream(self.binding, tracked.ref, None)
            if request is not None:
                tracked.streamed = tracked.streaming = True
                self.spawn(self._stream(tracked, request), "stream")

    async def _stream(self, tracked: Tracked, request: Request) -> None:
        try:
            await self._take_in(tracked, request)
        finally:
            tracked.stream_over()

    async def _take_in(self, tracked: Tracked, request: Request) -> None:
        """Take a stream in; take it up again after its last event where the host can, when the link breaks."""
        for attempt in range(1, 20):
            try:
                response = await self._once(request, Step.STREAM)
                if not response.ok:
                    response = await self._read(response)
                    if attempt == 1 and tracked.ref is not None:
                        self._take(
                            tracked, self.provider.read(self.binding, response, Step.STREAM, [tracked.ref])
                        )
                    return
                async for event in events(response, self.facts.stream or "sse"):
                    if tracked.ref is not None:
                        self._take(
                            tracked, self.provider.read(self.binding, event, Step.STREAM, [tracked.ref])
                        )
            except Unreachable:
                if tracked.ref is None or tracked.chunk_id is None:
                    return  # without an id the beginning would come twice
                onward = self.provider.stream(self.binding, tracked.ref, tracked.chunk_id)
                if onward is None:
                    return
                request = onward
                await asyncio.sleep(self.pause(min(attempt, 6)))
            except (ProtocolError, PluginError) as error:
                tracked.lose(error)
                return
            else:
                return

    # --- cancelling -------------------------------------------------------------------------------------------

    async def cancel(self, tracked: Tracked, timeout_s: float | None) -> Snapshot:
        """Ask the host to cancel, and return the latest look once it has answered.

        Raises:
            CancelUnsupported: The host cannot; the job goes on.
            CancelFailed: It was asked and did not.
            WaitTimeout: It did not answer within `timeout_s` seconds.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._cancel(tracked)
        except TimeoutError:
            raise WaitTimeout(
                f"The host did not answer within {timeout_s:g} s whether {tracked.endpoint.name} is cancelled.",
                job=tracked.job,
            ) from None

    async def _cancel(self, tracked: Tracked) -> Snapshot:
        while tracked.ref is None and not tracked.ended:
            await tracked.change()
        if tracked.ended or tracked.ref is None:
            return tracked.snapshot
        request = self.provider.cancel(self.binding, tracked.ref)
        if request is None:
            raise CancelUnsupported(
                f"The host of {tracked.endpoint.name!r} cannot cancel jobs; it goes on.",
                snapshot=tracked.snapshot,
            )
        response = await self.exchange(request, Step.CANCEL)
        updates = self.provider.read(self.binding, response, Step.CANCEL, [tracked.ref])
        if not updates and (error := self._refusal(request, response, Step.CANCEL)):
            raise error
        if any(isinstance(u, Missing) for u in updates):
            raise CancelFailed(
                f"The host knows no job {tracked.ref.id} of {tracked.endpoint.name} to cancel.",
                snapshot=tracked.snapshot,
            )
        self._take(tracked, updates)
        return tracked.snapshot

    # --- attaching and telling --------------------------------------------------------------------------------

    def attach(self, ref: JobRef, endpoint: EndpointSpec) -> Tracked:
        """Take a job up again; nothing is sent yet.

        Raises:
            UsageError: The job is another provider's or another service's.
        """
        if ref.provider != self.provider.name or origin(ref.url) != self.origin:
            raise UsageError(
                f"This job is {ref.provider}'s at {origin(ref.url)}; this service is "
                f"{self.provider.name}'s at {self.origin}. Connect to the job's service and attach there."
            )
        tracked = self.track(endpoint)
        tracked.ref = ref
        tracked.snapshot = replace(tracked.snapshot, job_id=ref.id, data=ref.data)
        return tracked

    def tell(self, kind: str, tracked: Tracked, file: str | None = None) -> None:
        """Tell the extensions, if any listens."""
        if self.provider.watched:
            snapshot = tracked.snapshot if kind in {"submitted", "snapshot", "ended"} else None
            self.provider.tell(
                Event(
                    kind=kind,
                    provider=self.provider.name,
                    endpoint=tracked.endpoint.name,
                    job_id=tracked.snapshot.job_id,
                    snapshot=snapshot,
                    file=file,
                    at=self.loop.time(),
                )
            )


def _is_text(media: str) -> bool:
    return (
        media.startswith("text/")
        or media.endswith(("json", "+xml", "/xml"))
        or media == "application/x-www-form-urlencoded"
    )


def _onward(request: Request, response: Response, inside: str) -> Request | None:
    """The request a redirect asks for; None if it is not followed.

    A read goes anywhere (the key stays behind); a submission only within the bound origin, and only as it was.
    """
    place = response.headers.get("location", "")
    if not place:
        return None
    url = urljoin(request.url, place)
    if not url.startswith(("http://", "https://")):
        return None
    if request.method in {"GET", "HEAD"}:
        kept = {k: v for k, v in request.headers.items() if k.lower() not in {"authorization", "cookie"}}
        return replace(request, url=url, headers=request.headers if url.startswith(inside) else kept)
    same_again = response.status in {307, 308} and url.startswith(inside)
    whole = isinstance(request.body, bytes) or request.body.repeatable
    return replace(request, url=url) if same_again and whole else None


def _lost(tracked: Tracked, read_once: bool) -> str:
    job = tracked.snapshot.job_id
    sentence = f"The host no longer knows job {job} of {tracked.endpoint.name}; its result cannot be had."
    if read_once:
        sentence += " It forgets a job once its end was read, also if that reply was lost on the way."
    return sentence
