"""Carries a service's requests: with its key, over redirects, again where that does no harm, and reads the replies."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeVar, cast
from urllib.parse import urljoin

from farcall import auth, replies
from farcall.binding import Binding
from farcall.errors import AuthRefused, FarcallError, KeyMissing, PluginError, ProtocolError, Unreachable, UsageError
from farcall.fetching import REDIRECTS, follow
from farcall.hookspecs import Credential, Flow, Grant
from farcall.jobs import Step
from farcall.keys import where_looked
from farcall.provider import Provider
from farcall.streams import KINDS
from farcall.wire import Reading, Request, Response, Sender, origin, without_query

T = TypeVar("T")

HOPS: Final = 5
TRIES: Final = 3
LONGEST_PAUSE_S: Final = 30.0
"""The longest pause a host may ask for before something other than a submission or a look is tried again."""
HARMLESS: Final = frozenset({"accept", "accept-encoding", "user-agent"})
"""The headers that go along when a redirect leads to another origin: any other may be a secret."""
UNAUTHORISED: Final = 401
_PATIENT: Final = frozenset({Step.SUBMIT, Step.CANCEL})
"""Where a busy host is given more time than is given here."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The engine's sense of time and chance; both can be taken over in tests."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    chance: Callable[[], float] = random.random


class Courier:
    """Carries the requests of one connected service.

    Args:
        provider: Whose hooks show the key, where it has a way of its own.
        sender: The dumb pipe.
        clock: Time and chance.
    """

    def __init__(self, provider: Provider, sender: Sender, clock: Clock) -> None:
        self.provider = provider
        self.clock = clock
        self.credential: Credential | None = None
        self.closed = False
        self._sender = sender
        self._grant: Grant | None = None
        self._granting = asyncio.Lock()

    def bind(self, binding: Binding) -> None:
        """Take in where the service is and how it wants its key."""
        self.binding = binding
        self.facts = self.provider.facts(binding)
        self.origin = origin(self.facts.url)
        self._inside = self.origin + "/"
        security = binding.service.security if binding.service is not None else ()
        self._scheme = security[0] if security else None

    async def close(self) -> None:
        """Give the connections up."""
        self.closed = True
        await self._sender.close()

    async def request(self, request: Request, step: Step) -> Response:
        """Send one request once; JSON and text are read, any other body is still to come.

        Raises:
            Unreachable: No reply, or half of one.
            ProtocolError: The reply is larger than the host's envelopes may be.
        """
        for _ in range(HOPS):
            grant = self._grant
            response = await self.once(request, step)
            taken_back = response.status == UNAUTHORISED and grant is not None  # before its time
            if taken_back and is_whole(request):
                response.drop()
                self._grant = None if self._grant is grant else self._grant
                response = await self.once(request, step)
            if response.status not in REDIRECTS:
                break
            onward = _onward(request, response, self._inside)
            if onward is None:
                break
            response.drop()
            request = onward
        return await self.read(response)

    async def once(self, request: Request, step: Step) -> Response:
        """Send one request, its key on it if it goes to the bound origin; the body is still to come."""
        if self.closed:
            raise UsageError("This service was closed; connect again.")
        asked = request
        if request.url.startswith(self._inside) or origin(request.url) == self.origin:
            if self.provider.has_auth:
                request = await self._granted(request)
            elif self.credential is not None:
                request = auth.apply(request, self.credential, self._scheme)
        response = await self._bare(request, step)
        return response if request.url is asked.url else replace(response, url=asked.url)  # no key in what is kept

    def _bare(self, request: Request, step: Step) -> Awaitable[Response]:
        """Send a request as it is, through the extensions."""
        if self.provider.wrapped:
            return self.provider.send(self.binding, request, step, self._sender.send)
        return self._sender.send(request)

    async def _granted(self, request: Request) -> Request:
        """The provider's own way to show the key; one grant serves all callers."""
        for _ in range(2):
            now = self.clock.now()
            seen = self._grant
            expired = seen is not None and seen.expires_at is not None and seen.expires_at <= now
            answer = self.provider.auth(self.binding, request, self.credential, None if expired else seen, now)
            if isinstance(answer, Request):
                return answer
            async with self._granting:
                if self._grant is not seen:
                    answer.close()  # another caller brought one meanwhile
                else:
                    self._grant = await self.run(answer, Step.AUTH, bare=True)
        raise PluginError(f"The provider {self.provider.name!r} got a grant and did not use it in farcall_auth.")

    async def read(self, response: Response) -> Response:
        """The reply with its JSON or text read; any other body is still to come."""
        body = response.body
        if body is None:
            return response
        if response.ok and not _is_envelope(response.media_type):
            return response
        content = await self._whole(response, body)
        if response.status in self.facts.drop_connection_after:
            body.drop()
        return response.arrived(content)

    async def exchange(self, request: Request, step: Step, tries: int = TRIES) -> Response:
        """Send one request; again where that can do no harm: nothing was sent or taken, or all of it is repeatable.

        Raises:
            Unreachable: It stayed without a reply.
        """
        for attempt in range(1, tries + 1):
            try:
                response = await self.request(request, step)
            except Unreachable as error:
                if attempt == tries or not (error.unsent or is_repeatable(request)):
                    raise
                request = replace(request, fresh=True)
                await asyncio.sleep(self.pause(attempt))
                continue
            untaken = response.status == replies.TOO_MANY and is_whole(request)
            passing = untaken or (response.status in replies.PASSING and is_repeatable(request))
            asked = replies.retry_after(response, self.clock.now()) if passing else None
            refused = response.status == replies.TOO_MANY and step in _PATIENT
            if not passing or refused or attempt == tries or (asked or 0) > LONGEST_PAUSE_S:
                return response
            await asyncio.sleep(asked or self.pause(attempt))
        raise AssertionError("unreachable")

    def pause(self, attempt: int) -> float:
        """Seconds before the next try: 0.2, 0.4, … at most 5, each ± 50 %."""
        return cast("float", min(5.0, 0.1 * 2**attempt) * (0.5 + self.clock.chance()))

    async def fetch_whole(self, request: Request, step: Step) -> Response:
        """One reply, its body in memory; a redirect is not followed, so that no address is asked that none allowed."""
        response = await self.once(request, step)
        if response.body is None:
            return response
        return response.arrived(await self._whole(response, response.body))

    async def run(self, flow: Flow[T], step: Step, *, bare: bool = False) -> T:
        """Run a provider's flow to its end and return its value.

        Args:
            flow: The generator.
            step: What its requests are for.
            bare: Send without credentials, for a flow that fetches them.
        """
        if not inspect.isgenerator(cast("Any", flow)):
            raise PluginError(f"The provider {self.provider.name!r} returned {flow!r} where a flow was expected.")
        try:
            request = self._onward(flow, None)
            while True:
                request = self._onward(flow, await self._flow_request(request, step, bare=bare))
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            flow.close()

    def _onward(self, flow: Flow[T], answer: Response | None) -> Request:
        """The next request of a flow that is handed an answer; `StopIteration` at its end."""
        try:
            return flow.send(cast("Response", answer))
        except (StopIteration, FarcallError):
            raise
        except Exception as error:  # whatever a plugin raised by mistake becomes one error that names it
            raise PluginError(
                f"The provider {self.provider.name!r} broke in a flow: {type(error).__name__}: {error}"
            ) from error

    async def _flow_request(self, request: Request, step: Step, *, bare: bool) -> Response:
        if bare:
            return await self.read(await self._bare(request, step))
        response = await self.exchange(request, step)
        if response.body is None:
            return response
        return response.arrived(await self._whole(response, response.body))

    async def _whole(self, response: Response, body: Reading) -> bytes:
        """The body in memory; one that says beforehand that it is too large is not begun."""
        limit = self.facts.max_envelope_bytes
        stated = response.headers.get("content-length", "")
        if stated.isdigit() and int(stated) > limit:
            body.drop()
            raise ProtocolError(
                f"The reply of {without_query(response.url)} has {int(stated):,} bytes; "
                f"{limit:,} are read into memory at most.",
                response=response,
            )
        try:
            return await body.read(limit)
        except BaseException:
            body.drop()  # also when the wait is given up: nobody else would
            raise

    async def fetch(self, url: str, headers: Mapping[str, str]) -> Response:
        """A result file's bytes, still to come; the key goes along only within the bound origin."""
        request = Request(method="GET", url=url, headers=headers, repeatable=True)
        return await follow(lambda asked: self.once(asked, Step.FILE), request)

    def refusal(self, request: Request, response: Response, step: Step) -> FarcallError | None:
        """The error a reply's status means; a refused call says whose key it was, and without one how to set one."""
        error = replies.error(request, response, step, self.clock.now())
        if isinstance(error, AuthRefused) and self.credential is not None and self.credential.place:
            error.args = (f"{str(error).rstrip('.')}. The key that was shown is from {self.credential.place}.",)
        if response.status == UNAUTHORISED and self.credential is None and error is not None:
            looked = where_looked(self.provider.name, self.facts.url, self.facts)
            missing = KeyMissing(f"{str(error).rstrip('.')}. {looked}")
            missing.__cause__ = error
            return missing
        return error


@lru_cache(maxsize=256)
def _is_envelope(media: str) -> bool:
    """Whether a reply of this type is read into memory: JSON and text, but no stream; a reply without a type too."""
    if media in KINDS:
        return False
    return not media or media.startswith("text/") or media.endswith(("json", "+xml", "/xml"))


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
        kept = {k: v for k, v in request.headers.items() if k.lower() in HARMLESS}
        return replace(request, url=url, headers=request.headers if url.startswith(inside) else kept)
    same_again = response.status in {307, 308} and url.startswith(inside)
    return replace(request, url=url) if same_again and is_whole(request) else None


def is_repeatable(request: Request) -> bool:
    """Whether a second delivery of the request does no harm and can be made."""
    return request.repeatable and is_whole(request)


def is_whole(request: Request) -> bool:
    """Whether the request's body can be sent once more."""
    return isinstance(request.body, bytes) or request.body.repeatable
