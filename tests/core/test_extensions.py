"""Extensions see every request and every event, and can answer nothing in a provider's place."""

import asyncio
import contextlib
import logging
from collections import Counter

import pytest
from core.test_courier import Granted, counting
from core.test_transport import ENDPOINT as FILES
from core.test_transport import Uploads, done
from core.ticks import Host, Pieces, Ticks, connected, stream, virtual
from farcall import File, State, hookimpl, plugins
from farcall.errors import JobLost, PluginError, ServerFault
from farcall.hookspecs import Credential
from farcall.jobs import Snapshot, Step
from farcall.testing import reply
from farcall.wire import Headers, Response


class Watches:
    """Times every submission, and counts what happens."""

    def __init__(self):
        self.seconds, self.steps, self.events = [], Counter(), []

    @hookimpl(wrapper=True)
    def farcall_send(self, request, step):
        sending = yield
        return self.timed(sending, step)

    async def timed(self, sending, step):
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await sending
        finally:
            self.steps[step] += 1
            if step is Step.SUBMIT:
                self.seconds.append(loop.time() - began)

    @hookimpl
    def farcall_event(self, event):
        self.events.append(event)

    @property
    def kinds(self):
        return [event.kind for event in self.events]


@contextlib.contextmanager
def extension(plugin, name="watches"):
    plugins.register(name, plugin, kind="extension")
    try:
        yield plugin
    finally:
        plugins.unregister(name, kind="extension")


@pytest.fixture
def watches():
    with extension(Watches()) as watching:
        yield watching


def slowly(host, seconds):
    submit = host._submit

    async def slow(request):
        await asyncio.sleep(seconds)
        return await submit(request)

    host._submit = slow
    return host


def test_an_extension_times_real_submissions_and_counts_what_happens(watches):
    @virtual
    async def calls():
        host = slowly(Host(takes_s=10.0), 3)
        async with connected(host) as svc:
            await asyncio.gather(*(svc.go(n=n) for n in range(5)))
        assert watches.steps[Step.POLL] == host.count("look")

    calls()
    assert watches.seconds == pytest.approx([3.0] * 5)
    assert watches.steps[Step.SUBMIT] == 5
    assert Counter(watches.kinds)["submitted"] == Counter(watches.kinds)["ended"] == 5


def test_one_jobs_events_come_in_the_order_of_its_life(watches):
    @virtual
    async def call():
        host = Host(takes_s=5.0)
        host.next("stream", stream(b"data: a\n\n", b"data: b\n\n"))
        async with connected(host, Ticks(stream="sse")) as svc:
            job = await svc.go.submit()
            assert [chunk async for chunk in job.stream()] == ["a", "b"]

    call()
    kinds = watches.kinds
    assert (kinds[0], kinds[-1]) == ("submitted", "ended")
    assert Counter(kinds)["chunk"] == 2
    assert Counter(kinds)["snapshot"] > 2
    assert {(event.provider, event.endpoint, event.job_id) for event in watches.events} == {("ticks", "go", "t1")}
    assert [event.at for event in watches.events] == sorted(event.at for event in watches.events)
    assert watches.events[-1].snapshot.state == "succeeded"


@pytest.mark.parametrize("end", ["failed", "cancelled", "lost", "at once"])
def test_each_accepted_job_is_told_to_have_ended_once_however_it_ends(watches, end):
    @virtual
    async def call():
        host = Host(takes_s=0.0 if end == "at once" else 5.0)
        if end == "lost":
            host.always["look"] = reply({}, status=404)
        async with connected(host) as svc:
            job = await svc.go.submit(why="no ink" if end == "failed" else "")
            if end == "cancelled":
                await job.cancel()
            await asyncio.gather(job, return_exceptions=True)
            await asyncio.sleep(100)

    call()
    assert Counter(watches.kinds)["ended"] == Counter(watches.kinds)["submitted"] == 1


def test_a_call_that_was_not_accepted_is_told_to_have_ended(watches):
    @virtual
    async def call():
        host = Host(always={"submit": reply({}, status=500)})
        async with connected(host) as svc:
            with pytest.raises(ServerFault):
                await svc.go()

    call()
    assert watches.kinds == ["ended"]


def test_closing_is_told_as_the_end_of_what_was_followed(watches):
    @virtual
    async def call():
        async with connected(Host(takes_s=100.0)) as svc:
            for _ in range(3):
                await svc.go.submit()
            await asyncio.sleep(5)

    call()
    assert Counter(watches.kinds)["ended"] == 3


@pytest.mark.parametrize("length", [{}, {"content-length": "3"}])
def test_a_reply_that_is_itself_the_file_is_told_when_it_has_come_in(watches, length):
    class Picture(Ticks):
        @hookimpl
        def farcall_read(self, answer, step, jobs):
            return [Snapshot(state=State.SUCCEEDED, result=answer)]

    @virtual
    async def call():
        headers = Headers({"content-type": "image/png", "content-disposition": "attachment; filename=a.png", **length})
        host = Host(always={"submit": Response(status=200, headers=headers, body=Pieces([b"png"], None, 1.0))})
        async with connected(host, Picture()) as svc:
            assert await (await svc.go()).read() == b"png"

    call()
    assert watches.kinds == ["submitted", "ended", "downloaded"]
    assert watches.events[-1].file == "a.png"


