"""Submitting, looking, streaming and cancelling, when all is well and when it is not. On virtual time."""

import asyncio
import traceback
from dataclasses import replace

import pytest
from core.ticks import Host, Pieces, Ticks, connected, stream, virtual
from farcall import State, hookimpl, output, tracking
from farcall.engine import DELIVERY_S
from farcall.errors import (
    AuthRefused,
    Busy,
    CancelFailed,
    CancelUnsupported,
    JobCancelled,
    JobFailed,
    JobLost,
    JobTimedOut,
    KeyMissing,
    PluginError,
    ProtocolError,
    Refused,
    ServerFault,
    Unreachable,
    UsageError,
    WaitTimeout,
)
from farcall.jobs import Rejected, Snapshot, Step
from farcall.testing import reply
from farcall.wire import Headers, Response

BUSY = reply({"detail": "full"}, status=429)
CUT = Unreachable("the link broke")
DOWN = Unreachable("nobody listens", unsent=True)


def busy(retry_after):
    return reply({"detail": "full"}, status=429, headers={"retry-after": str(retry_after)})


# --- a submission ---------------------------------------------------------------------------------------------


@virtual
async def test_a_refused_submission_is_tried_again_until_it_is_accepted():
    host = Host()
    host.next("submit", BUSY, BUSY, BUSY)
    async with connected(host) as svc:
        assert await svc.go(n=7) == {"n": 7}
    assert host.count("submit") == 4
    assert len(host.jobs) == 1


@pytest.mark.parametrize("chance", [0.0, 1.0])
@virtual
async def test_a_refused_submission_waits_as_long_as_the_host_asks(chance):
    host = Host()
    host.next("submit", busy(7), busy("Thu, 01 Jan 2026 00:00:20 GMT"))
    async with connected(host, chance=chance) as svc:
        await svc.go.submit()
    first, second, third = host.times("submit")
    assert 7 <= second - first <= 7 * 1.25
    assert 20 <= third <= 20 + 13 * 0.25


@virtual
async def test_a_provider_that_says_rejected_is_believed_and_the_hosts_pause_is_read():
    class SaysSo(Ticks):
        @hookimpl
        def farcall_read(self, answer, step, jobs):
            full = step is Step.SUBMIT and b"full" in answer.content
            return [Rejected(message="full")] if full else super().farcall_read(answer, step, jobs)

    host = Host()
    host.next("submit", reply({"phase": "full"}, headers={"retry-after": "9"}), reply({"phase": "full"}))
    async with connected(host, SaysSo()) as svc:
        await svc.go.submit()
    first, second, third = host.times("submit")
    assert 9 <= second - first <= 9 * 1.25
    assert third - second < 5


@virtual
async def test_refusals_without_end_are_busy_after_our_patience():
    host = Host(always={"submit": BUSY})
    async with connected(host) as svc:
        with pytest.raises(Busy, match="full") as caught:
            await svc.go()
    assert 40 < host.now <= 60
    assert caught.value.response.status == 429
    assert caught.value.request.headers == {}


@virtual
async def test_a_refusal_asking_for_more_than_our_patience_is_busy_at_once():
    host = Host(always={"submit": busy(300)})
    async with connected(host, busy_patience_s=100) as svc:
        with pytest.raises(Busy) as caught:
            await svc.go()
    assert host.count("submit") == 1
    assert caught.value.retry_after_s == 300


@pytest.mark.parametrize("refusal", [BUSY, busy(0)])
@virtual
async def test_no_patience_means_one_try(refusal):
    host = Host(always={"submit": refusal})
    async with connected(host, busy_patience_s=0) as svc:
        with pytest.raises(Busy):
            await svc.go()
    assert host.count("submit") == 1


@virtual
async def test_a_host_that_asks_for_no_pause_is_not_hammered():
    host = Host(always={"submit": busy(0)})
    async with connected(host) as svc:
        with pytest.raises(Busy):
            await svc.go()
    assert host.count("submit") < 30


@virtual
async def test_a_calls_timeout_ends_its_refusals():
    host = Host(always={"submit": BUSY})
    async with connected(host) as svc:
        with pytest.raises(Busy):
            await svc.go.options(timeout_s=10)()
        assert host.now <= 10
        with pytest.raises(Busy):
            await svc.go.options(timeout_s=10).submit()
    assert host.now <= 20


@virtual
async def test_a_submission_that_may_have_arrived_is_never_repeated():
    host = Host()
    host.next("submit", CUT)
    async with connected(host) as svc:
        with pytest.raises(Unreachable, match=r"the link broke.* is not known, so it was not sent again"):
            await svc.go()
    assert host.count("submit") == 1


@virtual
async def test_a_submission_of_which_nothing_was_sent_is_repeated_on_a_new_connection():
    host = Host()
    host.next("submit", DOWN, DOWN)
    async with connected(host) as svc:
        assert await svc.go(n=1) == {"n": 1}
    assert [seen.request.fresh for seen in host.seen if seen.kind == "submit"] == [False, True, True]


