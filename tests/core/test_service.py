"""What each verb of the asynchronous face does. On virtual time."""

import asyncio
from datetime import date

import farcall
import pytest
from core.ticks import Host, Ticks, connected, virtual
from farcall import EndpointSpec, File, Parameter, State, as_completed_async, gather_async, hookimpl
from farcall.arguments import Checker
from farcall.errors import InputError, JobFailed, JobLost, UnknownEndpoint, UsageError, WaitTimeout
from farcall.jobs import JobRef
from farcall.testing import reply
from pydantic import BaseModel

# --- events ---------------------------------------------------------------------------------------------------


@virtual
async def test_events_give_the_snapshot_now_then_each_change_and_end_with_the_last():
    host = Host(takes_s=10.0)
    async with connected(host) as svc:
        job = await svc.go.submit()
        looks = [look async for look in job.events()]
    assert looks[0].state is State.QUEUED
    assert looks[-1].state is State.SUCCEEDED
    assert [look.progress for look in looks[1:-1]] == sorted({look.progress for look in looks[1:-1]})
    assert {look.job_id for look in looks} == {"t1"}


@virtual
async def test_events_of_a_failed_job_end_and_do_not_raise():
    async with connected(Host()) as svc:
        looks = [look async for look in (await svc.go.submit(why="no ink")).events()]
    assert (looks[-1].state, looks[-1].error) == (State.FAILED, "no ink")


@virtual
async def test_events_of_an_ended_job_are_its_end():
    async with connected(Host()) as svc:
        job = await svc.go.submit()
        await job
        assert [look.state async for look in job.events()] == [State.SUCCEEDED]


@virtual
async def test_events_of_a_job_that_is_lost_raise_and_name_the_job():
    host = Host(always={"look": reply({}, status=404)})
    async with connected(host) as svc:
        job = await svc.go.submit()
        events = job.events()
        assert (await anext(events)).state is State.QUEUED
        with pytest.raises(JobLost) as caught:
            await anext(events)
        assert caught.value.job is job


@virtual
async def test_a_slow_reader_of_events_misses_no_change():
    host = Host(takes_s=10.0)
    async with connected(host) as svc:
        job = await svc.go.submit()
        quick = asyncio.ensure_future(collect(job, 0))
        slow = await collect(job, 5)
        assert slow == await quick


async def collect(job, pause_s):
    looks = []
    async for look in job.events():
        looks.append(look)
        await asyncio.sleep(pause_s)
    return looks


@virtual
async def test_equal_looks_are_no_event():
    host = Host(takes_s=100.0)
    async with connected(host) as svc:
        looks = [look async for look in (await svc.go.submit()).events()]
    assert host.count("look") > len(looks)
    assert len({(look.state, look.progress) for look in looks}) == len(looks)


@virtual
async def test_properties_tell_the_latest_and_never_wait():
    host = Host(takes_s=10.0)
    async with connected(host) as svc:
        job = await svc.go.submit()
        assert (job.id, job.state, job.done(), job.endpoint) == ("t1", State.QUEUED, False, "go")
        await asyncio.sleep(7)
        assert (job.state, job.progress) == (State.RUNNING, pytest.approx(0.6, abs=0.11))
        await asyncio.sleep(7)
        assert (job.state, job.done()) == (State.SUCCEEDED, True)
        assert repr(job) == "<AsyncJob go t1 succeeded>"


# --- several jobs ---------------------------------------------------------------------------------------------


@virtual
async def test_gather_gives_results_in_order():
    async with connected(Host()) as svc:
        jobs = [await svc.go.submit(n=n, takes_s=10 - n) for n in range(10)]
        assert [result["n"] for result in await gather_async(jobs)] == list(range(10))
        assert await gather_async([]) == []


@virtual
async def test_gather_raises_the_first_error_and_the_others_go_on():
    host = Host()
    async with connected(host) as svc:
        jobs = [await svc.go.submit(takes_s=s, why=why) for s, why in ((30, ""), (20, "late"), (5, "first"))]
        with pytest.raises(JobFailed, match="first") as caught:
            await gather_async(jobs)
        assert caught.value.job is jobs[2]
        assert host.now < 6
        results = await gather_async(jobs, return_exceptions=True)
        assert [type(result) for result in results] == [dict, JobFailed, JobFailed]


