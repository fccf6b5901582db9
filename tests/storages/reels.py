"""A service of films: what it gives back is as large as a caller wants."""

import hashlib
import io

from farcall_server import FastTaskAPI, File

app = FastTaskAPI()


def film(name, size):
    """A file of so many bytes, which its name decides."""
    return File.from_bytes((hashlib.sha512(name.encode()).digest() * (size // 64 + 1))[:size], name=name)


@app.task_endpoint("/copy")
def copy(film: File) -> dict:
    """The film backwards, and what it was."""
    content = film.read()
    backwards = File.from_stream(io.BytesIO(content[::-1]), name="backwards.mp4")
    return {"sha256": hashlib.sha256(content).hexdigest(), "films": [backwards]}


@app.task_endpoint("/films")
async def films(sizes: list[int]) -> dict:
    """A film of each size."""
    return {"films": [film(f"{number}.mp4", size) for number, size in enumerate(sizes)]}


@app.endpoint("/poster")
def poster(size: int) -> File:
    """Just one, by a plain endpoint."""
    return film("poster.png", size)


@app.task_endpoint("/words")
def words(size: int) -> str:
    """No file, and long."""
    return "x" * size


@app.task_endpoint("/reel")
def reel(sizes: list[int]):
    """One film after the other."""
    for number, size in enumerate(sizes):
        yield {"film": film(f"{number}.mp4", size)}


if __name__ == "__main__":
    app.start()