@pytest.mark.parametrize(
    ("status", "error"), [(500, ServerFault), (503, ServerFault), (400, Refused), (403, AuthRefused), (401, KeyMissing)]
)
@virtual
async def test_a_submission_answered_with_a_fault_is_not_repeated(status, error):
    host = Host()
    host.next("submit", reply({"detail": "no ink"}, status=status))
    async with connected(host) as svc:
        with pytest.raises(error, match="no ink"):
            await svc.go()
    assert host.count("submit") == 1


@pytest.mark.parametrize("fault", [CUT, reply({}, status=503)])
@virtual
async def test_a_key_the_host_honours_makes_a_submission_repeatable_and_is_one_key_through_all_tries(fault):
    host = Host()
    host.next("submit", BUSY, fault, busy(1))
    async with connected(host, Ticks(idempotency_header="x-once")) as svc:
        await svc.go()
        await svc.go()
    keys = [seen.request.headers["x-once"] for seen in host.seen if seen.kind == "submit"]
    assert len(keys) == 5
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[0]


@virtual
async def test_the_hosts_pause_holds_for_a_repeatable_submission_too():
    host = Host()
    host.next("submit", busy(20))
    async with connected(host, Ticks(idempotency_header="x-once")) as svc:
        await svc.go.submit()
    first, second = host.times("submit")
    assert second - first >= 20


@virtual
async def test_the_users_own_key_is_sent_where_the_host_honours_keys_and_refused_where_not():
    host = Host()
    async with connected(host, Ticks(idempotency_header="x-once")) as svc:
        await svc.go.options(idempotency_key="mine")()
    assert host.seen[0].request.headers["x-once"] == "mine"
    async with connected(host) as svc:
        with pytest.raises(UsageError, match="idempotency"):
            await svc.go.options(idempotency_key="mine")()


@virtual
async def test_a_stream_that_was_read_is_not_sent_again():
    class OneShot(Ticks):
        @hookimpl
        def farcall_submit(self, binding, call):
            return replace(super().farcall_submit(binding, call), body=Once())

    host = Host()
    host.next("submit", BUSY)
    async with connected(host, OneShot()) as svc:
        with pytest.raises(Busy, match="stream"):
            await svc.go()
    assert host.count("submit") == 1


class Once:
    """A body that can be read once."""

    length = 2
    repeatable = False
    was_read = False

    async def chunks(self):
        assert not self.was_read
        self.was_read = True
        yield b"{}"


@pytest.mark.parametrize(
    ("fault", "error"),
    [(CUT, Unreachable), (reply({"detail": "no ink"}, status=504), ServerFault)],
    ids=["cut", "gateway"],
)
@virtual
async def test_a_stream_is_not_sent_again_either_where_a_key_makes_that_harmless(fault, error):
    class OneShot(Ticks):
        @hookimpl
        def farcall_submit(self, binding, call):
            return replace(super().farcall_submit(binding, call), body=Once())

    host = Host()
    host.next("submit", fault)
    async with connected(host, OneShot(idempotency_header="x-once")) as svc:
        with pytest.raises(error, match="Whether the host took go is not known, so it was not sent again"):
            await svc.go()
    assert host.count("submit") == 1


@pytest.mark.parametrize(("status", "untold"), [(502, True), (504, True), (500, False), (503, False)])
@virtual
async def test_only_where_a_gateway_has_no_answer_of_the_service_it_is_not_known_whether_that_took_the_call(
    status, untold
):
    host = Host()
    host.next("submit", reply({"detail": "no ink"}, status=status))
    async with connected(host) as svc:
        with pytest.raises(ServerFault, match=r"no ink") as caught:
            await svc.go()
    assert ("Whether the host took go is not known" in str(caught.value)) is untold


@pytest.mark.parametrize(
    "answer", [reply({"ticket": "t1", "phase": "dancing"}), reply(b"<html>"), reply({"phase": "waiting"})]
)
@virtual
async def test_a_submission_answered_with_nonsense_is_a_protocol_error(answer):
    host = Host()
    host.next("submit", answer)
    async with connected(host) as svc:
        with pytest.raises(ProtocolError):
            await svc.go()


@virtual
async def test_a_result_in_the_reply_needs_no_look():
    host = Host(takes_s=0.0)
    async with connected(host) as svc:
        assert await svc.go(n=3) == {"n": 3}
    assert host.count("look") == 0


@virtual
async def test_submissions_keep_below_the_hosts_rate_and_none_loses_patience_meanwhile():
    host = Host(takes_s=0.0)
    async with connected(host, Ticks(submit_rate=(10, 5.0)), busy_patience_s=1.0) as svc:
        host.next("submit", BUSY)
        jobs = await asyncio.gather(*(svc.go.submit(n=n) for n in range(44)))
    assert [await job for job in jobs] == [{"n": n} for n in range(44)]
    times = host.times("submit")
    assert all(later - earlier >= 5.0 for earlier, later in zip(times, times[10:], strict=False))
    assert host.now <= 21


