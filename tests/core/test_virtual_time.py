"""The loop without waiting, which the engine's tests rest on."""

import asyncio
import time

import pytest
from farcall import threads
from farcall.testing import VirtualLoop, run


def test_hours_pass_at_once_and_in_order():
    seen = []

    async def sleeper(seconds):
        await asyncio.sleep(seconds)
        seen.append((seconds, asyncio.get_running_loop().time()))

    async def main():
        await asyncio.gather(*(sleeper(s) for s in (7200, 0.5, 3600)))

    began = time.monotonic()
    run(main())
    assert [seconds for seconds, _ in seen] == [0.5, 3600, 7200]
    assert [at for _, at in seen] == pytest.approx([0.5, 3600, 7200])
    assert time.monotonic() - began < 5


def test_a_thread_is_waited_for_where_no_timer_runs():
    async def main():
        return await threads.run(lambda: time.sleep(0.01) or "done")

    assert run(main()) == "done"


def test_what_would_never_end_is_an_error(monkeypatch):
    monkeypatch.setattr("farcall.testing.virtual.THREADS_S", 0.05)
    loop = VirtualLoop()
    with pytest.raises(RuntimeError, match="never end"):
        loop.run_until_complete(loop.create_future())
    loop.close()
