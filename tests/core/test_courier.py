"""Flows are run request by request, and one grant serves all who call. On virtual time."""

import asyncio
from datetime import timedelta

import pytest
from core.ticks import BEGINNING, URL, Host, Ticks, connected, virtual
from farcall import hookimpl
from farcall.errors import AuthRefused, PluginError, Unreachable
from farcall.hookspecs import Credential, Grant
from farcall.testing import reply
from farcall.wire import Request, join

KEY = Credential(secret="k3y")


def paths(host):
    return [(seen.request.method, seen.request.url.removeprefix(URL)) for seen in host.seen]


# --- a flow before a submission -------------------------------------------------------------------------------


class TwoSteps(Ticks):
    """Asks for a ticket first, which names where to submit."""

    repeatable = True

    @hookimpl
    def farcall_submit(self, binding, call):
        answer = yield Request(method="PUT", url=join(URL, "/tickets/new"), repeatable=self.repeatable)
        if not answer.ok:
            raise Unreachable(f"no ticket: {answer.status}")
        submission = super().farcall_submit(binding, call)
        return submission.with_headers({"x-ticket": answer.json()["ticket"]})


@virtual
async def test_a_flow_is_sent_each_answer_and_what_it_returns_starts_the_job():
    host = Host(takes_s=0.0)
    host.next("upload", reply({"ticket": "77"}))
    async with connected(host, TwoSteps(), credential=KEY) as svc:
        assert await svc.go(n=1) == {"n": 1}
    assert paths(host) == [("PUT", "/tickets/new"), ("POST", "/jobs")]
    assert host.seen[1].request.headers["x-ticket"] == "77"
    assert [seen.request.headers["authorization"] for seen in host.seen] == ["Bearer k3y"] * 2


@virtual
async def test_a_repeatable_request_of_a_flow_is_repeated_and_the_flow_sees_one_answer():
    host = Host(takes_s=0.0)
    host.next("upload", Unreachable("cut"), reply({}, status=503), reply({"ticket": "77"}))
    async with connected(host, TwoSteps()) as svc:
        await svc.go()
    assert host.count("upload") == 3
    assert host.count("submit") == 1


@virtual
async def test_a_request_of_a_flow_that_is_not_repeatable_is_sent_once():
    plugin = TwoSteps()
    plugin.repeatable = False
    host = Host()
    host.next("upload", Unreachable("cut"))
    async with connected(host, plugin) as svc:
        with pytest.raises(Unreachable, match="cut"):
            await svc.go()
    assert host.count("upload") == 1
    assert host.count("submit") == 0


@virtual
async def test_a_flow_that_breaks_is_the_plugins_fault_and_named():
    class Breaks(Ticks):
        @hookimpl
        def farcall_submit(self, binding, call):
            yield Request(method="PUT", url=join(URL, "/tickets/new"))
            raise KeyError("oops")

    host = Host(always={"upload": reply({})})
    async with connected(host, Breaks()) as svc:
        with pytest.raises(PluginError, match=r"'ticks'.*KeyError"):
            await svc.go()


@pytest.mark.parametrize("wrong", [None, "a text", 7])
@virtual
async def test_what_is_neither_request_nor_flow_is_the_plugins_fault(wrong):
    class Wrong(Ticks):
        @hookimpl
        def farcall_submit(self, binding, call):
            return wrong

    async with connected(Host(), Wrong()) as svc:
        with pytest.raises(PluginError, match="flow was expected"):
            await svc.go()


@virtual
async def test_a_flow_that_returns_no_request_is_the_plugins_fault():
    class ReturnsNothing(Ticks):
        @hookimpl
        def farcall_submit(self, binding, call):
            yield Request(method="PUT", url=join(URL, "/tickets/new"))

    host = Host(always={"upload": reply({})})
    async with connected(host, ReturnsNothing()) as svc:
        with pytest.raises(PluginError, match="returned None"):
            await svc.go()


# --- grants ---------------------------------------------------------------------------------------------------


class Granted(Ticks):
    """Shows a token, which it gets for its key."""

    lasts_s = 100.0

    @hookimpl
    def farcall_auth(self, request, credential, grant, now):
        if grant is not None:
            return request.with_headers(grant.headers)
        return self.token(credential, now)

    def token(self, credential, now):
        headers = {"x-key": credential.secret}
        answer = yield Request(method="POST", url=join(URL, "/token/new"), headers=headers)
        if not answer.ok:
            raise AuthRefused(f"the token was refused: {answer.status}")
        bearer = {"authorization": f"Bearer {answer.json()['token']}"}
        return Grant(headers=bearer, expires_at=now + timedelta(seconds=self.lasts_s))