# --- a look ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [CUT, DOWN, reply({}, status=500), reply({}, status=429)])
@virtual
async def test_a_failed_look_is_taken_again(fault):
    host = Host()
    host.next("look", fault, fault, fault)
    async with connected(host) as svc:
        assert await svc.go(n=1) == {"n": 1}
    first, second, third, fourth = host.times("look")[:4]
    assert 0.1 <= second - first < third - second < fourth - third
    assert [seen.request.fresh for seen in host.seen if seen.kind == "look"][:4] == [False, True, True, True]


@virtual
async def test_a_failed_look_waits_as_long_as_the_host_asks():
    host = Host()
    host.next("look", reply({}, status=503, headers={"retry-after": "12"}))
    async with connected(host) as svc:
        await svc.go()
    first, second = host.times("look")[:2]
    assert second - first == pytest.approx(12, abs=0.01)


@pytest.mark.parametrize(
    ("fault", "error"), [(CUT, Unreachable), (reply({"detail": "no ink"}, status=500), ServerFault)]
)
@virtual
async def test_looks_that_fail_for_a_minute_end_the_following_and_name_the_job(fault, error):
    host = Host(always={"look": fault})
    async with connected(host) as svc:
        job = await svc.go.submit()
        with pytest.raises(error) as caught:
            await job
    assert 60 <= host.now < 70
    assert caught.value.job is job
    assert caught.value.snapshot.job_id == "t1"


@virtual
async def test_a_look_that_succeeds_in_between_begins_the_patience_anew():
    host = Host(takes_s=300.0)
    host.always["look"] = lambda request: CUT if int(host.now / 50) % 2 else None
    async with connected(host) as svc:
        assert await svc.go() == {}


@virtual
async def test_where_a_look_can_be_taken_once_a_lost_reply_loses_the_job():
    host = Host()
    host.next("look", CUT)
    async with connected(host, Ticks(poll_repeatable=False)) as svc:
        with pytest.raises(JobLost, match="takes each once"):
            await svc.go()
    assert host.count("look") == 1


@pytest.mark.parametrize("fault", [DOWN, reply({}, status=429), reply({}, status=503)])
@virtual
async def test_where_a_look_can_be_taken_once_one_that_was_not_taken_is_taken_again(fault):
    host = Host()
    host.next("look", fault)
    async with connected(host, Ticks(poll_repeatable=False)) as svc:
        assert await svc.go() == {}


@virtual
async def test_a_job_the_host_does_not_know_is_lost():
    host = Host()
    host.next("look", reply({"detail": "no such job"}, status=404))
    async with connected(host, Ticks(read_once=True, retention_s=1800.0)) as svc:
        job = await svc.go.submit()
        with pytest.raises(JobLost, match=r"t1 of go.*keeps results for 1,800 s.*forgets") as caught:
            await job
    assert caught.value.job is job


@virtual
async def test_an_unknown_word_is_an_error_in_the_result_and_no_endless_wait():
    host = Host()
    host.next("look", reply({"ticket": "t1", "phase": "dancing"}))
    async with connected(host) as svc:
        job = await svc.go.submit()
        with pytest.raises(ProtocolError, match="'dancing'"):
            await job
        assert isinstance(await job.exception(), ProtocolError)
        assert job.done()


@virtual
async def test_a_refused_look_ends_the_following_at_once():
    host = Host()
    host.next("look", reply({"detail": "your key has expired"}, status=403))
    async with connected(host) as svc:
        with pytest.raises(AuthRefused, match="expired"):
            await svc.go()
    assert host.count("look") == 1


@virtual
async def test_one_bad_answer_among_many_jobs_ends_only_its_own():
    host = Host(takes_s=30.0)
    told = host.told
    async with connected(host, Ticks(poll_batch=100)) as svc:
        jobs = [await svc.go.submit() for _ in range(40)]
        host.told = lambda ticket: {"ticket": ticket, "phase": "dancing"} if ticket == "t7" else told(ticket)
        errors = [await job.exception() for job in jobs]
    assert [type(error) for error in errors] == [ProtocolError if job.id == "t7" else type(None) for job in jobs]


@virtual
async def test_jobs_that_are_lost_together_have_an_error_each_which_names_its_job():
    host = Host(takes_s=30.0, always={"look": reply({"detail": "go away"}, status=403)})
    async with connected(host, Ticks(poll_batch=100)) as svc:
        jobs = [await svc.go.submit() for _ in range(40)]
        errors = [await job.exception() for job in jobs]
    assert [error.job for error in errors] == jobs
    assert [error.snapshot.job_id for error in errors] == [job.id for job in jobs]


