"""A press on BentoML: direct calls, a file in and out, output as it comes, and a task."""

import time
from collections.abc import Generator
from pathlib import Path

import bentoml
from bentoml.exceptions import NotFound
from pydantic import Field


@bentoml.service(traffic={"timeout": 30}, workers=1)
class Press:
    @bentoml.api
    def repeat(self, text: str, times: int = Field(default=2, le=100)) -> str:
        return text * times

    @bentoml.api
    def count(self, words: list[str]) -> dict[str, int]:
        return {word: words.count(word) for word in words}

    @bentoml.api
    def press(self, photo: Path, context: bentoml.Context) -> Path:
        made = Path(context.temp_dir) / "pressed.bin"
        made.write_bytes(photo.read_bytes()[::-1])
        return made

    @bentoml.api
    def letters(self, text: str) -> Generator[str, None, None]:
        yield from text

    @bentoml.api
    def events(self, words: list[str]) -> Generator[str, None, None]:
        for word in words:
            yield f"data: {word}\n\n"

    @bentoml.api
    def find(self, name: str) -> str:
        raise NotFound(f"There is no {name}.")

    @bentoml.api
    def boom(self) -> str:
        raise RuntimeError("kaput")

    @bentoml.task
    def slow(self, number: int, seconds: float = 0.3) -> int:
        time.sleep(seconds)
        return number * number