def counting():
    numbers = iter(range(1, 100))

    async def token(request):
        await asyncio.sleep(1)
        return reply({"token": f"T{next(numbers)}"})

    return token


def shown(host, kind):
    return [seen.request.headers.get("authorization") for seen in host.seen if seen.kind == kind]


@virtual
async def test_fifty_callers_at_once_need_one_token():
    host = Host(takes_s=0.0)
    host._token = counting()
    async with connected(host, Granted(), credential=KEY) as svc:
        await asyncio.gather(*(svc.go(n=n) for n in range(50)))
    assert host.count("token") == 1
    assert shown(host, "submit") == ["Bearer T1"] * 50


@virtual
async def test_the_request_for_a_token_carries_what_the_provider_put_on_it_and_no_more():
    host = Host(takes_s=0.0)
    host._token = counting()
    async with connected(host, Granted(), credential=KEY) as svc:
        await svc.go()
    (token,) = [seen.request for seen in host.seen if seen.kind == "token"]
    assert token.headers == {"x-key": "k3y"}


@virtual
async def test_a_token_that_has_expired_is_asked_for_anew_once():
    host = Host(takes_s=0.0)
    host._token = counting()
    async with connected(host, Granted(), credential=KEY) as svc:
        await svc.go()
        await asyncio.sleep(98)
        await svc.go()
        await asyncio.sleep(10)
        await asyncio.gather(*(svc.go() for _ in range(20)))
    assert host.count("token") == 2
    assert shown(host, "submit") == ["Bearer T1"] * 2 + ["Bearer T2"] * 20


@virtual
async def test_a_token_that_is_refused_is_each_callers_error_and_later_asked_for_again():
    host = Host(takes_s=0.0)
    host._token = counting()
    host.next("token", reply({}, status=403))
    async with connected(host, Granted(), credential=KEY) as svc:
        with pytest.raises(AuthRefused, match="the token was refused"):
            await svc.go()
        await svc.go()
    assert shown(host, "submit") == ["Bearer T1"]


@virtual
async def test_a_token_taken_back_before_its_time_is_asked_for_anew_and_the_call_goes_through():
    host = Host(takes_s=0.0)
    host._token = counting()
    async with connected(host, Granted(), credential=KEY) as svc:
        await svc.go()
        host.next("submit", reply({}, status=401))
        await svc.go()
    assert shown(host, "submit") == ["Bearer T1", "Bearer T1", "Bearer T2"]


@virtual
async def test_a_provider_that_does_not_use_its_grant_is_told():
    class Forgetful(Granted):
        @hookimpl
        def farcall_auth(self, credential, now):
            return self.token(credential, now)

    host = Host()
    host._token = counting()
    async with connected(host, Forgetful(), credential=KEY) as svc:
        with pytest.raises(PluginError, match="did not use it"):
            await svc.go()


@virtual
async def test_a_provider_is_told_the_engines_time():
    times = []

    class Watches(Ticks):
        @hookimpl
        def farcall_auth(self, request, now):
            times.append(now)
            return request

    async with connected(Host(takes_s=0.0), Watches()) as svc:
        await asyncio.sleep(3600)
        await svc.go()
    assert times == [BEGINNING + timedelta(hours=1)]


# --- to whom a key is shown -----------------------------------------------------------------------------------


@virtual
async def test_a_key_goes_to_the_bound_origin_and_to_no_other():
    class Elsewhere(Ticks):
        @hookimpl
        def farcall_status(self, jobs):
            return Request(method="GET", url="http://elsewhere.test/jobs?ticket=t1", repeatable=True)

    host = Host(takes_s=0.01)
    async with connected(host, Elsewhere(), credential=KEY) as svc:
        await svc.go()
    assert shown(host, "submit") == ["Bearer k3y"]
    assert set(shown(host, "look")) == {None}


@pytest.mark.parametrize(
    ("place", "expected"), [("/jobs/moved/to", "Bearer k3y"), ("http://elsewhere.test/jobs?ticket=t1", None)]
)
@virtual
async def test_a_redirected_look_keeps_its_key_only_within_the_origin(place, expected):
    host = Host(takes_s=0.01)
    host.next("look", reply(b"", status=302, headers={"location": place}), None)
    host.next("stream", reply({"ticket": "t1", "phase": "done"}))
    async with connected(host, credential=KEY) as svc:
        await svc.go()
    assert host.seen[2].request.headers.get("authorization") == expected


@virtual
async def test_a_submission_is_redirected_within_the_origin_only():
    host = Host(takes_s=0.0)
    host.next("submit", reply(b"", status=307, headers={"location": "http://elsewhere.test/jobs"}))
    async with connected(host, credential=KEY) as svc:
        with pytest.raises(Exception, match="elsewhere"):
            await svc.go()
    assert len(host.seen) == 1
