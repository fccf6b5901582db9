"""A service like any other; nothing in it knows of Runpod."""

import time
from contextlib import asynccontextmanager

from farcall_server import FastTaskAPI, File, JobProgress

model = {}


@asynccontextmanager
async def lifespan(_):
    model["voice"] = str.upper  # load what takes long here: no job is taken before it is there
    yield


app = FastTaskAPI(title="Voice", lifespan=lifespan)


@app.task_endpoint("/speak")
def speak(job_progress: JobProgress, text: str, times: int = 1) -> File:
    """Say a text, so many times."""
    spoken = []
    for done in range(times):
        job_progress.raise_if_cancelled()
        job_progress.set_status(done / times, f"speaking, {done + 1} of {times}")
        spoken.append(model["voice"](text))
        time.sleep(0.1)
    return File.from_bytes("\n".join(spoken).encode(), name="speech.txt")


@app.task_endpoint("/tell")
def tell(text: str):
    """The text word by word, as it comes."""
    for word in text.split():
        yield f"{word} "


if __name__ == "__main__":
    app.start()
