"""Output that a host hands out look by look. On virtual time."""

import pytest
from core.ticks import Host, Ticks, connected, virtual
from farcall import errors, hookimpl
from farcall.jobs import Chunk, Step
from farcall.testing import reply


class Polled(Ticks):
    """The provider of a host that answers each look at the output with what is new."""

    def __init__(self, **facts):
        super().__init__(stream="polled", **facts)

    @hookimpl
    def farcall_read(self, answer, step, jobs):
        if step is Step.STREAM:
            return [Chunk(value=piece) for piece in answer.json()["new"]] if answer.ok else []
        return super().farcall_read(answer, step, jobs)


def new(*pieces):
    return reply({"new": list(pieces)})


async def streamed(host, **facts):
    async with connected(host, Polled(**facts)) as svc:
        job = await svc.go.submit()
        return [piece async for piece in job.stream()]


@virtual
async def test_pieces_come_in_order_until_the_job_has_ended_and_none_is_left():
    host = Host(5.0, always={"stream": new()})
    host.next("stream", new(1, 2), new(), new(3))
    host.next("stream", *[new()] * 2, new(4))
    assert await streamed(host) == [1, 2, 3, 4]
    assert host.times("stream")[-1] >= 5.0


@virtual
async def test_pieces_that_are_left_at_the_end_are_fetched():
    host = Host(0.0, always={"stream": new()})
    host.next("stream", new(1), new(2), new(3))
    assert await streamed(host) == [1, 2, 3]


@virtual
async def test_looks_in_vain_become_rare_up_to_the_longest_pause():
    host = Host(60.0, always={"stream": new()})
    assert await streamed(host, poll_max_s=2.0) == []
    assert host.count("stream") <= 60 / 2 + 10


@virtual
async def test_a_lost_answer_may_have_held_pieces_so_the_output_is_not_whole():
    host = Host(1.0, always={"stream": new()})
    host.next("stream", new(1), errors.Unreachable("the link broke"))
    with pytest.raises(errors.Unreachable, match="the link broke"):
        await streamed(host)


@virtual
async def test_a_look_that_was_one_too_many_is_taken_again():
    host = Host(1.0, always={"stream": new()})
    host.next("stream", reply({}, status=429), reply({}, status=503), new(1))
    assert await streamed(host) == [1]


@virtual
async def test_a_host_that_is_always_too_busy_is_given_up():
    host = Host(1.0, always={"stream": reply({}, status=429)})
    with pytest.raises(errors.Refused, match="429"):
        await streamed(host)


@virtual
async def test_a_job_without_output_has_no_pieces():
    host = Host(1.0, always={"stream": reply({}, status=404)})
    assert await streamed(host) == []
    assert host.count("stream") == 1
