"""What our worker adds to a Runpod job: from the job taken to its output posted, beside a minimal handler of the SDK.

By whole workers behind the emulator, as Runpod would count it (`executionTime`): at most 1.5 times the minimal one's.
And what is added to a job, by the SDK's own code alone, without the tenth of a second after which a worker looks what
it was given; `--one ours|minimal` is one such run.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MOST = 1.5
JOBS = 300
WORKER_JOBS = 40

MINIMAL = """
import runpod

async def handler(job):
    return {"result": job["input"]["a"]}

if __name__ == "__main__":
    runpod.serverless.start({"handler": handler, "concurrency_modifier": lambda _: 40})
"""
OURS = """
from farcall_server import FastTaskAPI

app = FastTaskAPI()

@app.task_endpoint("/add", concurrency=40)
def add(a: int) -> int:
    return a

if __name__ == "__main__":
    app.start()
"""


# --- whole workers --------------------------------------------------------------------------------------------------


def by_workers(program):
    """The median `executionTime` of jobs that are taken together, in milliseconds."""
    import httpx
    from farcall_runpod.emulator import Emulator, Endpoint

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "app.py"
        file.write_text(program)
        with Emulator(Endpoint(program=file, log_file=Path(folder) / "log")) as emulator:
            client = httpx.Client(base_url=emulator.url, headers={"authorization": "Bearer any"}, timeout=60)
            client.post("/runsync", json={"input": {"path": "/add", "a": 0}})
            ids = [
                client.post("/run", json={"input": {"path": "/add", "a": number}}).json()["id"]
                for number in range(WORKER_JOBS)
            ]
            return statistics.median(_execution_ms(client, job_id) for job_id in ids)


def _execution_ms(client, job_id):
    while True:
        look = client.get(f"/status/{job_id}").json()
        if look["status"] == "COMPLETED":
            return look["executionTime"]
        time.sleep(0.02)


# --- the SDK's code alone -------------------------------------------------------------------------------------------


def alone(name):
    """Seconds a job, by the SDK's code in a process of its own that posts to a server of this one."""
    run = [sys.executable, __file__, "--one", name]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


async def one(name):
    from aiohttp import web

    posted = 0

    async def take(request):
        nonlocal posted
        await request.read()
        posted += 1
        return web.json_response({})

    server = web.Application()
    server.add_routes([web.post("/done", take)])
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    os.environ["RUNPOD_WEBHOOK_POST_OUTPUT"] = f"http://127.0.0.1:{runner.addresses[0][1]}/done?job=$ID"
    os.environ["RUNPOD_DEBUG_LEVEL"] = "ERROR"
    seconds = await _per_job(name)
    assert posted > JOBS
    await runner.cleanup()
    print(seconds)


async def _per_job(name):
    from runpod.http_client import AsyncClientSession
    from runpod.serverless.modules.rp_job import handle_job

    configuration = _configuration(name)
    async with AsyncClientSession() as session:
        for number in range(30):
            await handle_job(session, configuration, {"id": f"w{number}", "input": {"path": "/add", "a": number}})
        began = time.perf_counter()
        for number in range(JOBS):
            await handle_job(session, configuration, {"id": f"j{number}", "input": {"path": "/add", "a": number}})
        return (time.perf_counter() - began) / JOBS


def _configuration(name):
    module = {"__name__": "worker"}
    exec(MINIMAL if name == "minimal" else OURS, module)
    if name == "minimal":
        return {"handler": module["handler"]}
    from farcall_runpod.home import Home
    from farcall_runpod.serving import configuration
    from farcall_runpod.watching import Marks
    from farcall_runpod.worker import Worker
    from farcall_server.inprocess import InProcess

    home, inside = Home(), InProcess(module["app"])
    home.run(inside.start())
    return configuration(Worker(app=inside, home=home, marks=Marks(), deployed=False))


def main() -> int:
    minimal_ms, ours_ms = (by_workers(program) for program in (MINIMAL, OURS))
    print(f"worker      minimal {minimal_ms:6.1f} ms   ours {ours_ms:6.1f} ms   x{ours_ms / minimal_ms:.2f}")
    minimal, ours = (min(alone(name) for _ in range(3)) for name in ("minimal", "ours"))
    added = (ours - minimal) * 1e3
    print(f"SDK alone   minimal {minimal * 1e3:6.2f} ms   ours {ours * 1e3:6.2f} ms   +{added:.2f} ms a job")
    return ours_ms / minimal_ms > MOST


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        asyncio.run(one(sys.argv[2]))
        os._exit(0)
    raise SystemExit(main())
