"""Many jobs cost few requests, and an end is seen soon. On virtual time."""

import asyncio
import itertools

import pytest
from core.ticks import ENDPOINT, Host, Ticks, connected, virtual
from farcall.engine import Engine
from farcall.service import AsyncService
from farcall.testing import MemorySender, reply

OTHER = ENDPOINT.model_copy(update={"path": "/other", "name": "other"})
AGES = [0.004, 0.05, 0.5, 5.0, 60.0, 600.0]


@pytest.mark.parametrize("chance", [0.0, 1.0])
@pytest.mark.parametrize("takes_s", AGES)
@virtual
async def test_an_end_is_seen_within_15_percent_of_the_jobs_age(takes_s, chance):
    host = Host(takes_s)
    async with connected(host, chance=chance) as svc:
        job = await svc.go.submit()
        await job
    late_s = host.now - takes_s
    assert 0 <= late_s <= min(2.0, max(0.01, 0.15 * takes_s)) * 1.1 + 1e-6


@pytest.mark.parametrize("takes_s", AGES)
@virtual
async def test_looks_grow_with_the_logarithm_of_the_age_until_the_longest_pause(takes_s):
    host = Host(takes_s)
    async with connected(host) as svc:
        await svc.go()
    looks = host.times("look")
    pauses = [b - a for a, b in itertools.pairwise(looks)]
    assert all(later >= earlier * 0.99 for earlier, later in itertools.pairwise(pauses))
    assert len(looks) <= 50 + takes_s / 2


@virtual
async def test_the_longest_pause_is_the_providers():
    host = Host(600.0)
    async with connected(host, Ticks(poll_min_s=5.0, poll_max_s=5.0)) as svc:
        await svc.go()
    assert host.count("look") == 600 / 5


@virtual
async def test_a_budget_of_looks_holds_for_500_jobs():
    host = Host(20.0)
    async with connected(host, Ticks(poll_per_s=50.0)) as svc:
        jobs = [await svc.go.submit(n=n) for n in range(500)]
        assert [await job for job in jobs] == [{"n": n} for n in range(500)]
    looks = host.times("look")
    most = max(sum(at <= later < at + 1 for later in looks) for at in looks)
    assert most <= 51
    assert host.now < 20 + 2 * 500 / 50


@virtual
async def test_no_job_is_forgotten_when_the_budget_is_short():
    host = Host(20.0)
    async with connected(host, Ticks(poll_per_s=10.0)) as svc:
        jobs = [await svc.go.submit(n=n) for n in range(100)]
        await asyncio.gather(*jobs)
    looked_at = {seen.tickets[0] for seen in host.seen if seen.kind == "look"}
    assert len(looked_at) == 100


@virtual
async def test_a_look_held_open_sees_the_end_at_once_and_costs_one_request_for_each_wait():
    host = Host(60.0)
    async with connected(host, Ticks(long_poll_s=25.0)) as svc:
        jobs = [await svc.go.submit() for _ in range(20)]
        await asyncio.gather(*jobs)
    assert host.now == pytest.approx(60.0, abs=1e-3)
    assert host.count("look") == 20 * 3
    assert host.most_held == 20


@virtual
async def test_at_most_32_looks_are_held_open():
    host = Host(60.0)
    async with connected(host, Ticks(long_poll_s=25.0)) as svc:
        jobs = [await svc.go.submit() for _ in range(40)]
        await asyncio.gather(*jobs)
    assert host.most_held == 32


@virtual
async def test_beyond_32_jobs_one_look_asks_for_many():
    host = Host(60.0)
    async with connected(host, Ticks(long_poll_s=25.0, poll_batch=100)) as svc:
        jobs = [await svc.go.submit(n=n) for n in range(300)]
        assert [(await job)["n"] for job in jobs] == list(range(300))
    assert host.count("look") < 100
    assert host.most_held <= 32
    assert max(len(seen.tickets) for seen in host.seen) == 100
    assert host.now < 63


@virtual
async def test_jobs_that_end_one_by_one_are_all_seen_soon_with_few_looks():
    host = Host()
    async with connected(host, Ticks(long_poll_s=25.0, poll_batch=200)) as svc:
        jobs = [await svc.go.submit(n=n, takes_s=10 + n / 10) for n in range(200)]
        late = []
        for job in jobs:
            await job
            late.append(host.now - host.jobs[job.id].at - host.jobs[job.id].takes_s)
    assert max(late) < 1.0
    assert host.count("look") < 600


@virtual
async def test_many_jobs_of_a_host_that_holds_no_look_open_share_looks():
    host = Host(60.0)
    async with connected(host, Ticks(poll_batch=100)) as svc:
        jobs = [await svc.go.submit() for _ in range(100)]
        await asyncio.gather(*jobs)
    assert host.count("look") < 300


