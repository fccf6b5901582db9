"""The echo provider keeps the rules; this file is also how a plugin's author uses the kit."""

from farcall import EndpointSpec, State
from farcall.jobs import Missing, Recognition, Step
from farcall.testing import Answer, ProviderConformance, reply

WAITING = {"ticket": "t1", "phase": "waiting", "part": None}
WORKING = {"ticket": "t1", "phase": "working", "part": 0.5}
DONE = {"ticket": "t1", "phase": "done", "result": ["HELLO"]}
BROKEN = {"ticket": "t1", "phase": "broken", "error": "the ink is out"}


class TestEcho(ProviderConformance):
    provider = "echo"
    options = {"url": "http://echo.test"}
    endpoints = [EndpointSpec(path="/shout", parameters={"text": str}, job=True)]
    arguments = {"text": "hello"}
    document = {"echo": 1, "can": {"shout": {"text": {"type": "string"}}}}
    recognition = Recognition.CERTAIN
    answers = [
        Answer(Step.SUBMIT, reply({"ticket": "t1", "phase": "waiting"}), State.QUEUED),
        Answer(Step.SUBMIT, reply({"error": "show your key"}, status=401), None),
        Answer(Step.POLL, reply(WAITING), State.QUEUED),
        Answer(Step.POLL, reply(WORKING), State.RUNNING),
        Answer(Step.POLL, reply(DONE), State.SUCCEEDED),
        Answer(Step.POLL, reply(BROKEN), State.FAILED),
        Answer(Step.POLL, reply({"error": "no such thing"}, status=404), Missing),
    ]
    words = {
        "waiting": State.QUEUED,
        "working": State.RUNNING,
        "done": State.SUCCEEDED,
        "broken": State.FAILED,
    }

    def worded(self, word):
        return reply({"ticket": "t1", "phase": word})
