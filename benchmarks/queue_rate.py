"""No-op jobs a second through a server's queue, durable and in memory, with a raw HTTP load."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

JOBS = 4000
CLIENTS = 32
SERVICE = """
from farcall_server import FastTaskAPI
app = FastTaskAPI(queue={queue!r})

@app.task_endpoint("/noop", queue_size=1000, concurrency={concurrency})
def noop(n: int) -> int:
    return n

@app.task_endpoint("/anoop", queue_size=1000, concurrency=100)
async def anoop(n: int) -> int:
    return n

app.start(port=0)
"""
OWN = {"accept": "application/vnd.farcall.job+json"}


async def waiting(session: aiohttp.ClientSession, url: str, n: int) -> None:
    """One request: submit, and wait for the end."""
    async with session.post(url, json={"n": n}, headers={**OWN, "prefer": "wait=20"}) as reply:
        job = await reply.json(content_type=None)
        assert job["result"] == n, job


async def polling(session: aiohttp.ClientSession, url: str, n: int) -> None:
    """Two or more: submit, then long polls."""
    async with session.post(url, json={"n": n}, headers=OWN) as reply:
        job = await reply.json(content_type=None)
    root = url.rpartition("/")[0]
    while job["state"] in {"queued", "running"}:
        rev = job["data"]["rev"]
        async with session.get(f"{root}/status/{job['id']}?wait=20&seen={rev}", headers=OWN) as reply:
            job = await reply.json(content_type=None)
    assert job["result"] == n, job


async def rate(url: str, kind: object, *, jobs: int = JOBS, clients: int = CLIENTS) -> tuple[float, float]:
    """Jobs a second, and the median of one in milliseconds."""
    numbers, took = iter(range(jobs)), []

    async def client() -> None:
        for n in numbers:
            start = time.perf_counter()
            await kind(session, url, n)  # type: ignore[operator]
            took.append(time.perf_counter() - start)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        start = time.perf_counter()
        await asyncio.gather(*[client() for _ in range(clients)])
        return jobs / (time.perf_counter() - start), statistics.median(took) * 1000


def measure(queue: str, folder: Path, concurrency: int) -> None:
    """One server, each kind of load."""
    script = folder / "service.py"
    script.write_text(SERVICE.format(queue=queue, concurrency=concurrency))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        root = process.stdout.readline().split(" serves at ")[1].split()[0]
        try:
            for path in ("/noop", "/anoop"):
                asyncio.run(rate(root + path, waiting, jobs=500))
                for kind in (waiting, polling):
                    a_second, _ = asyncio.run(rate(root + path, kind))
                    _, alone_ms = asyncio.run(rate(root + path, kind, jobs=300, clients=1))
                    name = queue.partition(":")[0]
                    sys.stdout.write(
                        f"{name:7} {path:7} concurrency {concurrency:3} {kind.__name__:8} "
                        f"{a_second:6.0f} jobs/s  {alone_ms:5.2f} ms alone\n"
                    )
        finally:
            process.terminate()


def main() -> None:
    """Both stores, one and several threads."""
    for concurrency in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            for queue in ("memory://", f"sqlite:///{folder}/jobs.db"):
                measure(queue, Path(folder), concurrency)


if __name__ == "__main__":
    main()