@virtual
async def test_a_pause_the_host_asks_for_is_kept():
    host = Host(0.0)
    host.next("submit", None)
    host.next("look", reply({"ticket": "t1", "phase": "working", "again_s": 30}))
    async with connected(host) as svc:
        job = await svc.go.submit(takes_s=1)
        await job
    first, second = host.times("look")
    assert second - first == pytest.approx(30, abs=0.01)


@virtual
async def test_a_pause_the_host_asks_for_is_kept_among_many_too():
    host = Host(60.0)

    def slow_down(request):
        tickets = [
            part.removeprefix("ticket=") for part in request.url.partition("?")[2].split("&") if "ticket" in part
        ]
        return reply([{"ticket": t, "phase": "working", "again_s": 30} for t in tickets])

    async with connected(host, Ticks(poll_batch=100)) as svc:
        jobs = [await svc.go.submit() for _ in range(50)]
        host.always["look"] = slow_down
        await asyncio.sleep(1)
        seen = len(host.seen)
        more = [await svc.go.submit() for _ in range(10)]
        host.always["look"] = None
        await asyncio.sleep(5)
        again = {t for each in host.seen[seen:] for t in each.tickets}
        assert not again & {job.id for job in jobs}
        assert {job.id for job in more} <= again


@virtual
async def test_following_can_be_switched_off_and_waiting_follows_again():
    host = Host(5.0)
    async with connected(host) as svc:
        job = await svc.go.options(follow=False).submit()
        await asyncio.sleep(60)
        assert host.count("look") == 0
        assert await job == {}


@virtual
async def test_a_job_is_looked_at_once_at_a_time():
    host = Host(30.0)
    open_looks = set()

    async def answer(request):
        (ticket,) = [
            value
            for key, value in [part.split("=") for part in request.url.partition("?")[2].split("&")]
            if key == "ticket"
        ]
        assert ticket not in open_looks
        open_looks.add(ticket)
        await asyncio.sleep(3)
        open_looks.discard(ticket)
        return reply(host.told(ticket))

    host._look = answer
    async with connected(host) as svc:
        jobs = [await svc.go.submit() for _ in range(10)]
        await asyncio.gather(*jobs, *(job.exception() for job in jobs))


@virtual
async def test_jobs_that_end_in_the_order_they_were_begun_cost_two_looks_each_and_are_seen_soon():
    host = Host()
    async with connected(host, Ticks(poll_per_s=180.0, poll_min_s=0.05, poll_max_s=1.0)) as svc:
        jobs = [await svc.go.submit(n=n, takes_s=2 + n / 100) for n in range(1000)]
        await asyncio.gather(*jobs)
    assert host.now < 12 + 1
    assert host.count("look") <= 2.1 * 1000


@virtual
async def test_a_job_that_outlasts_those_begun_after_it_is_looked_at_twice_as_often_at_most():
    looks = []
    for others in (0, 200):
        host = Host()
        async with connected(host, Ticks(poll_min_s=1.0, poll_max_s=1.0)) as svc:
            last = await svc.go.submit(takes_s=60)
            jobs = [await svc.go.submit(takes_s=n / 4) for n in range(others)]
            await asyncio.gather(last, *jobs)
        looks.append(sum(seen.tickets == ["t1"] for seen in host.seen))
    alone, among_others = looks
    assert among_others <= 2 * alone + 1


@virtual
async def test_an_end_brings_no_look_at_another_endpoints_jobs():
    host = Host()
    async with connected(host, Ticks(poll_min_s=10.0, poll_max_s=10.0), endpoints=[ENDPOINT, OTHER]) as svc:
        other = await svc.other.submit(takes_s=25)
        await svc.go(takes_s=5)
        await other
    assert [seen.at for seen in host.seen if seen.tickets == ["t1"]] == pytest.approx([10, 20, 30])


@virtual
async def test_two_services_at_one_address_share_the_budget_of_looks():
    host = Host(5.0)
    async with connected(host, Ticks(poll_per_s=10.0)) as svc:
        engine = svc._engine
        other = AsyncService(Engine(engine.provider, engine.binding, MemorySender(host)), [ENDPOINT])
        async with other:
            jobs = [await service.go.submit() for service in (svc, other) for _ in range(30)]
            await asyncio.gather(*jobs)
    looks = host.times("look")
    assert max(sum(at <= later < at + 1 for later in looks) for at in looks) <= 11


@virtual
async def test_jobs_that_are_left_of_a_crowd_are_seen_as_soon_as_if_they_were_alone():
    host = Host()
    facts = {"poll_per_s": 20.0, "poll_min_s": 0.5, "poll_max_s": 1.0}
    async with connected(host, Ticks(**facts), endpoints=[ENDPOINT, OTHER]) as svc:
        crowd = [await svc.go.submit(takes_s=5) for _ in range(200)]
        longest = await svc.other.submit(takes_s=600)
        left = [await svc.other.submit(takes_s=18) for _ in range(10)]
        await asyncio.gather(*crowd)
        assert host.now < 17
        await asyncio.gather(*left)
        assert host.now < 18 + 2
        await longest.cancel()