@pytest.mark.parametrize("broken", [Step.SUBMIT, Step.POLL, Step.STREAM])
def test_an_extension_that_breaks_around_a_request_is_a_plugin_error(broken):
    class Breaks:
        @hookimpl(wrapper=True)
        def farcall_send(self, request, step):
            sending = yield
            return self.breaks() if step is broken else sending

        async def breaks(self):
            raise RuntimeError("oops")

    @virtual
    async def call():
        async with connected(Host(takes_s=5.0), Ticks(stream="sse")) as svc:
            with pytest.raises(PluginError, match=f"farcall_send, for {broken}: RuntimeError: oops"):
                [chunk async for chunk in (await svc.go.submit()).stream()]

    with extension(Breaks()):
        call()


def test_a_file_that_a_provider_uploads_is_told(watches):
    @virtual
    async def call():
        host = done()
        host.next("upload", reply({"place": "http://store.test/1"}))
        async with connected(host, Uploads(), endpoints=[FILES]) as svc:
            await svc.go(photo=File.from_bytes(b"x", name="photo.png"))

    call()
    assert watches.kinds[0] == "uploaded"
    assert watches.events[0].file == "photo.png"
    assert watches.steps[Step.FILE] == 1


def test_the_request_for_a_token_is_seen_too(watches):
    @virtual
    async def call():
        host = Host(takes_s=0.0)
        host._token = counting()
        async with connected(host, Granted(), credential=Credential(secret="k3y")) as svc:
            await svc.go()

    call()
    assert watches.steps == {Step.AUTH: 1, Step.SUBMIT: 1}


def test_an_extension_may_answer_from_what_it_kept():
    class Caches(Watches):
        @hookimpl(wrapper=True)
        def farcall_send(self, request, step):
            yield  # dropped: nothing is sent
            return self.kept()

        async def kept(self):
            return reply({"phase": "done", "out": "from the cache"})

    @virtual
    async def call():
        host = Host()
        async with connected(host) as svc:
            assert await svc.go() == "from the cache"
        assert host.seen == []

    with extension(Caches()):
        call()


def test_awaiting_a_sending_twice_is_an_error_and_sends_once():
    class Twice(Watches):
        @hookimpl(wrapper=True)
        def farcall_send(self, request, step):
            sending = yield
            return self.twice(sending)

        async def twice(self, sending):
            await sending
            return await sending

    @virtual
    async def call():
        host = Host()
        async with connected(host) as svc:
            with pytest.raises(PluginError, match="await it once"):
                await svc.go()
        assert host.count("submit") == 1

    with extension(Twice()):
        call()


def test_an_onlooker_that_breaks_is_logged_and_ends_no_job(caplog):
    class Breaks:
        @hookimpl
        def farcall_event(self, event):
            raise RuntimeError("oops")

    @virtual
    async def call():
        async with connected(Host()) as svc:
            assert await svc.go() == {}

    with extension(Breaks()), caplog.at_level(logging.ERROR, "farcall"):
        call()
    assert "broke in farcall_event" in caplog.text


class Answers:
    @hookimpl
    def farcall_submit(self, binding, call):
        return None


class SendsWithoutWrapping:
    @hookimpl
    def farcall_send(self, request):
        return None


@pytest.mark.parametrize(
    ("plugin", "words"), [(Answers(), "implements farcall_submit"), (SendsWithoutWrapping(), "without wrapping")]
)
def test_an_extension_that_would_answer_for_a_provider_is_left_out_logged_once_and_listed(caplog, plugin, words):
    @virtual
    async def call():
        async with connected(Host()) as svc:
            assert await svc.go() == {}

    name = f"answers-{type(plugin).__name__}"
    with extension(plugin, name), caplog.at_level(logging.WARNING, "farcall"):
        call()
        call()
        (listed,) = [each for each in plugins.installed("extension") if each.name == name]
    assert caplog.text.count(f"The extension {name!r} is left out") == 1
    assert words in caplog.text
    assert words in listed.error


def test_an_extension_registered_later_is_seen_by_later_connects_only():
    watching = Watches()

    @virtual
    async def calls():
        async with connected(Host()) as svc:
            with extension(watching):
                await svc.go()
        assert watching.kinds == []

    calls()


def test_two_plugins_of_one_name_are_refused():
    plugins.register("twin", Ticks())
    try:
        with pytest.raises(PluginError, match="'twin'"):
            plugins.register("twin", Ticks())
        plugins.register("twin", Watches(), kind="extension")
    finally:
        plugins.unregister("twin")
        plugins.unregister("twin", kind="extension")


def test_a_name_that_is_installed_cannot_be_registered():
    with pytest.raises(PluginError, match="'echo'"):
        plugins.register("echo", Ticks())


def test_a_lost_job_tells_its_last_known_snapshot(watches):
    @virtual
    async def call():
        host = Host(always={"look": reply({}, status=404)})
        async with connected(host) as svc:
            with pytest.raises(JobLost):
                await svc.go()

    call()
    assert watches.events[-1].snapshot.state == "queued"
