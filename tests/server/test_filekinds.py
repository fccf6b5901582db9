"""Files as the type a function's annotation names: ours, FastAPI's, media-toolkit's, alone and in lists."""

import base64
import io
import subprocess
import sys

import fastapi
import pytest
import starlette.datastructures
from farcall.errors import UsageError
from farcall_server import File
from media_toolkit import AudioFile, ImageFile, MediaDict, MediaFile, MediaList, VideoFile
from PIL import Image

SIZES = [0, 2, 64 * 1024, 3_000_000]


def png(size=(8, 6)):
    written = io.BytesIO()
    Image.new("RGB", size, (200, 100, 50)).save(written, "PNG")
    return written.getvalue()


def b64(content):
    return base64.b64encode(content).decode()


def result(reply):
    assert reply.status_code == 200, reply.text
    assert reply.json()["state"] == "succeeded", reply.text
    return reply.json()["result"]


# --- UploadFile ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [fastapi.UploadFile, starlette.datastructures.UploadFile])
@pytest.mark.parametrize("size", SIZES)
def test_an_upload_file_lasts_until_its_job_has_run(call, kind, size):
    async def read_async(photo: kind):
        start = await photo.read(10)
        await photo.seek(0)
        return [photo.filename, photo.content_type, photo.size, len(start), len(await photo.read())]

    def read(photo: kind):
        return [photo.filename, photo.content_type, photo.size, min(size, 10), len(photo.file.read())]

    for function in (read, read_async):
        reply = call(function)(files={"photo": ("p.png", b"x" * size, "image/png")})
        assert result(reply) == ["p.png", "image/png", size, min(size, 10), size]


def test_an_upload_file_may_come_as_any_text_and_in_lists(call):
    def names(photo: fastapi.UploadFile, more: list[fastapi.UploadFile], maybe: fastapi.UploadFile | None = None):
        return [photo.filename, [m.size for m in more], maybe]

    assert result(call(names)(json={"photo": "data:image/gif;base64,R0lG", "more": [b64(b"22"), b64(b"333")]})) == [
        "file.gif",
        [2, 3],
        None,
    ]


# --- media-toolkit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MediaFile, ImageFile, AudioFile, VideoFile])
@pytest.mark.parametrize("size", SIZES)
def test_a_media_file_holds_what_was_sent(call, kind, size):
    def read(media: kind):
        assert type(media) is kind
        return [media.file_name, media.content_type, media.file_size(), len(media.to_bytes())]

    parts = {"media": ("p.bin", b"x" * size, "application/x-thing")}
    assert result(call(read)(files=parts)) == ["p.bin", "application/x-thing", size, size]


@pytest.mark.parametrize("size", [(8, 6), (900, 700)])
def test_a_picture_goes_in_and_comes_out(call, size):
    import numpy as np

    def turn(photo: ImageFile):
        return ImageFile().from_np_array(np.rot90(photo.to_np_array()))

    content = png(size)
    served = call(turn)
    for request in (
        {"files": {"photo": ("p.png", content, "image/png")}},
        {"json": {"photo": b64(content)}},
        {"data": {"photo": f"data:image/png;base64,{b64(content)}"}},
    ):
        (file,) = served(**request).json()["files"]
        assert file["name"] == "imagefile.png"
        answer = served.client.get(file["url"])
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).size == size[::-1]


def test_media_files_come_in_lists_and_may_be_left_out(call):
    def count(photos: list[ImageFile], sound: AudioFile | None = None, table: dict[str, MediaFile] = {}):  # noqa: B006
        return [[p.file_size() for p in photos], sound, {k: v.to_bytes().decode() for k, v in table.items()}]

    served = call(count)
    assert result(served(files=[("photos", b"1"), ("photos", b"22")])) == [[1, 2], None, {}]
    body = {"photos": [b64(b"1")], "sound": None, "table": {"a": b64(b"hi")}}
    assert result(served(json=body)) == [[1], None, {"a": "hi"}]


def test_an_asynchronous_function_gets_media_files_too(call):
    async def size(photo: ImageFile):
        return photo.file_size()

    assert result(call(size)(files={"photo": b"x" * 100_000})) == 100_000


