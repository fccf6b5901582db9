"""Many clients wait at once for one job, on a server that began with few open files."""

import asyncio
import resource
import signal
import subprocess
import sys

import aiohttp
import pytest
from farcall_fasttaskapi.envelope import MEDIA_TYPE

WAITERS, FEW = 1000, 128
SERVICE = """
import asyncio
from farcall_server import FastTaskAPI

app = FastTaskAPI(queue="memory://")
released = asyncio.Event()

@app.task_endpoint("/hold")
async def hold():
    await released.wait()
    return "released"

@app.endpoint("/waiting", methods=["GET"])
async def waiting() -> int:
    return sum(len(job.listeners) for job in app.store._jobs.values())

@app.endpoint("/release")
async def release() -> None:
    released.set()

app.start(port=0)
"""


@pytest.fixture
def many_files():
    """This process may open enough of them for its clients."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 8192), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def url(tmp_path, many_files):
    program = tmp_path / "service.py"
    program.write_text(SERVICE)
    limited = "import resource, runpy; limit = resource.RLIMIT_NOFILE; most = resource.getrlimit(limit)[1]\n"
    limited += f"resource.setrlimit(limit, ({FEW}, most)); runpy.run_path({str(program)!r}, run_name='__main__')"
    with subprocess.Popen([sys.executable, "-c", limited], stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().split(" serves at ")[1].split()[0]
        process.send_signal(signal.SIGKILL)


def test_a_thousand_long_polls_are_held_and_all_answered_at_the_end(url):
    async def wait_together():
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(url, connector=connector, headers={"accept": MEDIA_TYPE}) as session:

            async def json(method, path):
                async with session.request(method, path) as reply:
                    return await reply.json(content_type=None)

            job = await json("POST", "/hold")
            while job["state"] != "running":
                job = await json("GET", f"/status/{job['id']}?wait=20&seen={job['data']['rev']}")
            ask = f"/status/{job['id']}?wait=60&seen={job['data']['rev']}"
            polls = [asyncio.create_task(json("GET", ask)) for _ in range(WAITERS)]
            while await json("GET", "/waiting") < WAITERS:
                assert not any(poll.done() for poll in polls)
            await json("POST", "/release")
            return await asyncio.gather(*polls)

    looks = asyncio.run(asyncio.wait_for(wait_together(), 60))
    assert [look["result"] for look in looks] == ["released"] * WAITERS
