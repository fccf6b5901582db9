"""The service the benchmarks call: one task that does nothing."""

import sys

from farcall_server import FastTaskAPI

app = FastTaskAPI()


@app.task_endpoint("/add", queue_size=10_000, concurrency=4)
async def add(a: int, b: int = 1) -> int:
    return a + b


if __name__ == "__main__":
    app.start(port=int(sys.argv[1]))
