"""NumPy arrays and PIL images as the files a parameter takes, and back."""

import io
import wave

import numpy as np
import pytest
from farcall import EndpointSpec, File
from farcall.arguments import Checker
from farcall.errors import FileError, InputError, UsageError
from PIL import Image

ENDPOINT = EndpointSpec(
    path="/go",
    parameters={"n": int},
    file_params={"any": "File", "img": "ImageFile", "sound": "AudioFile", "film": "VideoFile"},
)


def sent(name, value):
    """The file that goes out for an argument."""
    checker = Checker(EndpointSpec(path="/go", parameters={name: ENDPOINT.parameters[name]}))
    return checker.check((), {name: value})[name]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4), (1, 1)])
def test_an_array_is_a_png_where_an_image_is_taken(shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    file = sent("img", array)
    assert (file.name, file.media_type) == ("image.png", "image/png")
    assert np.array_equal(np.asarray(Image.open(file.open())).reshape(shape), array)
    assert np.array_equal(file.to_numpy().reshape(shape), array)


def test_sixteen_bits_bits_and_views_are_written_as_they_are():
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    assert np.array_equal(np.asarray(Image.open(sent("img", deep).open())), deep)
    mask = np.eye(3, dtype=bool)
    assert np.array_equal(sent("img", mask).to_numpy(), np.eye(3, dtype=np.uint8) * 255)
    assert np.array_equal(sent("img", deep.T[::-1]).to_numpy(), deep.T[::-1])


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 2, 5), np.uint8), np.zeros((2, 2), np.float32), np.zeros(3, np.uint8), np.zeros((0, 2), np.uint8)],
)
def test_an_array_that_is_no_image_is_refused(array):
    with pytest.raises(InputError, match="is no image; give uint8"):
        sent("img", array)


def test_an_array_is_a_wav_where_a_sound_is_taken():
    tone = np.array([0.0, 0.5, -1.0, 1.0, 7.0])
    file = sent("sound", (8000, tone))
    assert (file.name, file.media_type) == ("audio.wav", "audio/wav")
    with wave.open(file.open()) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (8000, 1, 5)
    assert file.to_numpy().tolist() == [0, 16383, -32767, 32767, 32767]
    stereo = np.array([[1, 2], [3, 4]], np.int16)
    with wave.open(sent("sound", stereo).open()) as sound:
        assert sound.getframerate() == 44_100
    assert np.array_equal(sent("sound", stereo).to_numpy(), stereo)
    with pytest.raises(InputError, match="is no sound; give int16"):
        sent("sound", np.zeros(3, np.uint8))
    with pytest.raises(InputError, match="not made into a video"):
        sent("film", np.zeros((2, 2, 2, 3), np.uint8))


def test_an_array_is_npy_where_any_file_is_taken():
    array = np.linspace(0, 1, 6).reshape(2, 3)
    file = sent("any", array)
    assert file.name == "array.npy"
    assert np.array_equal(file.to_numpy(), array)
    with pytest.raises(InputError, match="Python objects cannot be sent"):
        sent("any", np.array([object()]))


def test_an_image_of_pil_is_a_png():
    image = Image.new("RGB", (3, 2), "red")
    for name in ("any", "img"):
        file = sent(name, image)
        assert (file.name, file.media_type) == ("image.png", "image/png")
        assert list(file.to_pil().get_flattened_data()) == [(255, 0, 0)] * 6
    with pytest.raises(InputError, match="convert it to RGB first"):
        sent("img", Image.new("CMYK", (1, 1)))
    with pytest.raises(InputError, match="an image is no AudioFile"):
        sent("sound", image)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WAVE", b"\x93NUMPY\x01\x00"])
def test_what_is_broken_or_no_array_says_so(content):
    with pytest.raises(FileError, match=r"'x\.png' is"):
        File.from_bytes(content, name="x.png").to_numpy()
    with pytest.raises(FileError, match="is no image"):
        File.from_bytes(content, name="x.png").to_pil()


def test_an_array_that_claims_a_terabyte_is_broken():
    target = io.BytesIO()
    np.lib.format.write_array_header_1_0(target, {"descr": "<f8", "fortran_order": False, "shape": (1 << 37,)})
    with pytest.raises(FileError, match="is broken"):
        File.from_bytes(target.getvalue() + b"x" * 100, name="x.npy").to_numpy()


def test_an_array_from_elsewhere_runs_no_code():
    target = io.BytesIO()
    np.save(target, np.array([object]), allow_pickle=True)
    with pytest.raises(FileError, match="allow_pickle=False"):
        File.from_bytes(target.getvalue(), name="x.npy").to_numpy()


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(UsageError, match=r"needs PIL, which comes with farcall\[media\]"):
        File.from_bytes(b"x").to_pil()