def test_a_plain_endpoint_gets_them_too(serve, app):
    @app.endpoint("/f")
    def sizes(photo: ImageFile, upload: fastapi.UploadFile):
        return [photo.file_size(), upload.size]

    assert serve(app).post("/f", files={"photo": b"1", "upload": b"22"}).json() == [1, 2]


def test_importing_the_server_imports_nothing_that_only_some_need():
    code = "import sys, farcall_server; sys.exit(bool({'media_toolkit', 'numpy', 'PIL', 'aiohttp'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- media-toolkit's sharp edges, none of which a request reaches ----------------------------------------------------


def read_media(media: MediaFile):
    return media.to_bytes().decode("latin-1")


@pytest.fixture
def secret(tmp_path):
    place = tmp_path / "secret.txt"
    place.write_text("secret")
    return str(place)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_path_is_not_opened_though_media_toolkit_would(call, secret, wrapped):
    value = {"file_name": "a", "content_type": "text/plain", "content": secret} if wrapped else secret
    reply = call(read_media)(json={"media": value})
    assert reply.status_code == 422
    assert "secret\\n" not in reply.text
    assert "never opened" in reply.text


def test_a_path_in_a_file_part_is_not_opened_though_media_toolkit_would(call, secret):
    assert result(call(read_media)(files={"media": secret.encode()})) == secret


def test_an_address_on_this_machine_is_not_fetched_though_media_toolkit_would(call, raw_server):
    async def handler(request, writer):
        return False

    server = raw_server(handler)
    served = call(read_media)
    for value in (server.url, {"file_name": "a", "content_type": "text/plain", "content": server.url}):
        assert served(json={"media": value}).json()["state"] == "failed"
    assert server.requests == []


def test_a_file_name_leads_nowhere_though_media_toolkit_would_save_there(call, tmp_path):
    place = tmp_path / "kept" / "here"
    place.mkdir(parents=True)

    def save(media: MediaFile):
        media.save(str(place))
        return media.file_name

    served = call(save)
    for request in (
        {"json": {"media": {"file_name": "../../evil.txt", "content": b64(b"x")}}},
        {"files": {"media": ("../../evil.txt", b"x" * 100_000)}},
    ):
        assert result(served(**request)) == "evil.txt"
    assert [p.relative_to(tmp_path) for p in tmp_path.rglob("evil*")] == [(place / "evil.txt").relative_to(tmp_path)]


@pytest.mark.parametrize("content", [b"", b"a", b"tiny", b"x" * 74])
def test_a_tiny_file_arrives_though_media_toolkit_takes_its_base64_for_no_file(call, content):
    served = call(read_media)
    for value in ({"content": b64(content)}, f"data:text/plain;base64,{b64(content)}"):
        assert result(served(json={"media": value})) == content.decode()


def test_its_containers_which_open_paths_and_fetch_are_refused_at_registration(app):
    for kind in (MediaList, MediaDict, MediaList[ImageFile]):

        def function(media):
            return media

        function.__annotations__["media"] = kind
        with pytest.raises(UsageError, match=r"list\[ImageFile\]"):
            app.task_endpoint("/f")(function)


def test_a_large_file_is_handed_over_unread_though_media_toolkit_may_hold_it_many_times(call):
    import tracemalloc

    def size(media: VideoFile):
        return media.file_size()

    served = call(size)
    content = bytes(32 * 1024 * 1024)
    tracemalloc.start()
    assert result(served(files={"media": ("v.mp4", io.BytesIO(content), "video/mp4")})) == len(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 1024 * 1024


# --- what cannot be told ---------------------------------------------------------------------------------------------


def test_a_parameter_that_is_two_types_of_file_is_refused_at_registration(app):
    def function(media: ImageFile | File):
        return media

    with pytest.raises(UsageError, match="File and ImageFile"):
        app.task_endpoint("/f")(function)


def test_a_parameter_that_is_a_file_or_a_text_is_what_was_sent(call):
    def kind(value: MediaFile | str):
        return type(value).__name__

    served = call(kind)
    assert result(served(files={"value": b"x"})) == "MediaFile"
    assert result(served(json={"value": "/etc/passwd"})) == "str"
