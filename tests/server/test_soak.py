"""Killed twenty times under load, a server ends every job it has accepted, once, and begins none twice unasked."""

import asyncio
import collections
import os
import random
import subprocess
import sys

import aiohttp

KILLS = 20
CLIENTS = 8
ENDED = {"Finished", "Failed"}

SERVICE = """
import os
from farcall_server import FastTaskAPI

app = FastTaskAPI(queue={queue!r})
out = os.open({ran!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@app.task_endpoint("/once", queue_size=10000, concurrency=2)
def once(n: int):
    os.write(out, b"%d\\n" % n)
    return n

@app.task_endpoint("/again", queue_size=10000, retries=1000)
async def again(n: int):
    return n

app.start(port=0)
"""


class Load:
    """Clients that submit as fast as they can, and remember what was accepted and what they were told."""

    def __init__(self, script):
        self.script = script
        self.accepted, self.told = {}, {}
        self.numbers = iter(range(10**9))
        self.url = ""

    async def start(self):
        command = [sys.executable, str(self.script)]
        self.process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, text=True)
        line = await asyncio.to_thread(self.process.stdout.readline)
        self.url = line.split(" serves at ")[1].split()[0]

    def kill(self):
        self.process.kill()
        self.process.wait(20)
        self.process.stdout.close()

    async def submit(self, session, until):
        while not until.is_set():
            n = next(self.numbers)
            path = random.choice(("/once", "/again"))  # noqa: S311 - load, no secret
            headers = {"prefer": "wait=1"} if n % 2 else {}
            try:
                async with session.post(self.url + path, json={"n": n}, headers=headers) as reply:
                    job = await reply.json()
            except (aiohttp.ClientError, ValueError):
                return  # killed; whether it was accepted nobody knows
            self.accepted[job["id"]] = n
            if job["status"] in ENDED:
                self.told[job["id"]] = job["status"]

    async def burst(self, length_s):
        until = asyncio.Event()
        async with aiohttp.ClientSession() as session:
            clients = [asyncio.create_task(self.submit(session, until)) for _ in range(CLIENTS)]
            await asyncio.sleep(length_s)
            await asyncio.to_thread(self.kill)
            until.set()
            await asyncio.gather(*clients)

    async def ends(self):
        async with aiohttp.ClientSession() as session:
            return {job_id: await self.end(session, job_id) for job_id in self.accepted}

    async def end(self, session, job_id):
        while True:
            async with session.get(f"{self.url}/status/{job_id}?wait=20") as reply:
                assert reply.status == 200, f"{job_id} was accepted and is lost"
                job = await reply.json()
            if job["status"] in ENDED:
                return job


def test_twenty_kills_under_load_lose_no_job_and_end_none_twice(tmp_path):
    ran, script = tmp_path / "ran", tmp_path / "service.py"
    script.write_text(SERVICE.format(queue=f"sqlite:///{tmp_path}/jobs.db", ran=str(ran)))
    load = Load(script)

    async def soak():
        for _ in range(KILLS):
            await load.start()
            await load.burst(random.uniform(0.05, 0.5))  # noqa: S311 - as above
        await load.start()
        try:
            return await load.ends()
        finally:
            load.kill()

    ends = asyncio.run(soak())
    assert len(ends) > KILLS
    for job_id, job in ends.items():
        if job["status"] == "Finished":
            assert job["result"] == load.accepted[job_id]
        else:
            assert job["error"] == "server stopped while running"
    assert {job_id: ends[job_id]["status"] for job_id in load.told} == load.told
    runs = collections.Counter(int(n) for n in ran.read_text().split())
    assert max(runs.values()) == 1
    failed = sum(job["status"] == "Failed" for job in ends.values())
    sys.stdout.write(f"{len(ends)} accepted, {failed} stopped while running, process {os.getpid()}\n")