@virtual
async def test_a_job_missing_among_many_is_lost_alone():
    host = Host(takes_s=30.0)
    told = host.told
    async with connected(host, Ticks(poll_batch=100)) as svc:
        jobs = [await svc.go.submit() for _ in range(40)]
        host.told = lambda ticket: {"ticket": ticket, "phase": "gone"} if ticket == "t7" else told(ticket)
        errors = [await job.exception() for job in jobs]
    assert [type(error) for error in errors] == [JobLost if job.id == "t7" else type(None) for job in jobs]


@pytest.mark.parametrize("hook", ["farcall_status", "farcall_read"])
@virtual
async def test_a_provider_that_breaks_in_a_look_is_named_and_ends_the_wait(hook):
    class Broken(Ticks):
        @hookimpl
        def farcall_status(self, jobs, wait_s):
            return self.broken() if hook == "farcall_status" else super().farcall_status(jobs, wait_s)

        @hookimpl
        def farcall_read(self, answer, step, jobs):
            return (
                self.broken()
                if hook == "farcall_read" and step is Step.POLL
                else super().farcall_read(answer, step, jobs)
            )

        def broken(self):
            raise KeyError("oops")

    async with connected(Host(), Broken()) as svc:
        with pytest.raises(PluginError, match=rf"'ticks' broke in {hook}: KeyError"):
            await svc.go()


@virtual
async def test_a_host_that_cannot_be_asked_says_so():
    class Silent(Ticks):
        @hookimpl
        def farcall_status(self, jobs):
            return None

    async with connected(Host(), Silent()) as svc:
        with pytest.raises(UsageError, match="cannot be asked"):
            await svc.go()


@virtual
async def test_what_the_provider_remembers_of_a_job_comes_back_to_it():
    class Remembers(Ticks):
        @hookimpl
        def farcall_status(self, jobs, wait_s):
            seen.append(dict(jobs[0].data))
            return super().farcall_status(jobs, wait_s)

    seen = []
    host = Host(takes_s=0.02)
    host.next("submit", reply({"ticket": "t1", "phase": "waiting", "data": {"link": "a"}}))
    host.next(
        "look",
        reply({"ticket": "t1", "phase": "working", "data": {"rev": "2"}}),
        reply({"ticket": "t1", "phase": "working"}),
        reply({"ticket": "t1", "phase": "done"}),
    )
    async with connected(host, Remembers()) as svc:
        await svc.go()
    assert seen == [{"link": "a"}, {"link": "a", "rev": "2"}, {"link": "a", "rev": "2"}]


# --- the ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phase", "error"), [("broken", JobFailed), ("stopped", JobCancelled), ("late", JobTimedOut)])
@virtual
async def test_each_ill_end_is_its_error_which_carries_the_last_look_and_the_job(phase, error):
    host = Host()
    host.next("look", reply({"ticket": "t1", "phase": phase, "why": "no ink", "part": 0.7}))
    async with connected(host) as svc:
        job = await svc.go.submit()
        with pytest.raises(error) as caught:
            await job
        assert caught.value.snapshot.progress == 0.7
        assert caught.value.job is job
        assert type(await job.exception()) is error


# --- patience -------------------------------------------------------------------------------------------------


@virtual
async def test_the_end_of_our_patience_carries_the_job_which_goes_on():
    host = Host(takes_s=100.0)
    async with connected(host) as svc:
        with pytest.raises(WaitTimeout) as caught:
            await svc.go.options(timeout_s=10)(n=1)
        assert host.now == pytest.approx(10)
        assert isinstance(caught.value, TimeoutError)
        assert await caught.value.job.result(timeout_s=1000) == {"n": 1}
    assert host.count("cancel") == 0


@virtual
async def test_the_end_of_our_patience_says_when_the_host_cannot_be_reached():
    host = Host(always={"look": DOWN})
    async with connected(host) as svc:
        job = await svc.go.submit()
        with pytest.raises(WaitTimeout, match=r"has not ended within 5 s.* The last look at it failed: nobody listens"):
            await job.result(timeout_s=5)


@virtual
async def test_a_timeout_counts_from_the_submission_to_the_result():
    host = Host(takes_s=100.0)
    host.next("submit", busy(4))
    async with connected(host, chance=0.0) as svc:
        job = await svc.go.options(timeout_s=10).submit()
        assert host.now == pytest.approx(4)
        with pytest.raises(WaitTimeout):
            await job
        assert host.now == pytest.approx(10)
        with pytest.raises(WaitTimeout):
            await job.result()
        assert host.now == pytest.approx(10)
        with pytest.raises(WaitTimeout):
            await job.result(timeout_s=3)
        assert host.now == pytest.approx(13)


