"""A job host in memory, whose jobs take virtual time and whose replies can be scripted, and its provider."""

import asyncio
import contextlib
import functools
import json
from collections import deque
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from farcall import Binding, EndpointSpec, hookimpl, plugins
from farcall.bodies import json_body
from farcall.connecting import check_options
from farcall.courier import Clock
from farcall.engine import Engine
from farcall.errors import ProtocolError
from farcall.hookspecs import ProviderFacts
from farcall.jobs import Chunk, Log, Missing, Snapshot, State, Step
from farcall.provider import provider
from farcall.service import AsyncService
from farcall.spec import ServiceSpec
from farcall.testing import MemorySender, reply, run
from farcall.wire import Headers, Request, Response, StreamEvent, fill, join
from pydantic import BaseModel

URL = "http://ticks.test"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
PHASES = {
    "waiting": State.QUEUED,
    "working": State.RUNNING,
    "done": State.SUCCEEDED,
    "broken": State.FAILED,
    "stopped": State.CANCELLED,
    "late": State.TIMED_OUT,
}


class Options(BaseModel):
    url: str = URL


class Ticks:
    """The provider. Its facts are as given, over what the host can by itself: nothing but single looks."""

    def __init__(self, **facts):
        self._facts = ProviderFacts(**{"url": URL, "poll_per_s": 1000.0, **facts})

    @hookimpl
    def farcall_facts(self):
        return self._facts

    @hookimpl
    def farcall_options(self):
        return Options

    @hookimpl
    def farcall_submit(self, binding, call):
        headers, body = json_body({"with": dict(call.arguments)})
        return Request(method="POST", url=join(URL, "/jobs"), headers=headers, body=body)

    @hookimpl
    def farcall_status(self, jobs, wait_s):
        query = [("ticket", job.id) for job in jobs] + ([] if wait_s is None else [("wait", wait_s)])
        return Request(method="GET", url=join(URL, "/jobs", query), repeatable=True)

    @hookimpl
    def farcall_cancel(self, job):
        return Request(method="DELETE", url=join(URL, fill("/jobs/{t}", {"t": job.id})), repeatable=True)

    @hookimpl
    def farcall_stream(self, job, after):
        since = {} if after is None else {"since": after}
        return Request(method="GET", url=join(URL, fill("/jobs/{t}/output", {"t": job.id}), since))

    @hookimpl
    def farcall_read(self, answer, step, jobs):
        if isinstance(answer, StreamEvent):
            return [Chunk(value=answer.data, id=answer.id)] if answer.event == "message" else [Log(line=answer.data)]
        if not answer.ok:
            return [Missing()] if answer.status == 404 and step is Step.POLL else []
        said = answer.json()
        return [look(each) for each in said] if isinstance(said, list) else [look(said)]


def look(said):
    if said.get("phase") == "gone":
        return Missing(job_id=said["ticket"])
    if said.get("phase") not in PHASES:
        raise ProtocolError(f"There is no phase {said.get('phase')!r}.")
    return Snapshot(
        state=PHASES[said["phase"]],
        job_id=said.get("ticket"),
        progress=said.get("part"),
        message=said.get("note"),
        result=said.get("out"),
        error=said.get("why"),
        retry_after_s=said.get("again_s"),
        data=said.get("data", {}),
    )


@dataclass
class Job:
    at: float
    takes_s: float
    given: dict
    stopped: bool = False


@dataclass
class Seen:
    at: float
    kind: str
    request: Request

    @property
    def tickets(self):
        return [value for key, value in parse_qsl(urlsplit(self.request.url).query) if key == "ticket"]

    @property
    def held(self):
        return "wait=" in self.request.url


