"""An extension times what is sent and counts what happens, whichever provider speaks; and a host may not be HTTP."""

import json
import time
from types import SimpleNamespace

import echo_host
import farcall
import farcall_echo
import pytest
from farcall import plugins
from farcall.errors import PluginError
from farcall.jobs import State, Step
from farcall.wire import Response


class Timing:
    """Times every request by what it was sent for, and keeps every event."""

    def __init__(self):
        self.seconds = []
        self.events = []

    @farcall.hookimpl(wrapper=True)
    def farcall_send(self, step):
        return Timed((yield), step, self.seconds)

    @farcall.hookimpl
    def farcall_event(self, event):
        self.events.append(event)


class Timed:
    """Sending, timed from when it is awaited until the reply is there."""

    def __init__(self, sending, step, seconds):
        self.sending, self.step, self.seconds = sending, step, seconds

    def __await__(self):
        began = time.perf_counter()
        response = yield from self.sending.__await__()
        self.seconds.append((self.step, time.perf_counter() - began))
        return response


@pytest.fixture
def register():
    """Register plugins for one test."""
    names = []

    def add(name, plugin, kind):
        plugins.register(name, plugin, kind=kind)
        names.append((name, kind))
        return plugin

    yield add
    for name, kind in names:
        plugins.unregister(name, kind=kind)


@pytest.fixture
def host():
    with echo_host.running() as running:
        yield running


def test_an_extension_times_real_submits_and_counts_events(register, host):
    timing = register("timing", Timing(), "extension")
    with farcall.connect(host.url, provider="echo") as svc:
        assert farcall.gather([svc.shout.submit(text=str(n)) for n in range(5)]) == ["0", "1", "2", "3", "4"]
        submits = [seconds for step, seconds in timing.seconds if step is Step.SUBMIT]
        assert len(submits) == len(host.jobs) == 5
        assert min(submits) > 0
        assert {step for step, _ in timing.seconds} == {Step.DISCOVER, Step.SUBMIT, Step.POLL}
    for kind in ("submitted", "ended"):
        told = [event for event in timing.events if event.kind == kind]
        assert [event.job_id for event in sorted(told, key=lambda e: e.job_id)] == ["t1", "t2", "t3", "t4", "t5"]
        assert {(event.provider, event.endpoint) for event in told} == {("echo", "shout")}
    ends = [event.snapshot.state for event in timing.events if event.kind == "ended"]
    assert ends == [State.SUCCEEDED] * 5


def test_a_result_file_that_was_fetched_is_told(register, url):
    timing = register("timing", Timing(), "extension")
    with farcall.connect(url) as svc:
        turned = svc.turn(img=b"abc")
        assert [event for event in timing.events if event.kind == "downloaded"] == []
        assert turned.read() == b"cba"
    (told,) = [event for event in timing.events if event.kind == "downloaded"]
    assert (told.endpoint, told.file) == ("turn", "file")
    assert Step.FILE in {step for step, _ in timing.seconds}


def test_extensions_registered_later_are_seen_by_later_connects_only(register, host):
    with farcall.connect(host.url, provider="echo") as before:
        timing = register("timing", Timing(), "extension")
        before.shout(text="a")
        assert timing.seconds == []
        with farcall.connect(host.url, provider="echo") as after:
            after.shout(text="a")
        assert timing.seconds != []


def test_an_extension_that_raises_on_an_event_stops_no_job(register, host, caplog):
    class Clumsy:
        @farcall.hookimpl
        def farcall_event(self, event):
            raise RuntimeError("oops")

    register("clumsy", Clumsy(), "extension")
    with farcall.connect(host.url, provider="echo") as svc:
        assert svc.shout(text="a") == "A"
    assert "An extension broke in farcall_event" in caplog.text


def test_an_extension_that_would_answer_for_a_provider_is_left_out(register, host, caplog):
    class Usurper:
        @farcall.hookimpl
        def farcall_read(self, answer):
            return []

    register("usurper", Usurper(), "extension")
    with farcall.connect(host.url, provider="echo") as svc:
        assert svc.shout(text="a") == "A"
    assert "'usurper' is left out" in caplog.text
    with pytest.raises(PluginError, match="may implement only farcall_event and farcall_send"):
        plugins.check_extension("usurper", Usurper())


class Memory:
    """Carries requests to a host that lives in this process and has no address."""

    def __init__(self):
        self.host = echo_host.EchoHost()
        self.host.server_close()
        self.closed = 0

    async def send(self, request):
        if request.method == "POST":
            said = self.host.submit(json.loads(request.body))
        elif request.url.endswith("/"):
            said = {"echo": 1, "can": echo_host.CAN}
        else:
            said = self.host.look(request.url.rpartition("/")[2])
        headers = {"content-type": "application/json"}
        return Response(status=200, headers=headers, content=json.dumps(said).encode(), url=request.url)

    async def close(self):
        self.closed += 1


def test_a_provider_may_bring_a_transport_of_its_own(register):
    memory = Memory()

    @farcall.hookimpl
    def farcall_transport(binding):
        return memory

    hooks = {name: getattr(farcall_echo, name) for name in plugins.hook_names(farcall_echo)}
    register("memory", SimpleNamespace(**hooks, farcall_transport=farcall_transport), "provider")
    with farcall.connect("memory:memory://nowhere") as svc:
        assert svc.shout(text="a") == "A"
    assert memory.closed
