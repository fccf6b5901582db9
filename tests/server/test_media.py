"""Functions that take and return media-toolkit's objects, and what else holds a picture."""

import asyncio

import farcall
import numpy as np
import pytest
from farcall import File
from farcall.media import ImageFile, Kind, MediaFile, taking
from farcall_server import FastTaskAPI
from PIL import Image

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def make_app(**how):
    app = FastTaskAPI(**how)

    @app.task_endpoint("/flip")
    def flip(img: ImageFile) -> ImageFile:
        assert type(img) is ImageFile
        return ImageFile(file_name="flipped.png").from_np_array(img.to_np_array()[::-1], img_type="png")

    @app.task_endpoint("/flip_async")
    async def flip_async(img: ImageFile, other: ImageFile | None = None):
        assert type(img) is ImageFile
        assert other is None or type(other) is ImageFile
        return {"img": img, "other": None if other is None else other.file_name}

    @app.task_endpoint("/names")
    def names(files: list[MediaFile]) -> list:
        yield from (file.file_name for file in files)

    @app.endpoint("/plain")
    def plain(img: ImageFile) -> list:
        return list(img.to_np_array().shape)

    @app.task_endpoint("/picture")
    def picture():
        return Image.new("RGB", (3, 2), "red")

    @app.task_endpoint("/large")
    def large(f: MediaFile) -> MediaFile:
        return f

    return app


@pytest.fixture(params=["in memory", "durable"])
def svc(request, serve, tmp_path):
    app = make_app() if request.param == "in memory" else make_app(queue=f"sqlite:///{tmp_path}/jobs.db")
    with farcall.connect(str(serve(app).base_url)) as service:
        yield service


def png(name="cat.png"):
    content = ImageFile().from_np_array(PIXELS, img_type="png").to_bytes()
    return File.from_bytes(content, name=name, media_type="image/png")


def test_a_function_is_given_the_media_its_annotation_says_and_may_return_it(svc):
    back = svc.flip(img=png())
    assert (back.name, back.media_type) == ("flipped.png", "image/png")
    assert back.to_numpy().shape == (4, 4, 3)
    both = svc.flip_async(img=png(), other=png("dog.png"))
    assert both["img"].read() == png().read()
    assert both["other"] == "dog.png"
    assert svc.flip_async(img=png())["other"] is None
    assert svc.plain(img=png()) == [4, 4, 3]


def test_lists_and_generators_work_as_with_files(svc):
    job = svc.names.submit(files=[png("a.png"), png("b.png")])
    assert list(job.stream()) == ["a.png", "b.png"]


def test_a_picture_of_pil_is_a_png(svc):
    assert svc.picture().to_pil().size == (3, 2)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_large_media_object_is_still_there_when_it_is_fetched(svc):
    content = b"x" * 3_000_000
    assert svc.large(f=content).read() == content


def test_the_description_says_that_it_is_a_file():
    app = make_app()
    described = asyncio.run(_described(app))
    assert described["parameters"]["img"].type == taking(File, Kind.IMAGE)
    assert described["names"] == {"flip", "flip_async", "names", "plain", "picture", "large"}


async def _described(app):
    async with farcall.connect_async(app) as svc:
        return {"parameters": svc.flip.spec.parameters, "names": set(svc.endpoints)}
