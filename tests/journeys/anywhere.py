"""The service that runs anywhere: in the test's process, on a local server, as a Runpod worker."""

import asyncio
import os
import threading
import time
from collections import defaultdict

from farcall_server import FastTaskAPI, File, JobProgress

AT_ONCE = {"concurrency": 64, "queue_size": 1000}
PATIENCE_S = 30


def freeze(job_progress: JobProgress) -> None:
    """Runs in a process of its own, says which, and looks nowhere."""
    job_progress.message = str(os.getpid())
    time.sleep(3600)


def make_app(*, streams=True):  # noqa: C901, PLR0915 - one function an endpoint
    """A fresh app."""
    app = FastTaskAPI(title="Anywhere", shutdown_grace_s=0.2)
    released = defaultdict(threading.Event)
    noticed = defaultdict(threading.Event)

    @app.task_endpoint("/add", **AT_ONCE)
    def add(a: int, b: int = 1) -> int:
        return a + b

    @app.task_endpoint("/add_awaiting", **AT_ONCE)
    async def add_awaiting(a: int, b: int = 1) -> int:
        await asyncio.sleep(0)
        return a + b

    @app.endpoint("/plain", methods=["GET", "POST"])
    def plain(q: str = "x", numbers: list[int] | None = None) -> dict:
        return {"q": q, "numbers": numbers}

    @app.task_endpoint("/echo", **AT_ONCE)
    def echo(value: dict) -> dict:
        return value

    @app.task_endpoint("/nothing", **AT_ONCE)
    def nothing() -> None:
        return None

    @app.task_endpoint("/make_fries", **AT_ONCE)
    def make_fries(job_progress: JobProgress, name: str) -> str:
        """Half way, then the rest once released."""
        job_progress.set_status(0.5, "half way")
        job_progress.log("potatoes cut")
        assert released[name].wait(PATIENCE_S)
        job_progress.set_status(0.9, "salting")
        job_progress.log("fried")
        return f"fries for {name}"

    @app.task_endpoint("/steps", **AT_ONCE)
    def steps(job_progress: JobProgress, n: int) -> int:
        for step in range(n):
            job_progress.set_status(step / n, f"step {step}")
            job_progress.log(f"line {step}")
        return n

    @app.endpoint("/release")
    def release(name: str) -> None:
        released[name].set()

    @app.task_endpoint("/block", **AT_ONCE)
    def block(job_progress: JobProgress, name: str) -> None:
        """Runs until it is told to end, and looks for that itself."""
        job_progress.message = "blocking"
        try:
            while True:
                job_progress.raise_if_cancelled()
                time.sleep(0.01)
        finally:
            noticed[name].set()

    @app.task_endpoint("/wait", **AT_ONCE)
    async def wait(job_progress: JobProgress, name: str) -> None:
        """Runs until it is told to end, and awaits meanwhile."""
        job_progress.message = "awaiting"
        try:
            await asyncio.sleep(3600)
        finally:
            noticed[name].set()

    app.task_endpoint("/freeze", isolation="process", cancel_grace_s=0.1, **AT_ONCE)(freeze)

    @app.endpoint("/has_noticed")
    def has_noticed(name: str) -> bool:
        return noticed[name].wait(PATIENCE_S)

    @app.task_endpoint("/boom", **AT_ONCE)
    def boom(text: str) -> None:
        raise ValueError(f"kaput {text}")

    @app.task_endpoint("/boom_awaiting", **AT_ONCE)
    async def boom_awaiting(job_progress: JobProgress, text: str) -> None:
        job_progress.log("about to fail")
        raise ValueError(f"kaput {text}")

    @app.task_endpoint("/leave", **AT_ONCE)
    def leave() -> None:
        raise SystemExit(3)

    @app.task_endpoint("/unsayable", **AT_ONCE)
    def unsayable() -> object:
        return {"inside": object()}

    @app.task_endpoint("/dawdle", timeout_s=0.2, **AT_ONCE)
    async def dawdle() -> None:
        await asyncio.sleep(3600)

    @app.task_endpoint("/turn", **AT_ONCE)
    def turn(img: File) -> File:
        return File.from_bytes(img.read()[::-1], name=img.name, media_type=img.media_type)

    @app.task_endpoint("/sizes", **AT_ONCE)
    def sizes(imgs: list[File]) -> dict:
        return {"sizes": [len(img.read()) for img in imgs], "first": imgs[0]}

    if streams:
        _add_streams(app)
    return app


def _add_streams(app):
    @app.task_endpoint("/tell", **AT_ONCE)
    def tell(words: list[str]):
        yield from words

    @app.task_endpoint("/count", **AT_ONCE)
    async def count(n: int):
        for number in range(n):
            await asyncio.sleep(0)
            yield {"number": number, "error": None}

    @app.task_endpoint("/draw", **AT_ONCE)
    def draw():
        yield File.from_bytes(b"first", name="first.png")
        yield {"error": "this is no error", "file": File.from_bytes(b"second", name="second.png")}

    @app.task_endpoint("/stumble", **AT_ONCE)
    def stumble():
        yield "one step"
        raise ValueError("stumbled")


app = make_app()
unstreamed = make_app(streams=False)

if __name__ == "__main__":
    app.start()
