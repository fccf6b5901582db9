"""NumPy arrays written as PNG, WAV and NPY, and read again; NumPy itself is imported by whoever has an array."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from typing import Any, BinaryIO, Final

from farcall.errors import FileError, InputError
from farcall.libraries import needed

CHANNELS: Final = {1: 0, 2: 4, 3: 2, 4: 6}
"""Values a pixel has, and PNG's colour type: grey, grey and alpha, RGB, RGBA."""
NPY: Final = b"\x93NUMPY"
SAMPLE_BYTES: Final = {1: "u1", 2: "<i2", 4: "<i4"}


def png(array: Any) -> bytes:
    """An image as PNG.

    Args:
        array: Height x width, or height x width x 1 to 4 channels, of bool, uint8 or uint16.

    Raises:
        InputError: It is no such array.
    """
    import numpy as np

    pixels = array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if (
        pixels.ndim != 3
        or pixels.shape[2] not in CHANNELS
        or pixels.dtype not in (np.uint8, np.uint16)
        or not array.size
    ):
        raise InputError(
            f"an array of {array.dtype} and shape {array.shape} is no image; give uint8, uint16 or bool, as "
            "height x width or height x width x 1 to 4 channels"
        )
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    lines = np.zeros((height, rows.shape[1] + 1), np.uint8)  # each line begins with its filter, here none
    lines[:, 1:] = rows
    head = struct.pack(">2I5B", width, height, pixels.dtype.itemsize * 8, CHANNELS[channels], 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 3)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, content) for kind, content in chunks)


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def wav(array: Any, rate_hz: int) -> bytes:
    """A sound as WAV, 16 bits a sample.

    Args:
        array: Samples, or samples x channels; int16, or floats from -1 to 1.
        rate_hz: Samples a second.

    Raises:
        InputError: It is no such array.
    """
    import numpy as np

    floats = np.issubdtype(array.dtype, np.floating)
    if array.ndim not in {1, 2} or not (floats or array.dtype == np.int16) or not 0 < rate_hz < 1 << 32:
        raise InputError(
            f"an array of {array.dtype} and shape {array.shape} at {rate_hz} Hz is no sound; give int16, or floats "
            "from -1 to 1, as samples or samples x channels"
        )
    samples = np.clip(array * 32767.0, -32768, 32767) if floats else array
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(1 if array.ndim == 1 else array.shape[1])
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(samples.astype("<i2").tobytes())
    return target.getvalue()


def npy(array: Any) -> bytes:
    """Any array of plain values as NPY.

    Raises:
        InputError: It holds Python objects.
    """
    import numpy as np

    target = io.BytesIO()
    try:
        np.save(target, array, allow_pickle=False)
    except ValueError as error:
        raise InputError("an array of Python objects cannot be sent") from error
    return target.getvalue()


def read(stream: BinaryIO, name: str) -> Any:
    """The array a file holds: NPY, the samples of a WAV, or the pixels of an image.

    Args:
        stream: The file, at its start.
        name: What it is called in errors.

    Raises:
        FileError: It is none of them, or broken.
        UsageError: A library is not installed.
    """
    head = stream.read(12)
    stream.seek(0)
    try:
        if head.startswith(NPY):
            return needed("numpy").load(stream, allow_pickle=False)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            return _samples(stream)
        return needed("numpy").asarray(picture(stream, name))
    except (ValueError, EOFError, MemoryError, wave.Error) as error:
        raise FileError(f"{name!r} is broken: {error}.") from error


def _samples(stream: BinaryIO) -> Any:
    np = needed("numpy")
    with wave.open(stream, "rb") as sound:
        if sound.getsampwidth() not in SAMPLE_BYTES:
            raise ValueError(f"its samples have {sound.getsampwidth()} bytes")
        samples = np.frombuffer(sound.readframes(sound.getnframes()), SAMPLE_BYTES[sound.getsampwidth()])
        return samples if sound.getnchannels() == 1 else samples.reshape(-1, sound.getnchannels())


def picture(stream: BinaryIO, name: str) -> Any:
    """The image a file holds, as a PIL image with all of its pixels.

    Raises:
        FileError: It is no image, or a broken one.
        UsageError: Pillow is not installed.
    """
    images = needed("PIL.Image")
    try:
        image = images.open(stream)
        image.load()
    except (OSError, SyntaxError, ValueError, images.DecompressionBombError) as error:
        raise FileError(f"{name!r} is no image that can be read: {error}.") from error
    return image
