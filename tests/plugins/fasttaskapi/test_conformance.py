"""The provider keeps the rules in each of its dialects."""

from farcall import EndpointSpec, State
from farcall.jobs import Chunk, Missing, Recognition, Rejected, Step
from farcall.testing import Answer, ProviderConformance, reply
from farcall.wire import StreamEvent

from plugins.fasttaskapi import recorded as told

OPERATION = {"operationId": "add", "responses": {}}


class FastTaskAPIFamily(ProviderConformance):
    provider = "fasttaskapi"
    options = {"url": "http://jobs.test/api"}
    endpoints = [EndpointSpec(path="/add", parameters={"a": int, "note": str}, job=True)]
    arguments = {"a": 1, "note": "two words"}
    recognition = Recognition.CERTAIN


class TestFastTaskAPI(FastTaskAPIFamily):
    document = {"info": {"fast-task-api": "1.3.3"}, "paths": {"/add": {"post": OPERATION}}}
    answers = [
        Answer(Step.SUBMIT, reply(told.FT_QUEUED), State.QUEUED),
        Answer(Step.SUBMIT, reply(told.FT_FULL), Rejected),
        Answer(Step.SUBMIT, reply({"detail": [{"loc": ["body", "a"], "msg": "no"}]}, status=422), None),
        Answer(Step.POLL, reply(told.FT_QUEUED), State.QUEUED),
        Answer(Step.POLL, reply(told.FT_RUNNING), State.RUNNING),
        Answer(Step.POLL, reply(told.FT_FILE), State.SUCCEEDED),
        Answer(Step.POLL, reply(told.FT_FAILED), State.FAILED),
        Answer(Step.POLL, reply(told.FT_MISSING), Missing),
    ]
    words = {
        "Queued": State.QUEUED,
        "Processing": State.RUNNING,
        "Finished": State.SUCCEEDED,
        "Failed": State.FAILED,
        "Timeout": State.TIMED_OUT,
    }

    def worded(self, word):
        return reply({**told.FT_RUNNING, "status": word})


class TestAPIPod(FastTaskAPIFamily):
    document = {"info": {"apipod": {"version": "1.0.33"}}, "paths": {"/add": {"post": OPERATION}}}
    has_cancel = True
    has_stream = True
    answers = [
        Answer(Step.SUBMIT, reply(told.AP_STREAMING), State.RUNNING),
        Answer(Step.SUBMIT, reply(told.AP_FULL), Rejected),
        Answer(Step.POLL, reply(told.AP_QUEUED), State.QUEUED),
        Answer(Step.POLL, reply(told.AP_RUNNING), State.RUNNING),
        Answer(Step.POLL, reply(told.AP_FINISHED), State.SUCCEEDED),
        Answer(Step.POLL, reply(told.AP_NOTHING), State.SUCCEEDED),
        Answer(Step.POLL, reply(told.AP_FAILED), State.FAILED),
        Answer(Step.POLL, reply(told.AP_MISSING), Missing),
        Answer(Step.CANCEL, reply(told.AP_CANCEL_REFUSED, status=501), None),
        Answer(Step.STREAM, StreamEvent(data="a bare text"), Chunk),
    ]
    words = {
        "queued": State.QUEUED,
        "processing": State.RUNNING,
        "streaming": State.RUNNING,
        "finished": State.SUCCEEDED,
        "failed": State.FAILED,
        "cancelled": State.CANCELLED,
        "timeout": State.TIMED_OUT,
    }

    def worded(self, word):
        return reply({**told.AP_RUNNING, "status": word})


OWN = {"farcall": 1, "id": "3b42", "state": "queued", "data": {"rev": "1"}}
OWN_DONE = {
    **OWN,
    "state": "succeeded",
    "progress": 1.0,
    "result": {"count": 3, "picture": None},
    "files": [
        {"at": ["picture"], "name": "out.png", "media_type": "image/png", "size": 20, "url": "/jobs/3b42/files/0"}
    ],
}
OWN_FAILED = {**OWN, "state": "failed", "error": {"message": "out of oil", "type": "ValueError", "traceback": "…"}}


class TestOurOwn(FastTaskAPIFamily):
    document = {"info": {"farcall": {"protocol": 1}}, "paths": {"/add": {"post": OPERATION}}}
    has_cancel = True
    answers = [
        Answer(Step.SUBMIT, reply(OWN), State.QUEUED),
        Answer(Step.SUBMIT, reply(OWN_DONE), State.SUCCEEDED),
        Answer(
            Step.SUBMIT,
            reply({**OWN_FAILED, "error": {"message": "queue full"}}, status=429, headers={"retry-after": "1"}),
            Rejected,
        ),
        Answer(Step.POLL, reply({**OWN, "state": "running", "progress": 0.5, "logs": ["hot"]}), State.RUNNING),
        Answer(Step.POLL, reply(OWN_DONE), State.SUCCEEDED),
        Answer(Step.POLL, reply(OWN_FAILED), State.FAILED),
        Answer(
            Step.POLL,
            reply({"farcall": 1, "jobs": [OWN, {"farcall": 1, "id": "x", "missing": True}]}),
            (State.QUEUED, Missing),
        ),
        Answer(Step.POLL, reply({"detail": "Job not found."}, status=404), Missing),
        Answer(Step.CANCEL, reply({**OWN, "state": "cancelled"}), State.CANCELLED),
    ]
    words = {
        "queued": State.QUEUED,
        "running": State.RUNNING,
        "succeeded": State.SUCCEEDED,
        "failed": State.FAILED,
        "cancelled": State.CANCELLED,
        "timed_out": State.TIMED_OUT,
    }

    def worded(self, word):
        return reply({**OWN, "state": word})
