import json

import pytest
from farcall.jobs import JobRef
from farcall.spec import EndpointSpec, Parameter, Place
from plugins.fasttaskapi.asking import APIPOD, FARCALL, FASTTASKAPI, UNKNOWN, URL, bound, job

from plugins.fasttaskapi import asking


def look(traits, jobs, wait_s=None):
    return asking.fta().status(bound(traits), jobs, wait_s)


def test_apipod_is_looked_at_by_path():
    request = look(APIPOD, [job("a b/c")])
    assert (request.method, request.url, request.repeatable) == ("GET", f"{URL}/status/a%20b%2Fc", True)


@pytest.mark.parametrize("traits", [FASTTASKAPI, UNKNOWN])
def test_fasttaskapi_and_an_unknown_server_are_looked_at_by_the_route_all_three_have(traits):
    request = look(traits, [job("a b")])
    assert (request.method, request.url, request.repeatable) == ("POST", f"{URL}/status?job_id=a+b", True)


def test_ours_is_asked_to_hold_the_look_until_something_new_is_seen():
    request = look(FARCALL, [job(rev="3", dialect="farcall")], 25.0)
    assert (request.method, request.url) == ("GET", f"{URL}/status/j1?wait=25&seen=3")
    assert request.repeatable
    assert request.silence_s == 85


def test_ours_is_looked_at_without_waiting_when_nobody_wants_to():
    assert look(FARCALL, [job(rev="3")]).url == f"{URL}/status/j1"
    assert look(FARCALL, [job()], 900).url == f"{URL}/status/j1?wait=60"


def test_ours_is_asked_for_many_jobs_at_once():
    request = look(FARCALL, [job("a", rev="3"), job("b")], 25.0)
    assert (request.method, request.url, request.repeatable) == ("POST", f"{URL}/status", True)
    assert json.loads(request.body) == {"ids": ["a", "b"], "seen": [3, None], "wait": 25.0}
    assert json.loads(look(FARCALL, [job("a"), job("b")]).body) == {"ids": ["a", "b"], "seen": [None, None]}


@pytest.mark.parametrize("traits", [FASTTASKAPI, APIPOD, UNKNOWN])
def test_the_others_cannot_be_asked_for_several_jobs(traits):
    assert look(traits, [job("a"), job("b")]) is None


def test_nothing_is_asked_for_no_job():
    assert look(FARCALL, []) is None


@pytest.mark.parametrize(
    ("dialect", "url"),
    [
        ("farcall", f"{URL}/status/j1?wait=5"),
        ("apipod", f"{URL}/status/j1"),
        ("fasttaskapi", f"{URL}/status?job_id=j1"),
    ],
)
def test_what_the_first_reply_told_decides_where_the_description_told_nothing(dialect, url):
    assert look(UNKNOWN, [job(dialect=dialect)], 5).url == url


def test_the_servers_own_routes_may_have_a_prefix_of_their_own():
    assert look({**APIPOD, "prefix": "/api"}, [job()]).url == f"{URL}/api/status/j1"


def test_fasttaskapi_cannot_cancel_whatever_its_envelopes_say():
    assert asking.fta().cancel(bound(FASTTASKAPI), job()) is None
    assert asking.fta().cancel(bound(UNKNOWN), job(dialect="fasttaskapi")) is None


@pytest.mark.parametrize("traits", [APIPOD, FARCALL])
def test_the_others_are_asked_to_cancel(traits):
    request = asking.fta().cancel(bound(traits), job())
    assert (request.method, request.url, request.repeatable) == ("POST", f"{URL}/cancel/j1", True)


def stream(traits, asked, endpoints=()):
    return asking.fta().stream(bound(traits, endpoints=endpoints), asked, None)


@pytest.mark.parametrize("told", ["maybe", "now"])
def test_a_streaming_job_of_apipod_is_streamed(told):
    request = stream(APIPOD, job(dialect="apipod", stream=told))
    assert (request.method, request.url) == ("GET", f"{URL}/stream/j1")


@pytest.mark.parametrize("traits", [APIPOD, FARCALL, FASTTASKAPI, UNKNOWN])
def test_a_job_that_named_no_stream_has_none(traits):
    assert stream(traits, job()) is None


def test_a_chat_is_streamed_only_once_it_says_that_it_streams():
    chat = EndpointSpec(path="/do-it", parameters={"stream": Parameter(bool, default=False, place=Place.JSON)})
    assert stream(APIPOD, job(stream="maybe"), [chat]) is None
    assert stream(APIPOD, job(stream="now"), [chat]).url == f"{URL}/stream/j1"


def test_a_reference_of_another_process_is_enough():
    again = JobRef.load(job(dialect="farcall", rev="7").dump())
    assert look(UNKNOWN, [again], 1).url == f"{URL}/status/j1?wait=1&seen=7"
