"""The service that the journeys call."""

import asyncio
import datetime as dt
import enum
import threading
from dataclasses import dataclass

from farcall_server import FastTaskAPI, File, JobProgress
from pydantic import BaseModel


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int


class Model(BaseModel):
    when: dt.date


def make_app():  # noqa: C901 - one function an endpoint
    """A fresh app, and the gate its slow jobs wait at."""
    app = FastTaskAPI()
    app.gate = threading.Event()

    @app.task_endpoint("/make_fries", queue_size=100)
    def make_fries(job_progress: JobProgress, name: str, amount: int = 1):
        """Make fries, step by step."""
        for step in range(1, 4):
            job_progress.set_status(step / 4, f"step {step}")
        return f"{amount} portions of {name}"

    @app.task_endpoint("/add", queue_size=1000, concurrency=4)
    def add(a: int, b: int = 1) -> int:
        """Add two numbers."""
        return a + b

    @app.task_endpoint("/boom")
    def boom(text: str):
        raise ValueError(f"kaput {text}")

    @app.task_endpoint("/wait_at_gate", concurrency=8)
    def wait_at_gate(job_progress: JobProgress):
        job_progress.set_status(0.5, "at the gate")
        while not app.gate.wait(0.01):
            job_progress.raise_if_cancelled()
        return "through"

    @app.task_endpoint("/turn", concurrency=4)
    async def turn(img: File, times: int = 1) -> File:
        await asyncio.sleep(0)
        content = img.read()
        return File.from_bytes(content[::-1] if times % 2 else content, name=img.name, media_type=img.media_type)

    @app.task_endpoint("/sizes")
    def sizes(imgs: list[File]) -> dict:
        return {"sizes": [len(img.read()) for img in imgs], "first": imgs[0]}

    @app.task_endpoint("/echo")
    def echo(value: dict) -> dict:
        return value

    @app.task_endpoint("/typed")
    def typed(colour: Colour, point: Point, models: list[Model]) -> list:
        return [colour.value, point.x, [model.when.isoformat() for model in models]]

    @app.endpoint("/plain", methods=["GET", "POST"])
    def plain(q: str = "x") -> dict:
        return {"q": q}

    return app
