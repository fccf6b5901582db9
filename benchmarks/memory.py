"""What lies in the server's memory after 100,000 finished jobs, and while 5,000 long polls wait."""

import asyncio
import resource
import sys
import tempfile
import time

import aiohttp
import load
from serving import Program, running

JOBS, CLIENTS, MOST_MB = 100_000, 32, 200
POLLS, ARRIVE_S = 5000, 60


async def finish(program: Program) -> None:
    """Let so many jobs be run."""
    numbers = iter(range(JOBS))

    async def client() -> None:
        for n in numbers:
            await load.waiting(session, f"{program.url}/add", n)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*[client() for _ in range(CLIENTS)])


async def arrived(session: aiohttp.ClientSession, program: Program) -> None:
    """Return once all of the long polls wait on the server."""
    async with asyncio.timeout(ARRIVE_S):
        there = 0
        while there < POLLS:
            await asyncio.sleep(0.1)
            async with session.get(f"{program.url}/waiting") as reply:
                there = await reply.json()


async def hold(program: Program) -> tuple[float, float, int]:
    """Let so many clients wait for one job: MB meanwhile, seconds until all have an answer, and how many have."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:
        async with session.post(f"{program.url}/hold") as reply:
            job = await reply.json()

        async def poll() -> str:
            async with session.get(f"{program.url}/status/{job['id']}?wait=60&seen={rev}", headers=load.OWN) as reply:
                return (await reply.json(content_type=None))["state"]

        async with session.get(f"{program.url}/status/{job['id']}?wait=1", headers=load.OWN) as reply:
            rev = (await reply.json(content_type=None))["data"]["rev"]
        waiting = [asyncio.create_task(poll()) for _ in range(POLLS)]
        await arrived(session, program)
        early = sum(task.done() for task in waiting)
        held_mb = program.memory_mb
        began = time.perf_counter()
        async with session.post(f"{program.url}/release"):
            pass
        states = await asyncio.gather(*waiting)
        return held_mb, time.perf_counter() - began, states.count("succeeded") - early


def finished(name: str, queue: str) -> bool:
    """Many finished jobs in one store; whether they take as little as they must."""
    with running("service.py", queue) as program:
        before = program.memory_mb
        asyncio.run(finish(program))
        after = program.memory_mb
    print(f"{name}: {JOBS} finished jobs: {before:.0f} MB before, {after:.0f} MB after (under {MOST_MB})")
    return after < MOST_MB


def main() -> int:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as folder:
        good = [finished("sqlite", f"sqlite:///{folder}/jobs.db"), finished("memory", "memory://")]
    with running("service.py") as program:
        before = program.memory_mb
        held, took, answered = asyncio.run(hold(program))
    print(
        f"{POLLS} long polls: {before:.0f} MB before, {held:.0f} MB while they wait; "
        f"{answered} answered within {took:.1f} s of the end"
    )
    return 0 if all(good) and answered == POLLS else 1


if __name__ == "__main__":
    sys.exit(main())