@virtual
async def test_a_host_that_does_not_answer_a_submission_in_time_leaves_a_job_to_ask_later():
    host = Host()

    async def slow(request):
        await asyncio.sleep(20)
        host.jobs["t1"] = None
        return reply({"ticket": "t1", "phase": "done", "out": 5})

    host._submit = slow
    async with connected(host) as svc:
        with pytest.raises(WaitTimeout) as caught:
            await svc.go.options(timeout_s=10).submit()
        assert caught.value.job.id is None
        assert await caught.value.job.result(timeout_s=60) == 5


@virtual
async def test_cancelling_an_await_leaves_the_job_alone():
    host = Host(takes_s=50.0)
    async with connected(host) as svc:
        job = await svc.go.submit()
        waiting = asyncio.ensure_future(job.result())
        await asyncio.sleep(5)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await job == {}
    assert host.count("cancel") == 0


# --- cancelling -----------------------------------------------------------------------------------------------


@virtual
async def test_a_cancel_returns_the_hosts_answer_and_ends_the_job():
    host = Host(takes_s=50.0)
    async with connected(host) as svc:
        job = await svc.go.submit()
        assert (await job.cancel()).state is State.CANCELLED
        with pytest.raises(JobCancelled):
            await job
        assert (await job.cancel()).state is State.CANCELLED
    assert host.count("cancel") == 1


@virtual
async def test_a_cancel_that_the_host_takes_its_time_with_is_seen_by_looks():
    host = Host(takes_s=50.0)
    host.next(
        "cancel",
        lambda request: host.jobs["t1"].__setattr__("stopped", True) or reply({"ticket": "t1", "phase": "working"}),
    )
    async with connected(host) as svc:
        job = await svc.go.submit()
        assert (await job.cancel()).state is State.RUNNING
        assert isinstance(await job.exception(), JobCancelled)


@virtual
async def test_a_host_that_cannot_cancel_says_so_and_the_job_goes_on():
    class Uncancellable(Ticks):
        @hookimpl
        def farcall_cancel(self):
            return None

    host = Host(takes_s=5.0)
    async with connected(host, Uncancellable()) as svc:
        job = await svc.go.submit()
        with pytest.raises(CancelUnsupported) as caught:
            await job.cancel()
        assert caught.value.job is job
        assert await job == {}


@pytest.mark.parametrize("status", [404, 405, 501])
@virtual
async def test_a_host_without_such_a_route_cannot_cancel(status):
    host = Host(takes_s=5.0, always={"cancel": reply({"detail": "not here"}, status=status)})
    async with connected(host) as svc:
        job = await svc.go.submit()
        with pytest.raises(CancelUnsupported, match="not here"):
            await job.cancel()
        assert await job == {}


@virtual
async def test_a_cancel_is_repeated_and_one_that_stays_a_fault_has_failed():
    host = Host(takes_s=5.0)
    host.next("cancel", CUT, reply({}, status=503), None)
    async with connected(host) as svc:
        assert (await (await svc.go.submit()).cancel()).state is State.CANCELLED
        host.always["cancel"] = reply({"detail": "no ink"}, status=500)
        job = await svc.go.submit()
        with pytest.raises(CancelFailed, match="no ink"):
            await job.cancel()
        assert await job == {}
    assert host.count("cancel") == 6


def started(endpoint, **values):
    """A job that is being submitted, as the blocking face does it."""
    job = endpoint._job()
    endpoint._start(job, values)
    return job


@virtual
async def test_a_busy_host_is_asked_to_cancel_as_long_as_it_would_be_asked_to_submit():
    host = Host(takes_s=500.0)
    async with connected(host) as svc:
        host.next("cancel", *[reply({}, status=429)] * 9, None)
        assert (await (await svc.go.submit()).cancel()).state is State.CANCELLED
        host.always["cancel"] = busy(7)
        job = await svc.go.submit()
        began = host.now
        with pytest.raises(CancelFailed, match="full"):
            await job.cancel()
        assert 50 <= host.now - began <= 60


@virtual
async def test_a_job_that_ends_while_a_busy_host_is_asked_to_cancel_it_is_asked_about_no_more():
    host = Host(takes_s=20.0, always={"cancel": busy(7)})
    async with connected(host) as svc:
        job = await svc.go.submit(n=1)
        assert (await job.cancel()).state is State.SUCCEEDED
        assert await job == {"n": 1}
    assert host.count("cancel") == 3


@virtual
async def test_a_cancel_of_a_job_that_is_being_accepted_waits_for_its_acceptance():
    host = Host(takes_s=50.0)
    submit = host._submit

    async def slow(request):
        await asyncio.sleep(3)
        return await submit(request)

    host._submit = slow
    async with connected(host) as svc:
        job = started(svc.go)
        await asyncio.sleep(1)
        assert (await job.cancel()).state is State.CANCELLED
        assert job.id == "t1"
    assert host.count("cancel") == 1


