"""Does what the other steps decide: submits, looks, streams and cancels. The only place with a clock."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from farcall import replies
from farcall.binding import Binding
from farcall.courier import Clock, Courier, is_repeatable, is_whole
from farcall.errors import (
    Busy,
    CancelFailed,
    CancelUnsupported,
    FarcallError,
    InputError,
    JobLost,
    PluginError,
    ProtocolError,
    ServiceError,
    Unreachable,
    UsageError,
    WaitTimeout,
)
from farcall.following import Follower
from farcall.hookspecs import Call, Credential, ProviderFacts
from farcall.jobs import Chunk, Event, JobRef, Log, Missing, Rejected, Snapshot, State, Step, Update
from farcall.listening import Listener
from farcall.pace import pace
from farcall.provider import Provider
from farcall.spec import EndpointSpec, ServiceSpec
from farcall.tracking import CallOptions, Tracked, check_finished, closed, fresh
from farcall.transport import HOLDERS, travelling
from farcall.wire import Request, Response, Sender, origin

if TYPE_CHECKING:
    from farcall.stores import Store

log = logging.getLogger("farcall")

E = TypeVar("E", bound=FarcallError)

DIRECT_WAIT_S: Final = 2.0
"""How long a call that waits anyway lets the host hold the submitting reply open."""
DELIVERY: Final = "farcall submit"
DELIVERY_S: Final = 5.0
"""How long closing waits for background submissions that the host has not accepted yet."""
LONGEST_REST_S: Final = 3600.0
"""The longest time a job is left alone because its host asks for it."""
LOOK_PATIENCE_S: Final = 60.0
"""How long looks may fail one after the other before a job counts as out of reach."""


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
        self.courier = Courier(provider, sender, self.clock)
        self.courier.credential = credential
        self.closed = False
        self.storage: Store | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._submitting: dict[Tracked, asyncio.Task[Any] | None] = {}
        self._secret, self._calls = secrets.token_hex(14), itertools.count(1)
        self.bind(binding)
        self._submits = asyncio.Semaphore(self.facts.submits_at_once)
        self.follower = Follower(self)
        self.listener = Listener(self)

    def bind(self, binding: Binding) -> None:
        """Take the service's description in."""
        self.courier.bind(binding)
        self.binding = binding
        self.facts = self.provider.sound(self.courier.facts)
        self.origin = self.courier.origin
        self._place = self.provider.name, self.facts.url

    def describe(self, service: ServiceSpec) -> None:
        """Go on with what the service's description said."""
        self.bind(self.binding.described(service=service))

    async def close(self) -> None:
        """Stop following and give the connections up; the host's jobs go on.

        What was submitted in the background is delivered first, for as long as `DELIVERY_S`.
        """
        await self._deliver()
        self.closed = True
        self.follower.close()
        for tracked, submitting in list(self._submitting.items()):
            if not tracked.ended:
                tracked.lose(closed())
                if submitting is not None and submitting is not asyncio.current_task():
                    submitting.cancel()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            if self.storage is not None:
                await self.storage.close()
        finally:
            await self.courier.close()

    async def _deliver(self) -> None:
        """Let background submissions reach the host: their callers were told that they go on."""
        delivering = [task for task in self._tasks if task.get_name() == DELIVERY]
        if delivering:
            _, left = await asyncio.wait(delivering, timeout=DELIVERY_S)
            if left:
                log.warning("%d submissions to %s were not accepted in time and are abandoned", len(left), self.origin)

    def _token(self) -> str:
        """A word for one call that nobody else has and nobody guesses."""
        return f"{self._secret}{next(self._calls):04x}"

    def check_loop(self) -> None:
        """Refuse to work on another event loop than the one that connected.

        Raises:
            UsageError: This is another one, where waiting would break or never end.
        """
        if asyncio.get_running_loop() is not self.loop:
            raise UsageError(
                "This service was connected on another event loop; connect and call within one asyncio.run()."
            )

    def spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        """Run a coroutine in the background, until `close`."""
        task = self.loop.create_task(work, name=f"farcall {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- submissions ------------------------------------------------------------------------------------------

    def track(self, endpoint: EndpointSpec) -> Tracked:
        """A job that is about to be submitted."""
        return Tracked(endpoint, self.loop.time())

    async def submit(
        self,
        tracked: Tracked,
        values: Mapping[str, Any],
        options: CallOptions,
        wait_s: float | None = None,
        onward: Request | None = None,
    ) -> None:
        """Send the files, submit the call, and follow the job.

        Args:
            tracked: The job.
            values: The arguments, checked.
            options: The call's.
            wait_s: How long the caller would wait for the reply, in seconds; None: it wants a job at once.
            onward: The request of a page that is named by its address; None: the arguments make it.

        Raises:
            ServiceError: It was not accepted; the job holds the same error.
        """
        task = asyncio.current_task()
        self._submitting[tracked] = task
        try:
            if self.closed:
                raise UsageError("This service was closed; connect again.")
            if onward is None:
                onward = await self._request(tracked, values, options, wait_s)
            await self._until_accepted(tracked, onward, _deadline(tracked, options))
        except asyncio.CancelledError:
            if self.closed and tracked.problem is not None and task is not None and task.uncancel() == 0:
                raise fresh(tracked.problem) from None  # it was `close` that cancelled
            tracked.lose(JobLost("The submission was abandoned."))
            raise
        except BaseException as error:
            if self.closed and tracked.problem is not None:
                raise fresh(tracked.problem) from error
            tracked.lose(error)
            raise
        finally:
            del self._submitting[tracked]
            self.tell_end(tracked)
        if not tracked.ended and tracked.ref is not None and (options.follow or tracked.wanted):
            self.follower.add(tracked)

    async def _request(
        self, tracked: Tracked, values: Mapping[str, Any], options: CallOptions, wait_s: float | None
    ) -> Request:
        """The request that submits a call, its files sent before where they travel apart."""
        endpoint = tracked.endpoint
        # hosts know a job again by its key; a reply that is the result itself is made anew
        header = None if endpoint.job is False else self.facts.idempotency_header
        if header is None and options.idempotency_key is not None:
            raise UsageError(f"The host of {endpoint.name!r} does not know idempotency keys there.")
        if not HOLDERS.isdisjoint(map(type, values.values())):
            async with self._submits:
                values = await travelling(self, tracked, values, options.own)
        token = self._token()
        key = None if header is None else options.idempotency_key or token
        call = Call(
            endpoint=endpoint,
            arguments=values,
            options=options.own,
            token=token,
            idempotency_key=key,
            wait_s=wait_s,
        )
        try:
            request = self.provider.submit(self.binding, call)
        except InputError as error:
            raise InputError(f"{endpoint.name}: {error}") from error
        if not isinstance(request, Request):
            request = await self.courier.run(request, Step.SUBMIT)
            if not isinstance(request, Request):
                raise PluginError(
                    f"The provider {self.provider.name!r} returned {request!r} from its flow to a Request."
                )
        if tracked.outbound is not None:
            request = tracked.outbound.into(request)
        if options.headers:
            request = request.with_headers(options.headers)
        if header is not None and key is not None and not (request.repeatable and header in request.headers):
            request = replace(request.with_headers({header: key}), repeatable=True)
        return request

    def after(
        self, tracked: Tracked, values: Mapping[str, Any], options: CallOptions
    ) -> tuple[Mapping[str, Any], Request | None] | None:
        """The arguments, or the request, of the page after the one that a job brought; None: that was the last."""
        call = Call(endpoint=tracked.endpoint, arguments=values, options=options.own, token=self._token())
        onward = self.provider.next_page(self.binding, call, tracked.snapshot)
        if isinstance(onward, Call):
            return onward.arguments, None
        return None if onward is None else (values, onward)

    async def _until_accepted(self, tracked: Tracked, request: Request, deadline: float | None) -> None:
        loop = self.loop
        patience = deadline
        attempt = 0
        while True:
            attempt += 1
            async with self._submits:  # not while it pauses: a full endpoint must not hold up the others
                if self.facts.submit_rate is not None:
                    await pace(self.facts.url).submission(*self.facts.submit_rate)
                if patience is None:
                    patience = loop.time() + self.binding.busy_patience_s
                if tracked.ended:  # abandoned before it was accepted
                    check_finished(tracked)
                tracked.sending = True
                try:
                    response = await self.courier.exchange(request, Step.SUBMIT)
                except Unreachable as error:
                    raise _perhaps_taken(tracked, request, error) from error.__cause__
            updates = self.provider.read(self.binding, response, Step.SUBMIT, (), tracked.endpoint)
            first = updates[0] if updates else replies.rejected(response, self.clock.now())
            if not isinstance(first, Rejected):
                self._accept(tracked, request, response, updates)
                log.info("submitted %s to %s: job %s", tracked.endpoint.name, self.origin, tracked.snapshot.job_id)
                return
            asked = first.retry_after_s
            if asked is None:
                asked = replies.retry_after(response, self.clock.now())
            pause = self._busy_pause(asked, attempt)
            if loop.time() + pause > patience:
                tries = "1 try" if attempt == 1 else f"{attempt} tries"
                raise Busy(
                    f"{tracked.endpoint.name}: the service accepts no more work now ({first.message}); "
                    f"gave up after {loop.time() - tracked.started_at:.0f} s and {tries}.",
                    request=request,
                    response=response,
                    retry_after_s=asked,
                )
            if not is_whole(request):
                raise Busy(
                    f"{tracked.endpoint.name}: the service is busy, and the file was a stream that cannot be "
                    "read again; give it as a path or bytes.",
                    request=request,
                    response=response,
                    retry_after_s=asked,
                )
            await tracked.pause(pause)

    def _busy_pause(self, asked_s: float | None, attempt: int) -> float:
        """Seconds until a busy host is asked again: what it asked for and a little more, else longer each time."""
        return asked_s * (1 + 0.25 * self.clock.chance()) if asked_s else self.courier.pause(min(attempt, 6))

    def _accept(self, tracked: Tracked, request: Request, response: Response, updates: Sequence[Update]) -> None:
        snapshot = updates[0] if updates else None
        if not isinstance(snapshot, Snapshot):
            response.drop()
            error = self.courier.refusal(request, response, Step.SUBMIT) or replies.unexpected(request, response)
            if response.status in replies.UNTOLD:
                error = _perhaps_taken(tracked, request, error)
            raise error if tracked.outbound is None else tracked.outbound.blamed(error)
        if snapshot.job_id is not None:
            tracked.place = self._place
        elif not snapshot.state.ended and not isinstance(snapshot.result, Response):
            raise replies.unexpected(request, response)
        if isinstance(snapshot.result, Response) and not snapshot.state.ended:
            self.listener.hear_reply(tracked, snapshot.result)
            snapshot = replace(snapshot, result=None)
        now = self.loop.time()
        tracked.accepted_at = now
        tracked.due = now + self.facts.poll_min_s
        if snapshot.retry_after_s is not None:
            self._rest(tracked, snapshot.retry_after_s or self.facts.poll_min_s)
        tracked.see(snapshot)
        if tracked.outbound is not None:
            tracked.outbound.arrived()
        if self.provider.watched:
            self.tell("submitted", tracked)
        self.take(tracked, updates[1:])

    # --- looks ------------------------------------------------------------------------------------------------

    async def look(self, group: Sequence[Tracked], wait_s: float | None) -> None:
        """Look at jobs once and take in what is new; what a failed look means is decided here too."""
        try:
            updates = await self._seen(group, wait_s)
        except ServiceError as error:
            if isinstance(error, ProtocolError) and len(group) > 1:
                for tracked in group:  # one bad answer must not end them all
                    await self.look([tracked], None)
            else:
                self._failed_look(group, error)
        except FarcallError as error:
            for tracked in group:
                tracked.lose(error)
        else:
            for tracked in group:
                tracked.failures = 0
            self._spread(group, updates)

    async def _seen(self, group: Sequence[Tracked], wait_s: float | None) -> Sequence[Update]:
        refs = [t.ref for t in group if t.ref is not None]
        request = self.provider.status(self.binding, refs, wait_s)
        if request is None:
            raise UsageError(f"The host of {group[0].endpoint.name!r} cannot be asked about its jobs.")
        if wait_s:
            request = replace(request, silence_s=wait_s + 60.0)
        if any(t.failures for t in group):
            request = replace(request, fresh=True)
        response = await self.courier.request(request, Step.POLL)
        only = group[0].endpoint if len(group) == 1 else None
        updates = self.provider.read(self.binding, response, Step.POLL, refs, only)
        if not updates and (error := self.courier.refusal(request, response, Step.POLL)):
            raise error
        if only is not None:
            for update in updates:
                if update.job_id is not None and update.job_id != refs[0].id:
                    raise ProtocolError(
                        f"Asked about job {refs[0].id} of {only.name}, the host answered about {update.job_id}.",
                        request=request,
                        response=response,
                    )
        return updates

    def _spread(self, group: Sequence[Tracked], updates: Sequence[Update]) -> None:
        if len(group) == 1:
            self.take(group[0], updates)
            return
        by_id = {t.ref.id: t for t in group if t.ref is not None}
        for update in updates:
            if update.job_id in by_id:
                self.take(by_id[update.job_id], [update])

    def take(self, tracked: Tracked, updates: Sequence[Update]) -> None:
        """Take in what an answer or an event said of a job."""
        for update in updates:
            if isinstance(update, Snapshot):
                changed = tracked.see(update)
                if update.retry_after_s is not None:
                    self._rest(tracked, update.retry_after_s)
                if changed and self.provider.watched:
                    self.tell("snapshot", tracked)
            elif isinstance(update, Chunk | Log):
                tracked.take(update)
                if self.provider.watched:
                    self.tell("chunk", tracked)
            elif isinstance(update, Missing):
                tracked.lose(JobLost(_lost(tracked, update, self.facts)))
            elif update.retry_after_s is not None:
                self._rest(tracked, update.retry_after_s)
        self.tell_end(tracked)

    def _rest(self, tracked: Tracked, seconds: float) -> None:
        """Leave a job alone for a while, as its host wants it."""
        rest = min(LONGEST_REST_S, seconds)  # in this order nan is the longest, too
        tracked.due, tracked.resting = self.loop.time() + rest, True

    def _failed_look(self, group: Sequence[Tracked], error: ServiceError) -> None:
        """Look again after what may pass; give the job up after what will not."""
        now = self.loop.time()
        status = None if error.response is None else error.response.status
        untouched = status in replies.UNTOUCHED or (isinstance(error, Unreachable) and error.unsent)
        passing = isinstance(error, Unreachable) or status in replies.PASSING
        for tracked in group:
            tracked.failures += 1
            tracked.trouble = str(error)
            if tracked.failures == 1:
                tracked.failing_since = now
            if passing and not untouched and not self.facts.poll_repeatable:
                sentence = f"A look at {tracked.endpoint.name} broke, and this host takes each once: {error}"
                tracked.lose(JobLost(sentence))
            elif not passing or now - tracked.failing_since > LOOK_PATIENCE_S:
                tracked.lose(fresh(error))
            else:
                self._rest(tracked, error.retry_after_s or self.courier.pause(min(tracked.failures, 6)))

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
            ) from None

    async def _cancel(self, tracked: Tracked) -> Snapshot:
        while not tracked.accepted and not tracked.ended:
            if not tracked.sending:  # the host has nothing of it: between two tries, or before the first
                tracked.see(Snapshot(state=State.CANCELLED))
                return tracked.snapshot
            await tracked.change()
        if tracked.problem is not None:
            check_finished(tracked)
        if tracked.reply is not None:  # giving the connection up is all there is to cancel
            tracked.see(Snapshot(state=State.CANCELLED))
            tracked.reply.cancel()
        if tracked.ended or tracked.ref is None:
            return tracked.snapshot
        request = self.provider.cancel(self.binding, tracked.ref)
        if request is None:
            raise CancelUnsupported(
                f"The host of {tracked.endpoint.name!r} cannot cancel jobs; it goes on.",
                snapshot=tracked.snapshot,
            )
        response = await self._asked_to_cancel(tracked, request)
        updates = self.provider.read(self.binding, response, Step.CANCEL, [tracked.ref], tracked.endpoint)
        if tracked.snapshot.state.ended:
            return tracked.snapshot
        if not updates and (error := self.courier.refusal(request, response, Step.CANCEL)):
            raise error
        if any(isinstance(u, Missing) for u in updates):
            raise CancelFailed(
                f"The host knows no job {tracked.ref.id} of {tracked.endpoint.name} to cancel.",
                snapshot=tracked.snapshot,
            )
        self.take(tracked, updates)
        return tracked.snapshot

    async def _asked_to_cancel(self, tracked: Tracked, request: Request) -> Response:
        """The host's answer; while it is too busy and the job goes on, it is asked again, as it is to submit."""
        patience, attempt = self.loop.time() + self.binding.busy_patience_s, 0
        while True:
            attempt += 1
            response = await self.courier.exchange(request, Step.CANCEL)
            busy = replies.rejected(response, self.clock.now())
            pause = 0.0 if busy is None else self._busy_pause(busy.retry_after_s, attempt)
            if busy is None or self.loop.time() + pause > patience:
                return response
            with contextlib.suppress(WaitTimeout):
                await tracked.until(lambda: False, pause, "")
            if tracked.ended:
                return response

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
        tracked.refer(ref)
        return tracked

    def tell_end(self, tracked: Tracked) -> None:
        """Tell the extensions that a job has ended, if it has; once, however it came to its end."""
        if self.provider.watched and tracked.ended and not tracked.told:
            tracked.told = True
            self.tell("ended", tracked)

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


def _deadline(tracked: Tracked, options: CallOptions) -> float | None:
    return None if options.timeout_s is None else tracked.started_at + options.timeout_s


def _perhaps_taken(tracked: Tracked, request: Request, error: E) -> E:
    """The same error; it says what is not known, unless surely nothing was sent."""
    if not (isinstance(error, Unreachable) and error.unsent):
        tries = "each try with the same idempotency key" if is_repeatable(request) else "so it was not sent again"
        error.args = (
            f"{str(error).rstrip('.')}. Whether the host took {tracked.endpoint.name} is not known, {tries}.",
        )
    return error


def _lost(tracked: Tracked, missing: Missing, facts: ProviderFacts) -> str:
    job = tracked.snapshot.job_id
    sentence = f"The host no longer knows job {job} of {tracked.endpoint.name}; its result cannot be had."
    if missing.message:
        sentence += f" It says: {missing.message}"
    if facts.retention_s is not None:
        sentence += f" It keeps results for {facts.retention_s:,.0f} s."
    if facts.read_once:
        sentence += " It forgets a job once its end was read, also if that reply was lost on the way."
    return sentence
