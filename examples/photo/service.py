"""A photo laboratory as a job service: `python service.py`, then open http://127.0.0.1:8000/docs."""

import io
from pathlib import PurePath

from farcall_server import FastTaskAPI, File, JobProgress
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

LONG_SIDE = 3072

app = FastTaskAPI(title="Photo laboratory")


def enlarge(photo):
    return ImageOps.contain(photo, (LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)


def smooth(photo):
    return photo.filter(ImageFilter.MedianFilter(3))


def balance(photo):
    return ImageOps.autocontrast(photo, cutoff=0.5, preserve_tone=True)


def colour(photo):
    return ImageEnhance.Color(photo).enhance(1.35)


def glow(photo):
    soft = photo.filter(ImageFilter.GaussianBlur(48))
    return Image.blend(photo, ImageChops.screen(photo, soft), 0.25)


def sharpen(photo):
    return photo.filter(ImageFilter.UnsharpMask(radius=10, percent=90, threshold=2))


def darken_corners(photo):
    light = ImageOps.invert(Image.radial_gradient("L")).point(lambda v: min(255, 90 + v * 2))
    return ImageChops.multiply(photo, light.resize(photo.size).convert("RGB"))


def frame(photo):
    framed = ImageOps.expand(ImageOps.expand(photo, 24, "white"), 128, "#1b1b1f")
    corner = (framed.width - 152, framed.height - 64)
    ImageDraw.Draw(framed).text(corner, "farcall", "#8f8f98", anchor="rm", font_size=64)
    return framed


STEPS = {
    "enlarging": enlarge,
    "smoothing the grain": smooth,
    "balancing the light": balance,
    "deepening the colours": colour,
    "letting it glow": glow,
    "sharpening": sharpen,
    "darkening the corners": darken_corners,
    "framing": frame,
}


@app.task_endpoint("/enhance")
def enhance(job_progress: JobProgress, photo: File) -> File:
    """Enlarge, light, colour, sharpen and frame a photograph."""
    with photo.open() as stream:
        picture = ImageOps.exif_transpose(Image.open(stream)).convert("RGB")
    for number, (doing, step) in enumerate(STEPS.items()):
        job_progress.set_status(number / len(STEPS), doing)
        picture = step(picture)
    job_progress.set_status(1.0, "done")
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=92)
    return File.from_bytes(content.getvalue(), name=f"{PurePath(photo.name).stem}-enhanced.jpg")


@app.task_endpoint("/tick", queue_size=1000, concurrency=4)
def tick(number: int) -> int:
    """Do nothing, as a job: what is left is what a job costs."""
    return number


if __name__ == "__main__":
    app.start()