@pytest.mark.parametrize(("after_s", "tries"), [(0, 0), (2, 1), (6, 2)])
@virtual
async def test_a_cancel_of_a_refused_submission_abandons_it(after_s, tries):
    host = Host(always={"submit": busy(4)})
    async with connected(host, chance=0.0) as svc:
        job = started(svc.go)
        if after_s:
            await asyncio.sleep(after_s)
        assert (await job.cancel()).state is State.CANCELLED
        assert host.now == after_s
        with pytest.raises(JobCancelled):
            await job
        await asyncio.sleep(100)
    assert host.count("submit") == tries


@virtual
async def test_a_cancel_of_a_submission_whose_try_is_refused_sends_no_further_try():
    host = Host(always={"submit": busy(4)})
    answer = host.always["submit"]

    async def slow(request):
        await asyncio.sleep(3)
        return answer

    host.always, host._submit = {}, slow
    async with connected(host) as svc:
        job = started(svc.go)
        await asyncio.sleep(1)
        assert (await job.cancel()).state is State.CANCELLED
        assert host.now == 3
        await asyncio.sleep(100)
    assert host.count("submit") == 1


@virtual
async def test_a_cancel_of_a_job_that_was_not_accepted_raises_why():
    host = Host(always={"submit": reply({"detail": "no ink"}, status=500)})
    async with connected(host) as svc:
        job = started(svc.go)
        with pytest.raises(ServerFault, match="no ink"):
            await job
        with pytest.raises(ServerFault, match="no ink") as caught:
            await job.cancel()
        assert caught.value.job is job


@virtual
async def test_refused_submissions_hold_up_no_other_endpoint():
    host = Host(
        always={"submit": lambda request: BUSY if b'"n": 1' in request.body or b'"n":1' in request.body else None}
    )
    async with connected(host) as svc:
        refused = [started(svc.go, n=1) for _ in range(300)]
        await asyncio.sleep(0.1)
        assert await svc.go(n=2) == {"n": 2}
        assert host.now < 3
        assert not any(job.done() for job in refused)


@virtual
async def test_an_error_raised_again_and_again_keeps_no_tracebacks():
    def depth(error):
        return sum(1 for _ in traceback.walk_tb(error.__traceback__))

    host = Host(always={"look": reply({}, status=404)})
    async with connected(host) as svc:
        job = await svc.go.submit()
        errors = []
        for _ in range(20):
            with pytest.raises(JobLost) as caught:
                await job
            errors.append(caught.value)
    assert len({id(error) for error in errors}) == 20
    assert depth(errors[0]) == depth(errors[-1])


@virtual
async def test_a_wait_that_is_given_up_is_not_kept():
    host = Host(takes_s=1000.0)
    async with connected(host, Ticks(poll_max_s=500.0)) as svc:
        job = await svc.go.submit()
        await asyncio.sleep(500)
        for _ in range(100):
            with pytest.raises(WaitTimeout):
                await job.result(timeout_s=0.001)
        assert len(job._tracked._waiters) == 0


@pytest.mark.parametrize("asked", ["inf", "nan", "1e99"])
@virtual
async def test_a_pause_without_end_is_not_kept(asked):
    host = Host()
    host.next("look", busy(asked))
    async with connected(host) as svc:
        assert await svc.go() == {}
    assert host.now <= 3601


@virtual
async def test_an_answer_about_another_job_is_not_taken_as_this_ones():
    host = Host()
    host.next("look", reply({"ticket": "t999", "phase": "done", "out": "another's"}))
    async with connected(host) as svc:
        with pytest.raises(ProtocolError, match="t999"):
            await svc.go()


@pytest.mark.parametrize(
    "facts",
    [
        {"poll_per_s": 0.0},
        {"poll_per_s": float("nan")},
        {"poll_batch": 0},
        {"submit_rate": (0, 10.0)},
        {"poll_max_s": -1.0},
        {"long_poll_s": 0.0},
        {"stream": "smoke"},
    ],
)
@virtual
async def test_facts_that_cannot_be_worked_with_are_refused_when_connecting(facts):
    with pytest.raises(PluginError, match=f"wrong facts: {next(iter(facts))}"):
        async with connected(Host(), Ticks(**facts)):
            pass


@virtual
async def test_jobs_are_lost_and_do_not_hang_when_deciding_on_looks_breaks():
    async with connected(Host(takes_s=100.0)) as svc:
        job = await svc.go.submit()
        await asyncio.sleep(1)
        svc._engine.follower._start_one = lambda now: 1 / 0
        with pytest.raises(PluginError, match="division by zero"):
            await job


@virtual
async def test_a_cancel_may_be_waited_for_only_so_long():
    host = Host(takes_s=50.0)

    async def slow(request):
        await asyncio.sleep(100)

    host._cancel = slow
    async with connected(host) as svc:
        job = await svc.go.submit()
        with pytest.raises(WaitTimeout) as caught:
            await job.cancel(timeout_s=3)
        assert host.now == pytest.approx(3)
        assert caught.value.job is job


# --- output ---------------------------------------------------------------------------------------------------


