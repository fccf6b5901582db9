"""The service benchmarks/files.py calls: a file in, its size out; and a large file out."""

import asyncio
import sys

from farcall_server import FastTaskAPI, File

app = FastTaskAPI()


@app.task_endpoint("/size", queue_size=10_000, concurrency=4)
async def size(f: File) -> int:
    return f.size


@app.task_endpoint("/look_at", queue_size=10_000, concurrency=32)
async def look_at(f: File) -> int:
    await asyncio.sleep(0.005)
    return f.size


@app.task_endpoint("/film")
async def film() -> File:
    return File.from_path(sys.argv[1])


if __name__ == "__main__":
    app.start(port=0)