@virtual
async def test_as_completed_gives_jobs_as_they_end_well_or_not():
    async with connected(Host()) as svc:
        times = [5, 1, 9, 3, 7]
        jobs = [await svc.go.submit(takes_s=s, why="no ink" if s == 3 else "") for s in times]
        ended = [job async for job in as_completed_async(jobs)]
    assert [times[jobs.index(job)] for job in ended] == sorted(times)


@virtual
async def test_as_completed_gives_those_that_have_ended_already_first_and_in_order():
    async with connected(Host()) as svc:
        jobs = [await svc.go.submit(n=n) for n in range(20)]
        await gather_async(jobs)
        running = await svc.go.submit(takes_s=50)
        assert [job async for job in as_completed_async([running, *jobs])] == [*jobs, running]


@virtual
async def test_as_completed_ends_with_our_patience_and_the_jobs_go_on():
    host = Host()
    async with connected(host) as svc:
        jobs = [await svc.go.submit(takes_s=s) for s in (1, 50, 60)]
        completed = as_completed_async(jobs, timeout_s=10)
        assert await anext(completed) is jobs[0]
        with pytest.raises(WaitTimeout, match="2 of 3 jobs have not ended within 10 s"):
            await anext(completed)
        assert host.now == pytest.approx(10)
        assert await jobs[2] is not None


@virtual
async def test_as_completed_may_be_left_early():
    async with connected(Host()) as svc:
        jobs = [await svc.go.submit(takes_s=s) for s in (1, 50)]
        completed = as_completed_async(jobs)
        await anext(completed)
        await completed.aclose()
        assert await jobs[1] is not None


# --- references -----------------------------------------------------------------------------------------------


@virtual
async def test_a_job_is_taken_up_by_its_reference_without_a_request():
    host = Host(takes_s=30.0)
    async with connected(host) as svc:
        written = await (await svc.go.submit(n=4)).ref()
    async with connected(host) as svc:
        seen = len(host.seen)
        job = svc.attach(written)
        assert (job.id, len(host.seen)) == ("t1", seen)
        assert await job == {"n": 4}


@virtual
async def test_a_reference_of_another_service_is_refused():
    async with connected(Host()) as svc:
        for other in ({"provider": "other"}, {"url": "http://elsewhere.test"}):
            ref = JobRef(**{"provider": "ticks", "url": "http://ticks.test", "endpoint": "go", "id": "t1", **other})
            with pytest.raises(UsageError, match="Connect to the job's service"):
                svc.attach(ref.dump())
        with pytest.raises(UsageError, match="no job reference"):
            svc.attach("{}")


@virtual
async def test_a_call_that_is_answered_at_once_may_have_no_reference():
    host = Host()
    host.next("submit", reply({"phase": "done", "out": 3}))
    async with connected(host) as svc:
        job = await svc.go.submit()
        assert await job == 3
        with pytest.raises(UsageError, match="answered at once"):
            await job.ref()


# --- options and names ----------------------------------------------------------------------------------------


class Speed(BaseModel):
    mode: str = "slow"


class Optional(Ticks):
    @hookimpl
    def farcall_call_options(self):
        return Speed

    @hookimpl
    def farcall_submit(self, binding, call):
        return super().farcall_submit(binding, call).with_headers({"x-mode": call.options.mode})


@virtual
async def test_a_providers_options_reach_it_and_keep_their_defaults():
    host = Host(takes_s=0.0)
    async with connected(host, Optional()) as svc:
        await svc.go()
        await svc.go.options(mode="fast", timeout_s=5)()
        await svc.go.options(mode="fast").options(headers={"x-mine": "1"})()
    assert [seen.request.headers["x-mode"] for seen in host.seen] == ["slow", "fast", "fast"]
    assert host.seen[2].request.headers["x-mine"] == "1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mood": "x"}, "Did you mean 'mode'"),
        ({"mode": 7}, "mode"),
        ({"timeout_s": -1}, "0 or more"),
        ({"tmeout_s": 1}, "timeout_s"),
        ({"headers": {"x": 5}}, "headers"),
        ({"headers": "x"}, "headers"),
        ({"follow": "no"}, "follow"),
        ({"headers": {"x": "a\r\nb"}}, "without line ends"),
        ({"idempotency_key": 5}, "idempotency_key"),
        ({"idempotency_key": "a\nb"}, "idempotency_key"),
    ],
)
@virtual
async def test_a_wrong_option_is_refused_with_what_there_is(options, words):
    async with connected(Host(), Optional()) as svc:
        with pytest.raises(UsageError, match=words):
            svc.go.options(**options)