def said(*texts, first=1):
    return [f"id: {n}\ndata: {text}\n\n".encode() for n, text in enumerate(texts, first)]


@virtual
async def test_output_comes_as_it_comes_from_its_start_for_each_who_asks():
    host = Host(takes_s=2.5)
    host.next("stream", stream(*said("a", "b", "c")))
    async with connected(host, Ticks(stream="sse")) as svc:
        job = await svc.go.submit()
        arrived = [(chunk, host.now) async for chunk in job.stream()]
        assert arrived == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
        assert [chunk async for chunk in job.stream()] == ["a", "b", "c"]
        assert job.done()
    assert host.count("stream") == 1


@virtual
async def test_a_stream_that_breaks_is_taken_up_after_its_last_event():
    host = Host(takes_s=20.0)
    host.next("stream", stream(*said("a", "b"), then=CUT), CUT, stream(*said("c", first=3)))
    async with connected(host, Ticks(stream="sse")) as svc:
        assert [chunk async for chunk in (await svc.go.submit()).stream()] == ["a", "b", "c"]
    # the last once more, since a proxy may have ended it: the job had not
    assert asked_for_output(host) == ["", "since=2", "since=2", "since=3"]


def asked_for_output(host):
    return [seen.request.url.partition("?")[2] for seen in host.seen if seen.kind == "stream"]


@pytest.mark.parametrize("fault", [stream(), reply({}, status=503)])
@virtual
async def test_a_stream_that_is_ended_or_refused_before_its_job_ends_is_taken_up(fault):
    host = Host(takes_s=20.0)
    host.next("stream", stream(*said("a", "b")), stream(*said("c", first=3)), fault, stream(*said("d", first=4)))
    async with connected(host, Ticks(stream="sse")) as svc:
        output = [chunk async for chunk in (await svc.go.submit()).stream()]
    assert output == (["a", "b", "c"] if fault.ok else ["a", "b", "c", "d"])


@virtual
async def test_a_stream_without_ids_is_not_begun_again_once_something_came():
    host = Host(takes_s=20.0)
    host.next("stream", CUT, stream(b"data: a\n\n", then=CUT), stream(b"data: never\n\n"))
    async with connected(host, Ticks(stream="sse")) as svc:
        job = await svc.go.submit()
        output = job.stream()
        assert await anext(output) == "a"
        with pytest.raises(Unreachable, match="the link broke") as caught:
            await anext(output)
        assert caught.value.job is job
        assert await job == {}
    assert host.count("stream") == 2


@virtual
async def test_output_a_host_fails_to_give_is_an_error_and_the_result_is_there_all_the_same():
    host = Host(takes_s=5.0, always={"stream": reply({"detail": "no ink"}, status=500)})
    async with connected(host, Ticks(stream="sse")) as svc:
        job = await svc.go.submit(n=2)
        for _ in range(2):
            with pytest.raises(ServerFault, match="no ink"):
                [chunk async for chunk in job.stream()]
        assert await job == {"n": 2}


@virtual
async def test_output_whose_rest_the_host_no_longer_has_is_an_error():
    host = Host(takes_s=5.0)
    host.next("stream", stream(*said("a"), then=CUT), reply({}, status=404))
    async with connected(host, Ticks(stream="sse")) as svc:
        output = (await svc.go.submit()).stream()
        assert await anext(output) == "a"
        with pytest.raises(Refused):
            await anext(output)


@virtual
async def test_a_host_without_streams_has_no_output_and_ends_with_the_job():
    host = Host(takes_s=5.0)
    async with connected(host) as svc:
        assert [chunk async for chunk in (await svc.go.submit()).stream()] == []
        with pytest.raises(JobFailed, match="no ink"):
            [chunk async for chunk in (await svc.go.submit(why="no ink")).stream()]
    assert host.count("stream") == 0


@virtual
async def test_output_comes_first_and_the_jobs_error_after_it():
    host = Host(takes_s=1.5)
    host.next("stream", stream(*said("a", "b", "c")))
    async with connected(host, Ticks(stream="sse")) as svc:
        output = (await svc.go.submit(why="no ink")).stream()
        assert [await anext(output) for _ in range(3)] == ["a", "b", "c"]
        with pytest.raises(JobFailed, match="no ink"):
            await anext(output)


@virtual
async def test_an_endless_output_is_read_as_it_comes_while_only_its_latest_pieces_are_kept(monkeypatch):
    monkeypatch.setattr(output, "MOST_BYTES", 1_000)
    host = Host(takes_s=30.0)
    host.next("stream", stream(*said(*map(str, range(200))), gap_s=0.1))
    async with connected(host, Ticks(stream="sse")) as svc:
        job = await svc.go.submit()
        assert [chunk async for chunk in job.stream()] == [str(number) for number in range(200)]
        with pytest.raises(ProtocolError, match="no longer kept") as caught:
            await anext(job.stream())
        assert caught.value.job is job
        assert await job.exception() is None


