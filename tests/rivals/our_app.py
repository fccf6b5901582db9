"""This project's server, for other projects' clients: `python our_app.py PORT [KEY]`."""

import sys
import time

from farcall_server import FastTaskAPI, File, JobProgress
from kitchen_png import PNG

app = FastTaskAPI(queue="memory://", api_keys=sys.argv[2:])


@app.task_endpoint("/add")
def add(a: int, b: float = 0.5) -> float:
    return a + b


@app.task_endpoint("/size")
def size(photo: File) -> dict[str, int]:
    return {"size": len(photo.read()), "sum": sum(photo.read())}


@app.task_endpoint("/paint")
def paint() -> File:
    return File.from_bytes(PNG, name="p.png", media_type="image/png")


@app.task_endpoint("/fry")
def fry(job_progress: JobProgress, steps: int = 4) -> str:
    for step in range(steps):
        job_progress.set_status(step / steps, f"step {step}")
        time.sleep(0.7)
    return "fried"


@app.task_endpoint("/burn")
def burn(what: str) -> None:
    raise ValueError(f"{what} burnt")


@app.task_endpoint("/tell")
def tell(words: int = 3):
    for word in range(words):
        yield f"word{word} "
        time.sleep(0.1)


@app.task_endpoint("/hold", concurrency=4)
def hold(job_progress: JobProgress) -> None:
    while True:
        job_progress.raise_if_cancelled()
        time.sleep(0.01)


@app.endpoint("/plain")
def plain(name: str) -> dict[str, str]:
    return {"hello": name}


if __name__ == "__main__":
    app.start(port=int(sys.argv[1]))
