"""A provider that keeps every rule, and what its author fills in for the kit."""

from farcall import EndpointSpec, State, hookimpl
from farcall.bodies import json_body
from farcall.errors import ProtocolError
from farcall.hookspecs import ProviderFacts
from farcall.jobs import Chunk, Missing, Recognition, Rejected, Snapshot, Step
from farcall.spec import ServiceSpec
from farcall.testing import Answer, ProviderConformance, reply
from farcall.wire import Document, Request, StreamEvent, join
from pydantic import BaseModel, Field, ValidationError

PHASES = {
    "waiting": State.QUEUED,
    "working": State.RUNNING,
    "done": State.SUCCEEDED,
    "broken": State.FAILED,
    "late": State.TIMED_OUT,
}


class Options(BaseModel):
    url: str
    token: str = Field("", repr=False)


class Look(BaseModel):
    ticket: str
    phase: str
    part: float | None = Field(None, ge=0, le=1)
    note: str | None = None
    result: object = None
    error: str | None = None


class Good:
    facts = ProviderFacts(url="http://good.test", stream="ndjson", long_poll_s=25.0, poll_batch=10)

    @hookimpl
    def farcall_facts(self, binding):
        return self.facts

    @hookimpl
    def farcall_options(self):
        return Options

    @hookimpl
    def farcall_recognise(self, document):
        ours = document is not None and isinstance(document.content, dict) and document.content.get("good") is True
        return Recognition.CERTAIN if ours else Recognition.NO

    @hookimpl
    def farcall_discover(self, binding):
        answer = yield Request(method="GET", url=binding.options.url, repeatable=True)
        return Document(content=answer.json()) if answer.ok else None

    @hookimpl
    def farcall_describe(self, document):
        return ServiceSpec(traits={"good": "very"})

    @hookimpl
    def farcall_submit(self, binding, call):
        return self.submission(binding, call)

    def submission(self, binding, call):
        headers, body = json_body({"with": dict(call.arguments)})
        return Request(method="POST", url=join(binding.options.url, "/jobs"), headers=headers, body=body)

    @hookimpl
    def farcall_status(self, binding, jobs):
        tickets = [("ticket", job.id) for job in jobs]
        return Request(method="GET", url=join(binding.options.url, "/jobs", tickets), repeatable=True)

    @hookimpl
    def farcall_cancel(self, binding, job):
        return Request(method="DELETE", url=join(binding.options.url, f"/jobs/{job.id}"), repeatable=True)

    @hookimpl
    def farcall_stream(self, binding, job):
        return Request(method="GET", url=join(binding.options.url, f"/jobs/{job.id}/output"))

    @hookimpl
    def farcall_auth(self, request, credential):
        return request if credential is None else request.with_headers({"x-key": credential.secret})

    @hookimpl
    def farcall_read(self, binding, answer, step, jobs):
        if isinstance(answer, StreamEvent):
            return [Chunk(value=answer.data)]
        return self.reading(binding, answer, step)

    def reading(self, binding, answer, step):
        if answer.status == 429 and step is Step.SUBMIT:
            return [Rejected(message="busy", retry_after_s=float(answer.headers.get("retry-after", "1")))]
        if answer.status == 404 and step is Step.POLL:
            return [Missing()]
        return [self.look(answer)] if answer.ok else []

    def look(self, answer):
        try:
            said = Look.model_validate_json(answer.content)
        except ValidationError as error:
            raise ProtocolError(f"This is no look: {error}") from error
        if said.phase not in PHASES:
            raise ProtocolError(f"There is no phase {said.phase!r}.")
        return Snapshot(
            state=PHASES[said.phase],
            job_id=said.ticket,
            progress=said.part,
            message=said.note,
            result=said.result,
            error=said.error,
        )


SECRET = "s3cret-of-the-good-host"


class GoodConformance(ProviderConformance):
    provider = "subject"
    options = {"url": "http://good.test", "token": SECRET}
    endpoints = [EndpointSpec(path="/shout", parameters={"text": str}, job=True)]
    arguments = {"text": "hello"}
    secret = SECRET
    document = {"good": True}
    recognition = Recognition.CERTAIN
    has_cancel = True
    has_stream = True
    answers = [
        Answer(Step.SUBMIT, reply({"ticket": "t1", "phase": "waiting"}), State.QUEUED),
        Answer(Step.SUBMIT, reply({"error": "full"}, status=429, headers={"retry-after": "2"}), Rejected),
        Answer(Step.POLL, reply({"ticket": "t1", "phase": "working", "part": 0.5, "note": "hm"}), State.RUNNING),
        Answer(Step.POLL, reply({"ticket": "t1", "phase": "done", "result": 3}), State.SUCCEEDED),
        Answer(Step.POLL, reply({"ticket": "t1", "phase": "broken", "error": "no ink"}), State.FAILED),
        Answer(Step.POLL, reply({"error": "no such job"}, status=404), Missing),
        Answer(Step.CANCEL, reply({"ticket": "t1", "phase": "waiting"}), State.QUEUED),
        Answer(Step.STREAM, StreamEvent(data="HEL"), Chunk),
    ]
    words = dict(PHASES)

    def worded(self, word):
        return reply({"ticket": "t1", "phase": word})
