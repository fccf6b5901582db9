"""A service of ours that takes every kind of parameter and gives back every kind of result."""

import asyncio
import dataclasses
import datetime as dt
import enum
import sys
from typing import Annotated, Any, Literal

import fastapi
import numpy as np
from farcall_server import FastTaskAPI, File, JobProgress
from media_toolkit import ImageFile, MediaFile
from pydantic import BaseModel, Field

app = FastTaskAPI(queue="memory://", max_upload_bytes=5_000_000, result_ttl_s=5)


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(BaseModel):
    width: Annotated[int, Field(ge=1, le=4000)]
    height: float = 1.0
    names: list[str] = []


@dataclasses.dataclass
class Answer:
    colour: Colour
    sizes: list[Size]


@app.task_endpoint("/scalars", queue_size=10_000)
def scalars(text: str, number: int = 1, share: float = 0.5, flag: bool = False, colour: Colour = Colour.RED) -> Any:
    return [text, number, share, flag, colour, float("nan")]


@app.task_endpoint("/containers", queue_size=10_000)
def containers(
    items: list[int], table: dict[str, float], pair: tuple[int, str] = (1, "a"), words: set[str] = frozenset()
) -> Any:
    return {"items": items, "table": table, "pair": pair, "words": sorted(words)}


@app.task_endpoint("/models", queue_size=10_000)
def models(size: Size, more: list[Size] = [], maybe: Size | None = None) -> Answer:  # noqa: B006
    return Answer(Colour.BLUE, [size, *more, *([maybe] if maybe else [])])


class Album(BaseModel):
    name: str
    pictures: list[File] = []


@app.task_endpoint("/album", queue_size=10_000)
def album(album: Album) -> Any:
    return [len(picture.read()) for picture in album.pictures]


@app.task_endpoint("/moments", queue_size=10_000)
async def moments(when: dt.datetime, day: dt.date | None = None, way: Literal["up", "down"] = "up") -> Any:
    return {"when": when, "day": day, "way": way}


@app.task_endpoint("/file", queue_size=10_000)
def file(photo: File, more: list[File] = [], note: str = "") -> Any:  # noqa: B006
    return {"files": [photo, *more], "note": note}


@app.task_endpoint("/media", queue_size=10_000)
def media(photo: ImageFile, upload: fastapi.UploadFile | None = None, media: MediaFile | None = None) -> Any:
    return [photo, media, upload.size if upload else None]


@app.task_endpoint("/steps", queue_size=10_000, concurrency=4)
async def steps(job_progress: JobProgress, count: Annotated[int, Field(ge=0, le=5)] = 2):
    for step in range(count):
        job_progress.set_status(step / count, f"step {step}")
        await asyncio.sleep(0)
        yield {"step": step, "array": np.arange(3)}


@app.task_endpoint("/items/{item}/{number}", queue_size=10_000)
def items(item: str, number: int, extra: dict[str, Any] = {}) -> Any:  # noqa: B006
    return [item, number, extra]


@app.endpoint("/plain", methods=["GET", "POST", "DELETE"])
def plain(name: str, values: list[float] = [], photo: File | None = None) -> Any:  # noqa: B006
    return {"name": name, "sum": float(np.sum(values)), "photo": photo}


@app.endpoint("/echo")
async def echo(photo: File) -> File:
    return photo


if __name__ == "__main__":
    app.start(port=int(sys.argv[1]))