@virtual
async def test_a_wrong_header_is_named_and_its_value_is_not_shown():
    async with connected(Host()) as svc:
        for secret in (b"s3cret", "s3cret\n"):
            with pytest.raises(UsageError, match="'authorization'") as caught:
                svc.go.options(headers={"authorization": secret})
            assert "s3cret" not in str(caught.value)


@virtual
async def test_a_service_without_a_description_says_how_to_name_its_endpoints():
    async with connected(Host(), endpoints=()) as svc:
        with pytest.raises(UnknownEndpoint, match="with endpoints="):
            svc.go  # noqa: B018 - looking it up is what is tried


@virtual
async def test_what_is_no_path_finds_no_endpoint():
    async with connected(Host()) as svc:
        for path in (3, ["go"], None):
            with pytest.raises(UsageError, match="a text"):
                svc[path]


@virtual
async def test_gathering_what_is_no_job_of_this_face_says_so():
    async with connected(Host()) as svc:
        job = await svc.go.submit()
        with pytest.raises(UsageError, match=r"AsyncJob is no Job.*gather_async"):
            farcall.gather([job])
        with pytest.raises(UsageError, match="AsyncJob is no Job"):
            next(farcall.as_completed([job]))
        with pytest.raises(UsageError, match="in a list; not a AsyncJob"):
            await gather_async(job)
        with pytest.raises(UsageError, match="int is no AsyncJob"):
            await anext(as_completed_async([3]))


@virtual
async def test_a_patience_that_is_no_number_is_refused():
    async with connected(Host()) as svc:
        job = await svc.go.submit()
        for wait in (job.result, job.exception, job.cancel):
            with pytest.raises(UsageError, match="timeout_s is seconds"):
                await wait(timeout_s="5")
        with pytest.raises(UsageError, match="timeout_s is seconds"):
            await anext(as_completed_async([job], timeout_s="5"))


@virtual
async def test_an_endpoint_whose_name_begins_with_an_underscore_is_an_attribute():
    async with connected(Host(), endpoints=[EndpointSpec(path="/2img", name="_2img", job=True)]) as svc:
        assert svc._2img.name == "_2img"
        assert not hasattr(svc, "_repr_html_")
        assert not hasattr(svc, "__wrapped__")


@virtual
async def test_a_wrong_argument_is_refused_before_anything_is_sent():
    host = Host()
    async with connected(host) as svc:
        with pytest.raises(InputError, match=r"'whi' \(did you mean 'why'"):
            await svc.go(whi="")
        with pytest.raises(UnknownEndpoint, match="Did you mean 'go'"):
            svc.goo  # noqa: B018
    assert host.seen == []


@virtual
async def test_a_job_submitted_in_the_background_without_following_is_followed_once_somebody_waits():
    host = Host(takes_s=5.0)
    async with connected(host) as svc:
        endpoint = svc.go.options(follow=False)
        job = endpoint._job()
        endpoint._start(job, {})
        assert job.id is None
        assert await job.result(timeout_s=60) == {}


# --- open endpoints ---------------------------------------------------------------------------------------------

OPEN = EndpointSpec(path="/run", open=True, parameters={"n": int, "note": Parameter(str, default="")})


def test_an_open_endpoint_takes_arguments_of_any_name_and_checks_those_it_declares():
    checker = Checker(OPEN)
    assert checker.check((), {"n": "2", "anything": (1, 2), "at": date(2026, 1, 2)}) == {
        "n": 2,
        "anything": [1, 2],
        "at": "2026-01-02",
    }
    assert str(checker) == "run(n: int, note: str = '', **arguments)"
    with pytest.raises(InputError, match="'n' is missing"):
        checker.check((), {"anything": 1})


def test_an_open_endpoint_takes_files_under_any_name():
    file = File.from_bytes(b"x", name="a.png")
    given = {"n": 1, "image": file, "images": [file]}
    assert Checker(OPEN).check((), given) == given


def test_a_file_where_an_open_endpoint_declares_another_type_is_refused():
    with pytest.raises(InputError):
        Checker(OPEN).check((), {"n": 1, "note": File.from_bytes(b"x", name="a.png")})
