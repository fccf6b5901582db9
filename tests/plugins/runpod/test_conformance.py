"""The provider keeps the rules, with Runpod and with the local test server of its SDK."""

import json

from farcall import EndpointSpec, State
from farcall.jobs import Chunk, Missing, Recognition, Step
from farcall.testing import Answer, ProviderConformance, reply

ID = "60902e6c-08a1-426e-9cb9-9eaec90f5e2b-u1"
QUEUED = {"id": ID, "status": "IN_QUEUE"}
RUNNING = {"id": ID, "status": "IN_PROGRESS", "delayTime": 31618, "output": {"progress": "4/10"}, "workerId": "w1"}
DONE = {"id": ID, "status": "COMPLETED", "delayTime": 31618, "executionTime": 1437, "output": {"count": 3}}
# Source: a runpod 1.12.0 worker, recorded 2026-11-23.
EXCEPTION = {
    "error_type": "<class 'ValueError'>",
    "error_message": "kaboom",
    "error_traceback": 'Traceback (most recent call last):\n  File "h.py", line 5\nValueError: kaboom\n',
    "hostname": "unknown",
    "worker_id": "w1",
    "runpod_version": "1.12.0",
}
FAILED = {"id": ID, "status": "FAILED", "error": json.dumps(EXCEPTION)}
OURS = {"farcall": 1, "state": "succeeded", "progress": 1.0, "result": {"count": 3}}
FAST_TASK_API = {
    "id": ID,
    "status": "Finished",
    "progress": {"progress": 1.0, "message": None},
    "error": None,
    "result": 3,
    "endpoint_protocol": "socaity",
}
APIPOD_FAILED = {"job_id": ID, "status": "failed", "error": "out of oil", "progress": 0.0}


class TestRunpod(ProviderConformance):
    provider = "runpod"
    options = {"endpoint_id": "abc123"}
    endpoints = [EndpointSpec(path="/add", parameters={"a": int, "note": str}, job=True)]
    arguments = {"a": 1, "note": "two words"}
    has_cancel = True
    has_stream = True
    answers = [
        Answer(Step.SUBMIT, reply(QUEUED), State.QUEUED),
        Answer(Step.SUBMIT, reply({**DONE, "id": f"sync-{ID}"}), State.SUCCEEDED),
        Answer(Step.SUBMIT, reply({"error": "bad request"}, status=400), None),
        Answer(Step.SUBMIT, reply({"error": "too many requests"}, status=429), None),
        Answer(Step.POLL, reply(QUEUED), State.QUEUED),
        Answer(Step.POLL, reply(RUNNING), State.RUNNING),
        Answer(Step.POLL, reply(DONE), State.SUCCEEDED),
        Answer(Step.POLL, reply({**DONE, "output": OURS}), State.SUCCEEDED),
        Answer(Step.POLL, reply({**DONE, "output": json.dumps(FAST_TASK_API)}), State.SUCCEEDED),
        Answer(Step.POLL, reply({**DONE, "output": [json.dumps(APIPOD_FAILED)]}), State.FAILED),
        Answer(Step.POLL, reply(FAILED), State.FAILED),
        Answer(Step.POLL, reply({"id": ID, "status": "FAILED"}), State.FAILED),
        Answer(Step.POLL, reply({"id": ID, "status": "TIMED_OUT", "error": "executionTimeout"}), State.TIMED_OUT),
        Answer(Step.POLL, reply({"error": "job not found"}, status=404), Missing),
        Answer(Step.CANCEL, reply({"id": ID, "status": "CANCELLED"}), State.CANCELLED),
        Answer(Step.CANCEL, reply({"id": ID, "status": "COMPLETED"}), None),
        Answer(Step.STREAM, reply({"status": "IN_PROGRESS", "stream": [{"output": 1}, {"output": 2}]}), (Chunk, Chunk)),
        Answer(Step.STREAM, reply([{"metrics": {}, "output": "a"}]), Chunk),
        Answer(Step.STREAM, reply({"status": "COMPLETED", "stream": []}), None),
    ]
    words = {
        "IN_QUEUE": State.QUEUED,
        "IN_PROGRESS": State.RUNNING,
        "RUNNING": State.RUNNING,
        "COMPLETED": State.SUCCEEDED,
        "FAILED": State.FAILED,
        "CANCELLED": State.CANCELLED,
        "TIMED_OUT": State.TIMED_OUT,
    }

    def worded(self, word):
        return reply({"id": ID, "status": word})


TEST_ID = "test-7a3f2c1e-5a0b-4a0e-9d39-2f6b8f6b1c11"


class TestTheLocalTestServer(ProviderConformance):
    provider = "runpod"
    options = {"url": "http://127.0.0.1:8000"}
    endpoints = [EndpointSpec(path="/run", open=True, job=True)]
    arguments = {"prompt": "hi"}
    document = {"info": {"title": "Runpod | Development Worker API", "version": "1.12.0"}, "paths": {"/run": {}}}
    recognition = Recognition.CERTAIN
    answers = [
        Answer(Step.SUBMIT, reply({"id": TEST_ID, "status": "IN_PROGRESS"}), State.RUNNING),
        Answer(Step.POLL, reply({"id": TEST_ID, "status": "COMPLETED"}), State.SUCCEEDED),
        Answer(Step.POLL, reply({"id": TEST_ID, "status": "FAILED", "error": json.dumps(EXCEPTION)}), State.FAILED),
        Answer(Step.POLL, reply({"id": TEST_ID, "status": "FAILED", "error": "Job ID not found"}), Missing),
        Answer(
            Step.POLL, reply(b"Internal Server Error", status=500, headers={"content-type": "text/plain"}), State.FAILED
        ),
    ]
    words = {"IN_PROGRESS": State.RUNNING, "COMPLETED": State.SUCCEEDED, "FAILED": State.FAILED}

    def worded(self, word):
        return reply({"id": TEST_ID, "status": word})