@dataclass
class Host:
    """Jobs that take `takes_s` seconds, of which the first tenth in the queue.

    Attributes:
        script: By kind (`submit look cancel stream …`): what to answer before anything else, in order: a reply, an
            error to raise, a function of the request; None: as usual.
        always: By kind: what to answer after the script.
        seen: What came.
        held: How many looks are held open now, and at most were.
    """

    takes_s: float = 1.0
    script: dict = field(default_factory=dict)
    always: dict = field(default_factory=dict)
    jobs: dict = field(default_factory=dict)
    seen: list = field(default_factory=list)
    held: int = 0
    most_held: int = 0

    def next(self, kind, *answers):
        self.script.setdefault(kind, deque()).extend(answers)

    def count(self, kind):
        return sum(each.kind == kind for each in self.seen)

    def times(self, kind):
        return [each.at for each in self.seen if each.kind == kind]

    @property
    def now(self):
        return asyncio.get_running_loop().time()

    async def __call__(self, request):
        kind = KINDS.get((request.method, urlsplit(request.url).path.count("/")), "other")
        self.seen.append(Seen(self.now, kind, request))
        waiting = self.script.get(kind)
        scripted = waiting.popleft() if waiting else self.always.get(kind)
        if callable(scripted):
            scripted = scripted(request)
        if isinstance(scripted, Exception):
            raise copy(scripted)  # as a fresh one, each time
        if scripted is not None:
            return scripted
        return await getattr(self, f"_{kind}")(request)

    async def _submit(self, request):
        given = json.loads(request.body)["with"]
        ticket = f"t{len(self.jobs) + 1}"
        self.jobs[ticket] = Job(self.now, given.get("takes_s", self.takes_s), given)
        return reply(self.told(ticket))

    async def _look(self, request):
        query = parse_qsl(urlsplit(request.url).query)
        tickets = [value for key, value in query if key == "ticket"]
        wait_s = next((float(value) for key, value in query if key == "wait"), None)
        if wait_s:
            await self._hold(tickets, wait_s)
        told = [self.told(ticket) for ticket in tickets]
        return reply(told if len(told) > 1 else told[0])

    async def _hold(self, tickets, wait_s):
        left = [job.at + job.takes_s - self.now for job in map(self.jobs.get, tickets) if not job.stopped]
        self.held += 1
        self.most_held = max(self.held, self.most_held)
        try:
            await asyncio.sleep(max(0.0, min([wait_s, *left])))
        finally:
            self.held -= 1

    async def _cancel(self, request):
        ticket = urlsplit(request.url).path.rpartition("/")[2]
        self.jobs[ticket].stopped = True
        return reply(self.told(ticket))

    async def _stream(self, request):
        return stream()

    def told(self, ticket):
        job = self.jobs[ticket]
        part = 1.0 if job.takes_s <= 0 else min(1.0, (self.now - job.at + 1e-9) / job.takes_s)
        if job.stopped:
            return {"ticket": ticket, "phase": "stopped"}
        if part >= 1:
            why = job.given.get("why")
            return {
                "ticket": ticket,
                **({"phase": "broken", "why": why} if why else {"phase": "done", "out": job.given}),
            }
        return {"ticket": ticket, "phase": "waiting" if part < 0.1 else "working", "part": int(part * 10) / 10}


KINDS = {
    ("POST", 1): "submit",
    ("GET", 1): "look",
    ("DELETE", 2): "cancel",
    ("GET", 3): "stream",
    ("POST", 2): "token",
    ("PUT", 2): "upload",
}


def stream(*pieces, then=None, gap_s=1.0):
    """A reply that comes piece by piece; `then` is what breaks it off."""
    return Response(
        status=200, headers=Headers({"content-type": "text/event-stream"}), body=Pieces(pieces, then, gap_s)
    )


class Pieces:
    def __init__(self, pieces, then, gap_s):
        self._pieces, self._then, self._gap_s = pieces, then, gap_s

    async def chunks(self):
        for piece in self._pieces:
            await asyncio.sleep(self._gap_s)
            yield piece
        if self._then is not None:
            raise self._then

    async def read(self, limit):
        return b"".join([chunk async for chunk in self.chunks()])

    def drop(self):
        """Nothing is held."""


ENDPOINT = EndpointSpec(
    path="/go",
    parameters={
        "n": {"type": "integer", "default": 0},
        "takes_s": {"type": "number", "default": 1.0},
        "why": {"type": "string", "default": ""},
    },
    job=True,
)


@contextlib.asynccontextmanager
async def connected(host, plugin=None, *, credential=None, endpoints=(ENDPOINT,), chance=0.5, sender=None, **binding):
    """The host's service, its engine's time the loop's; on leaving, no task of ours may be left."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    plugins.register("ticks", plugin or Ticks())
    try:
        hooks = provider("ticks")
        named = Binding(provider="ticks", endpoints=endpoints, **binding)
        clock = Clock(now=lambda: BEGINNING + timedelta(seconds=loop.time()), chance=lambda: chance)
        checked = named.described(options=check_options(hooks, named.options))
        engine = Engine(hooks, checked, sender or MemorySender(host), credential=credential, clock=clock)
        engine.describe(ServiceSpec(endpoints=named.endpoints))
        async with AsyncService(engine, named.endpoints) as service:
            yield service
        assert asyncio.all_tasks() <= before
    finally:
        plugins.unregister("ticks")


def virtual(test):
    """Run an asynchronous test on virtual time."""

    @functools.wraps(test)
    def on_virtual_time(*args, **kwargs):
        run(test(*args, **kwargs))

    return on_virtual_time
