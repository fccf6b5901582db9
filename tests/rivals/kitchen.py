"""What both job servers cook; each brings its own types."""

import threading
import time

from kitchen_png import PNG
from media_toolkit import MediaFile


def cook(app, endpoint):
    """Register the dishes; `endpoint(path, queue_size=…)` is the server's decorator for jobs."""
    gate = threading.Event()

    @endpoint("/add")
    def add(a: int, b: float = 0.5) -> float:
        return a + b

    @endpoint("/greet")
    def greet(name: str, loud: bool = False, guests: list[str] = []):  # noqa: B006 - the server copies it
        return {"greeting": f"Hi {name}{'!' * loud}", "guests": guests, "nothing": None}

    @endpoint("/size")
    def size(photo: MediaFile):
        return {"size": len(photo.to_bytes()), "start": list(photo.to_bytes()[:4])}

    @endpoint("/paint")
    def paint():
        return {"picture": MediaFile(file_name="p.png").from_bytes(PNG), "count": 1}

    @endpoint("/fry")
    def fry(job_progress, steps: int = 4):
        for step in range(steps):
            job_progress.set_status(step / steps, f"step {step}")
            time.sleep(0.4)
        return "fried"

    @endpoint("/burn")
    def burn(what: str):
        raise ValueError(f"{what} burnt")

    @endpoint("/narrow", queue_size=5)
    def narrow(number: int):
        return number

    @endpoint("/hold")
    def hold(seconds: float):
        gate.wait(seconds)
        return seconds
