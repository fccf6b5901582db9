"""media-toolkit's types as parameters and results; what is sharp about the library is not reached through farcall."""

import asyncio
import gc
import socket
import subprocess
import sys
import tracemalloc
from pathlib import Path

import farcall
import media_toolkit
import numpy as np
import pytest
from farcall import EndpointSpec, File, Parameter
from farcall.arguments import Checker
from farcall.errors import ConfigError, InputError, UsageError
from farcall.media import AudioFile, ImageFile, MediaFile, VideoFile, wanted
from farcall.wire import FileValue
from farcall_server import FastTaskAPI

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def checked(kind, value):
    return Checker(EndpointSpec(path="/go", parameters={"x": kind})).check((), {"x": value})["x"]


def read(file):
    async def all_of_it():
        return b"".join([chunk async for chunk in file.carried().body.chunks()])

    return asyncio.run(all_of_it())


@pytest.fixture
def studio(serve):
    """A service whose functions give back what they were given."""
    app = FastTaskAPI()

    @app.task_endpoint("/same")
    def same(img: File) -> File:
        return img

    @app.task_endpoint("/all")
    def all_(imgs: list[File]) -> dict:
        return {"imgs": imgs}

    @app.task_endpoint("/text")
    def text(value: str) -> str:
        return value

    @app.task_endpoint("/shapes")
    def shapes(imgs: list[ImageFile], more: ImageFile | None = None) -> list:
        return [img.to_np_array().shape for img in [*imgs, *([more] if more else [])]]

    @app.task_endpoint("/samples")
    def samples(sound: AudioFile) -> str:
        return sound.content_type

    return serve(app).url


# --- as parameters and results -----------------------------------------------------------------------------------