@virtual
async def test_of_an_endless_log_the_latest_lines_are_kept(monkeypatch):
    monkeypatch.setattr(tracking, "MOST_LOG_LINES", 3)
    host = Host(takes_s=3.0)
    host.next("stream", stream(*(f"event: log\ndata: {n}\n\n".encode() for n in range(9)), gap_s=0.1))
    async with connected(host, Ticks(stream="sse")) as svc:
        job = await svc.go.submit()
        assert [chunk async for chunk in job.stream()] == []
        assert job.logs == ("6", "7", "8")


@virtual
async def test_log_lines_in_a_stream_are_the_jobs_logs():
    host = Host(takes_s=5.0)
    host.next("stream", stream(b"event: log\ndata: hot\n\n", *said("a"), b"event: log\ndata: hotter\n\n"))
    async with connected(host, Ticks(stream="sse")) as svc:
        job = await svc.go.submit()
        assert [chunk async for chunk in job.stream()] == ["a"]
        assert job.logs == ("hot", "hotter")


@virtual
async def test_a_stream_the_host_refuses_leaves_the_job_to_its_looks():
    host = Host(takes_s=5.0, always={"stream": reply({}, status=404)})
    async with connected(host, Ticks(stream="sse")) as svc:
        job = await svc.go.submit()
        assert [chunk async for chunk in job.stream()] == []
        assert await job == {}


# --- closing --------------------------------------------------------------------------------------------------


@virtual
async def test_closing_ends_the_waits_and_leaves_the_hosts_jobs_alone():
    host = Host(takes_s=500.0)
    async with connected(host) as svc:
        jobs = [await svc.go.submit() for _ in range(3)]
        waiting = [asyncio.ensure_future(job.result()) for job in jobs]
        await asyncio.sleep(3)
        await svc.close()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(end, UsageError) for end in ends)
        with pytest.raises(UsageError, match="closed"):
            await svc.go()
    assert host.count("cancel") == 0


@pytest.mark.parametrize("submitting", ["direct", "background", "pausing"])
@virtual
async def test_closing_tells_those_who_still_submit_too(submitting):
    host = Host(always={"submit": busy(30)} if submitting == "pausing" else {})

    async def slow(request):
        await asyncio.sleep(50)

    host._submit = slow
    async with connected(host) as svc:
        call = started(svc.go).result() if submitting == "background" else svc.go()
        waiting = asyncio.ensure_future(call)
        await asyncio.sleep(3)
        await svc.close()
        with pytest.raises(UsageError, match="The service was closed"):
            await waiting
        assert host.now == (3 + DELIVERY_S if submitting == "background" else 3)
        assert waiting.cancelling() == 0


@virtual
async def test_closing_delivers_what_was_submitted_in_the_background():
    host = Host()
    deliver = host._submit

    async def slow(request):
        await asyncio.sleep(2)
        return await deliver(request)

    host._submit = slow
    async with connected(host) as svc:
        jobs = [started(svc.go) for _ in range(50)]
    assert host.count("submit") == 50
    assert all(job.id is not None for job in jobs)


@virtual
async def test_closing_tells_those_who_wait_for_a_reply_that_is_a_file():
    class Picture(Ticks):
        @hookimpl
        def farcall_read(self, answer, step, jobs):
            return [Snapshot(state=State.SUCCEEDED, result=answer)]

    def picture(request):
        headers = Headers({"content-type": "image/png", "content-length": "3"})
        return Response(status=200, headers=headers, body=Pieces([b"png"], None, 50.0))

    async with connected(Host(always={"submit": picture}), Picture()) as svc:
        waiting = asyncio.ensure_future(svc.go())
        await asyncio.sleep(3)
        await svc.close()
        with pytest.raises(UsageError, match="The service was closed"):
            await waiting


@virtual
async def test_closing_ends_output_with_an_error():
    host = Host(takes_s=1.0, always={"stream": stream(*said("a", "b"), gap_s=5.0)})
    async with connected(host, Ticks(stream="sse")) as svc:
        output = (await svc.go.submit()).stream()
        assert await anext(output) == "a"
        await svc.close()
        with pytest.raises(UsageError, match="The service was closed"):
            await anext(output)


@virtual
async def test_nothing_hangs_that_is_begun_while_the_service_closes():
    host = Host(takes_s=500.0)
    async with connected(host) as svc:
        unfollowed = await svc.go.options(follow=False).submit()
        looked_at = await svc.go.submit()
        await asyncio.sleep(3)
        closing = asyncio.ensure_future(svc.close())
        await asyncio.sleep(0)
        ends = await asyncio.gather(svc.go(), unfollowed, looked_at, return_exceptions=True)
        assert [type(end) for end in ends] == [UsageError] * 3
        await closing
        with pytest.raises(UsageError, match="closed"):
            await svc.attach(await unfollowed.ref())
    assert host.count("submit") == 2
