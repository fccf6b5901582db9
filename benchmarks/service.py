"""The service the benchmarks call, whose functions do nothing: `python service.py [QUEUE [CONCURRENCY]]`."""

import asyncio
import sys

from farcall_server import FastTaskAPI

QUEUE, CONCURRENCY = (*sys.argv[1:], *(None, "4")[len(sys.argv) - 1 :])

app = FastTaskAPI(queue=QUEUE)


@app.task_endpoint("/noop", queue_size=10_000, concurrency=int(CONCURRENCY))
def noop(a: int, b: int = 1) -> int:
    return a + b


@app.task_endpoint("/add", queue_size=10_000, concurrency=100)
async def add(a: int, b: int = 1) -> int:
    return a + b


@app.endpoint("/plain", methods=["GET", "POST"])
def plain(a: int, b: int = 1) -> int:
    return a + b


@app.endpoint("/aplain", methods=["GET", "POST"])
async def aplain(a: int, b: int = 1) -> int:
    return a + b


released = asyncio.Event()


@app.task_endpoint("/hold")
async def hold() -> str:
    await released.wait()
    return "released"


@app.endpoint("/waiting", methods=["GET"])
async def waiting() -> int:
    return sum(len(job.listeners) for job in app.store._jobs.values())  # noqa: SLF001


@app.endpoint("/release")
async def release() -> None:
    released.set()


if __name__ == "__main__":
    app.start(port=0)