def test_the_library_is_imported_only_when_a_media_type_is_used():
    script = (
        "import sys, farcall\n"
        "from farcall import EndpointSpec, File\n"
        "from farcall.arguments import Checker\n"
        "spec = EndpointSpec(path='/x', parameters={'f': File, 'fs': list[File]}, file_params={'i': 'ImageFile'})\n"
        "Checker(spec).check((), {'f': b'x', 'fs': [b'y'], 'i': b'z'})\n"
        "assert 'numpy' not in sys.modules and 'PIL' not in sys.modules\n"
        "assert 'media_toolkit' not in sys.modules\n"
        "from farcall.media import ImageFile\n"
        "assert ImageFile is sys.modules['media_toolkit'].ImageFile\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("kind", [MediaFile, ImageFile, AudioFile, VideoFile, list[ImageFile], ImageFile | None])
def test_a_media_type_is_a_file_parameter(kind):
    spec = EndpointSpec(path="/go", parameters={"x": Parameter(kind)})
    assert Checker(spec).takes_files == {"x"}
    assert wanted(kind) is not None


@pytest.mark.parametrize("kind", [File, MediaFile, ImageFile])
def test_a_media_object_is_sent_with_its_name_type_and_bytes(kind):
    media = ImageFile(file_name="cat.png").from_np_array(PIXELS, img_type="png")
    file = checked(kind, media)
    assert (file.name, file.media_type, file.size) == ("cat.png", "image/png", len(media.to_bytes()))
    assert read(file) == read(file) == media.to_bytes()


def test_a_service_gives_back_what_its_result_type_says(studio):
    endpoint = EndpointSpec(path="/same", file_params={"img": ImageFile}, result=ImageFile)
    with farcall.connect(studio, endpoints=[endpoint]) as svc:
        back = svc.same(img=PIXELS)
    assert type(back) is ImageFile
    assert (back.file_name, back.content_type) == ("image.png", "image/png")
    assert back.to_np_array().shape == PIXELS.shape


def test_lists_and_dictionaries_of_files_come_back_as_media_too(studio):
    endpoint = EndpointSpec(path="/all", file_params={"imgs": list[ImageFile]}, result=dict[str, list[MediaFile]])

    async def main():
        async with farcall.connect_async(studio, endpoints=[endpoint]) as svc:
            return await svc.all(imgs=[PIXELS, PIXELS])

    back = asyncio.run(main())
    assert [type(media) for media in back["imgs"]] == [MediaFile, MediaFile]


def test_parameters_of_a_discovered_service_can_be_said_to_be_media(studio):
    with farcall.connect(studio, file_params={"img": ImageFile, "value": "File"}) as svc:
        assert svc.same(img=PIXELS).media_type == "image/png"
        assert svc.text.spec.parameters["value"].type is File
    for wrong, sentence in (
        ({"imgg": ImageFile}, "names 'imgg', which no endpoint"),
        ({"img": int}, "no type of a file"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            farcall.connect(studio, file_params=wrong)


def test_an_array_is_what_the_functions_own_annotation_takes(studio):
    with farcall.connect(studio) as svc:
        assert svc.shapes(imgs=[PIXELS, PIXELS], more=PIXELS) == [[4, 4, 3]] * 3
        assert svc.samples(sound=np.zeros(100, np.float32)) == "audio/wav"
        with pytest.raises(InputError, match="no image"):
            svc.shapes(imgs=[np.zeros(3)])
        assert "imgs: list[farcall.File]" in repr(svc.shapes)


@pytest.fixture
def swept():
    yield
    gc.collect()


def opening(test):
    """What the library opened it closes only when the garbage is collected, and Python warns of that."""
    unraisable = "ignore:Exception ignored in.*FileIO:pytest.PytestUnraisableExceptionWarning"
    test = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning", unraisable)(test)
    return pytest.mark.usefixtures("swept")(test)


@opening
@pytest.mark.parametrize("size", [7, 2 << 20], ids=["in memory", "on the disk"])
def test_a_file_becomes_media_by_its_type_and_leaves_nothing_behind(size, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for media_type, kind in (
        ("image/png", ImageFile),
        ("audio/wav", AudioFile),
        ("video/mp4", VideoFile),
        ("x/y", MediaFile),
    ):
        media = File.from_bytes(b"c" * size, name="f.bin", media_type=media_type).to_media()
        assert type(media) is kind
        assert media.to_bytes() == b"c" * size
    del media
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@opening
def test_a_file_of_this_machine_is_not_copied(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: pytest.fail("it was copied"))
    (tmp_path / "a.txt").write_bytes(b"content")
    assert File.from_path(tmp_path / "a.txt").to_media().to_bytes() == b"content"


def test_without_the_library_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "media_toolkit", None)
    with pytest.raises(UsageError, match=r"farcall\[media\]"):
        File.from_bytes(b"x").to_media()


# --- what is sharp about it --------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text("the secret")
    return path


def test_a_path_in_a_reply_is_never_opened(secret, raw_server):
    """The library opens a path that stands where a file's content does."""
    entry = f'{{"file_name": "a.txt", "content_type": "text/plain", "content": "{secret}"}}'
    reply = f'{{"id": "1", "status": "finished", "result": {entry}}}'

    async def handler(request, writer):
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(reply)}\r\n\r\n{reply}".encode()
        )
        await writer.drain()
        return True

    endpoint = EndpointSpec(path="/go", result=MediaFile)
    binding = farcall.Binding(provider="fasttaskapi", url=raw_server(handler).url, endpoints=[endpoint])
    with farcall.connect(binding) as svc, pytest.raises(farcall.errors.ServiceError) as caught:
        svc.go()
    assert "the secret" not in str(caught.value)


@pytest.mark.parametrize("way", ["form", "json"])
def test_a_path_or_an_address_of_this_machine_in_a_request_is_neither_opened_nor_fetched(way, secret, studio):
    """The library opens paths and fetches any address."""
    import httpx

    def sent(text):
        given = {"data" if way == "form" else "json": {"img": text}}
        return httpx.post(f"{studio}/same", headers={"prefer": "wait=10"}, **given)

    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.setblocking(False)
        path = sent(str(secret))
        assert path.status_code == 422
        assert "the secret" not in path.text
        assert sent(f"http://127.0.0.1:{inside.getsockname()[1]}/").json()["status"] == "Failed"
        with pytest.raises(BlockingIOError):
            inside.accept()


def test_a_name_in_a_reply_stays_in_its_folder(tmp_path):
    """The library's `save` writes to `../escaped.txt`."""
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    back = File(FileValue(name="../../escaped.txt", body=File.from_bytes(b"x").value.body, size=1)).to_media()
    assert back.file_name == "escaped.txt"
    back.save(str(folder))
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.txt")] == [Path("in/here/escaped.txt")]
    traversing = media_toolkit.MediaFile(file_name="../../up.txt").from_bytes(b"x")
    assert checked(MediaFile, traversing).name == "up.txt"


@pytest.mark.parametrize("content", [b"", b"t", b"tiny"])
def test_the_smallest_files_make_the_round_trip(content, studio):
    """The library takes base64 of less than a hundred characters for a text."""
    if content:
        media = media_toolkit.MediaFile(file_name="a.bin").from_bytes(content)
        with farcall.connect(studio) as svc:
            assert svc.same(img=media).to_media().to_bytes() == content
    with farcall.connect(studio) as svc:
        assert svc.same(img=content).read() == content


@opening
def test_a_large_media_object_is_sent_and_made_piece_by_piece(tmp_path):
    """The library holds a 200 MB file two to nine times in memory."""
    size = 32 << 20
    path = tmp_path / "film.bin"
    with path.open("wb") as stream:
        stream.truncate(size)
    media = media_toolkit.MediaFile().from_file(str(path))

    async def sending():
        return sum([len(chunk) async for chunk in checked(MediaFile, media).carried().body.chunks()])

    tracemalloc.start()
    assert asyncio.run(sending()) == size
    copy = File(FileValue(name="film.bin", body=checked(MediaFile, media).value.body, size=size)).to_media()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert copy.file_size("bytes") == size
    assert peak < 16 << 20


def test_what_is_no_media_of_that_kind_is_not_guessed():
    with pytest.raises(InputError, match="of the type list is no file"):
        checked(ImageFile, [[1, 2], [3, 4]])
    with pytest.raises(InputError, match=r"nothing\.png' cannot be read"):
        checked(ImageFile, "nothing.png")
