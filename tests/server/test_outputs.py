"""What functions return is sent as JSON and files; what cannot be sent fails the job and says where it stands."""

import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import io
import math
import tempfile
import threading
import uuid

import farcall
import httpx
import numpy as np
import pytest
from farcall.bodies import BytesBody, PathBody
from farcall.wire import FileValue
from farcall_server import FastTaskAPI, File
from farcall_server.outputs import UnserialisableError, files_of, plain
from farcall_server.uploads import Folder
from media_toolkit import ImageFile, MediaDict, MediaFile, MediaList
from PIL import Image
from pydantic import BaseModel


class Model(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    n: int
    when: dt.date = dt.date(2026, 1, 2)
    photo: File | None = None


@dataclasses.dataclass
class Point:
    x: float
    inner: Model


class Kind(enum.StrEnum):
    A = "a"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, None),
        ("ü", "ü"),
        (10**30, 10**30),
        ([math.nan, math.inf, 1.5], [None, None, 1.5]),
        ((1, {2}), [1, [2]]),
        ({1: "a", "b": 2, None: 3, False: 4}, {"1": "a", "b": 2, "null": 3, "false": 4}),
        (Model(n=1), {"n": 1, "when": "2026-01-02", "photo": None}),
        (Point(1.0, Model(n=2)), {"x": 1.0, "inner": {"n": 2, "when": "2026-01-02", "photo": None}}),
        ([Kind.A, uuid.UUID(int=1)], ["a", "00000000-0000-0000-0000-000000000001"]),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00Z"),
        (decimal.Decimal("1.10"), "1.10"),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.longdouble(1.5), 1.5),
        ({"a": np.bool_(True)}, {"a": True}),
        (np.datetime64("2026-01-02"), "2026-01-02"),
    ],
)
def test_a_value_is_sent_as_json_values(value, sent):
    assert plain(value, Folder()) == sent


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (object(), "result is a object"),
        ({"a": [1, object()]}, "result['a'][1] is a object"),
        ([{"b": lambda: 1}], "result[0]['b'] is a function"),
        ([{"a": {1: open}}], "result[0]['a'][1] is a builtin_function_or_method"),
        ("\ud800", "result is a text"),
        ({(1, object()): 1}, "has a key"),
        (Point(1.0, object()), "result['inner'] is a object"),
        ([np.array([object()])], "result[0][0] is a object"),
    ],
)
def test_what_cannot_be_sent_is_named_with_its_place(value, where):
    with pytest.raises(UnserialisableError, match="cannot be sent") as caught:
        plain(value, Folder())
    assert where in str(caught.value)


def test_a_value_that_holds_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(UnserialisableError, match="holds itself"):
        plain(loop, Folder())


@pytest.mark.parametrize("size", [5, 200_000])
def test_an_open_binary_file_becomes_a_file_and_is_closed(tmp_path, size):
    content = b"abc\n" + b"x" * (size - 4)
    (tmp_path / "a.txt").write_bytes(content)
    with tempfile.NamedTemporaryFile(suffix=".txt") as temporary:
        temporary.write(content)
        temporary.seek(0)
        opened = [(tmp_path / "a.txt").open("rb"), io.BytesIO(content), temporary]
        made = plain({"f": opened}, Folder(tmp_path / "job"))["f"]
        assert [stream.closed for stream in opened] == [True] * 3
    assert [File(file).read() for file in made] == [content] * 3
    assert (made[0].name, made[0].media_type, made[0].size) == ("a.txt", "text/plain", size)


def test_an_open_file_is_read_from_where_it_stands_and_may_be_empty(tmp_path):
    stream = io.BytesIO(b"abcdef")
    stream.seek(2)
    made = plain([stream, io.BytesIO()], Folder())
    assert [File(file).read() for file in made] == [b"cdef", b""]


def test_an_open_file_that_cannot_be_sent_is_named_with_what_to_do(tmp_path):
    written = io.BytesIO()
    written.write(b"abc")
    closed = io.BytesIO()
    closed.close()
    with (tmp_path / "t").open("w+") as text, tempfile.NamedTemporaryFile("w+") as temporary:
        for stream, said in (
            (io.StringIO("abc"), "open as text; open it with mode 'rb', or return what read"),
            (text, "open as text"),
            (temporary, "open as text"),
            (written, "stands at its end"),
            (closed, "the file is closed"),
        ):
            with pytest.raises(UnserialisableError, match=rf"result\[0\] is .*{said}"):
                plain([stream], Folder())


def test_the_open_file_of_an_asynchronous_task_is_sent(call):
    async def f():
        return io.BytesIO(b"abc\ndef")

    job = call(f)(json={}).json()
    assert job["state"] == "succeeded", job
    assert job["files"][0]["size"] == 7


def test_files_in_lists_models_and_streams_are_found_in_order():
    folder = Folder()
    stream = File.from_stream(iter([b"x" * 50_000] * 3), name="s.bin")
    value = plain({"a": [b"raw", Model(n=1, photo=File.from_bytes(b"2", name="p.png"))], "s": stream}, folder)
    first, second, third = files_of(value)
    assert (first.body.content, second.name, second.media_type) == (b"raw", "p.png", "image/png")
    assert isinstance(third.body, PathBody)
    assert (third.size, File(third).read()) == (150_000, b"x" * 150_000)
    folder.discard()
    small = plain(File.from_stream(iter([b"12"])), folder)
    assert isinstance(small.body, BytesBody)


@pytest.mark.parametrize("size", [3, 200_000])
def test_files_of_media_toolkit_become_files_wherever_they_stand(size):
    value = {
        "one": MediaFile(file_name="../a.txt", content_type="text/plain").from_bytes(b"x" * size),
        "list": MediaList([MediaFile(file_name="b.txt").from_bytes(b"2")]),
        "table": MediaDict({"c": ImageFile().from_np_array(np.zeros((2, 2, 3), np.uint8))}),
    }
    folder = Folder()
    made = plain(value, folder)
    assert (made["one"].name, made["one"].media_type, made["one"].size) == ("a.txt", "text/plain", size)
    assert File(made["one"]).read() == b"x" * size
    assert [file.name for file in made["list"]] == ["b.txt"]
    assert (made["table"]["c"].name, made["table"]["c"].media_type) == ("imagefile.png", "image/png")
    assert isinstance(made["one"].body, PathBody if size > 100_000 else BytesBody)


@pytest.mark.parametrize(
    ("kind", "mode", "name", "media_type"),
    [
        (None, "RGB", "image.png", "image/png"),
        (None, "RGBA", "image.png", "image/png"),
        ("JPEG", "RGB", "image.jpg", "image/jpeg"),
        ("GIF", "P", "image.gif", "image/gif"),
    ],
)
def test_a_picture_of_pillow_becomes_a_file_in_the_format_it_came_in(kind, mode, name, media_type):
    picture = Image.new(mode, (5, 4))
    if kind is not None:
        written = io.BytesIO()
        picture.save(written, kind)
        picture = Image.open(written)
    file = plain({"a": [picture]}, Folder())["a"][0]
    assert (file.name, file.media_type) == (name, media_type)
    assert Image.open(io.BytesIO(file.body.content)).size == (5, 4)


def test_a_picture_that_cannot_be_written_is_named_with_its_place():
    with pytest.raises(UnserialisableError, match=r"result\[0\] is a picture that cannot be written as PNG"):
        plain([Image.new("F", (2, 2))], Folder())


def test_a_file_that_breaks_while_it_is_read_is_named_with_its_place(tmp_path):
    def broken():
        yield b"x" * 100_000
        raise ValueError("kaput")

    folder = Folder(tmp_path / "job")
    with pytest.raises(UnserialisableError, match=r"result\['a'\] is a file that cannot be read: .*kaput"):
        plain({"a": File.from_stream(broken())}, folder)
    assert list((tmp_path / "job").iterdir()) == []


def test_a_public_link_stays_a_link():
    file = plain(File.from_url("https://example.com/a.png"), Folder())
    assert (file.url, file.body) == ("https://example.com/a.png", None)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_task_that_passes_another_services_file_on_passes_its_bytes(serve, own, asynchronous):
    """The other service asks for a key, which a bare link would not bring along."""
    other = FastTaskAPI(api_keys=["k"])
    content = b"x" * 200_000

    @other.task_endpoint("/make")
    def make():
        return {"picture": File.from_bytes(content, name="p.png")}

    url = str(serve(other).base_url)

    @contextlib.asynccontextmanager
    async def connected(app):
        if asynchronous:
            async with farcall.connect_async(url, provider="fasttaskapi", api_key="k") as app.service:
                yield
        else:
            with farcall.connect(url, provider="fasttaskapi", api_key="k") as app.service:
                yield

    app = FastTaskAPI(lifespan=connected)

    def relay():
        return {"passed": app.service.make()["picture"]}

    async def relay_async():
        return {"passed": (await app.service.make())["picture"]}

    app.task_endpoint("/f")(relay_async if asynchronous else relay)
    client = serve(app)
    job = client.post("/f", headers={**own, "prefer": "wait=30"}).json()
    assert job["state"] == "succeeded", job["error"]
    (file,) = job["files"]
    assert (file["name"], file["size"]) == ("p.png", len(content))
    assert file["url"].startswith(f"/jobs/{job['id']}/")
    assert client.get(file["url"]).content == content


def test_the_server_answers_while_an_asynchronous_task_s_file_is_read(serve, app, own):
    asked, go_on = threading.Event(), threading.Event()

    def slow():
        asked.set()
        assert go_on.wait(20)
        yield b"abc"

    @app.task_endpoint("/f")
    async def f():
        return File.from_stream(slow(), name="s.txt")

    @app.task_endpoint("/g")
    async def g():
        yield File.from_stream(slow(), name="s.txt")

    client = serve(app)
    for path in ("/f", "/g"):
        asked.clear()
        go_on.clear()
        job_id = client.post(path, headers=own).json()["id"]
        assert asked.wait(20)
        assert client.get("/health", timeout=5).status_code == 200
        go_on.set()
        assert client.get(f"/status/{job_id}?wait=20", headers=own).json()["files"][0]["size"] == 3


def test_a_plain_endpoint_s_file_keeps_its_name(serve, app):
    @app.endpoint("/sound")
    def sound() -> File:
        return File.from_bytes(b"RIFF", name="a ü.wav")

    client = serve(app)
    assert client.post("/sound").headers["content-disposition"] == "inline; filename*=utf-8''a%20%C3%BC.wav"
    with farcall.connect(str(client.base_url)) as svc:
        assert svc.sound().name == "a ü.wav"


def test_an_unserialisable_result_fails_the_job_with_the_reason(call):
    def f():
        return {"a": object()}

    job = call(f)(json={}).json()
    assert job["state"] == "failed"
    assert job["error"]["type"] == "UnserialisableError"
    assert "result['a'] is a object" in job["error"]["message"]


def test_a_result_file_is_fetched_by_its_address_as_often_as_wanted(call, tmp_path):
    place = tmp_path / "big ü.png"
    place.write_bytes(b"p" * 1_000_000)

    def f():
        return {"small": b"abc", "big": File.from_path(place), "none": None}

    send = call(f)
    job = send(json={}).json()
    assert job["result"] == {"small": None, "big": None, "none": None}
    small, big = job["files"]
    assert (small["at"], big["at"], big["name"], big["size"]) == (["small"], ["big"], "big ü.png", 1_000_000)
    for _ in range(2):
        reply = send.client.get(big["url"])
        assert reply.content == b"p" * 1_000_000
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-length"] == "1000000"
    assert reply.headers["content-disposition"] == "attachment; filename*=utf-8''big%20%C3%BC.png"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert send.client.get(small["url"]).content == b"abc"
    assert send.client.get(f"/jobs/{job['id']}/files/2").status_code == 404
    assert send.client.get("/jobs/nope/files/0").status_code == 404
    assert send.client.get(f"/jobs/{job['id']}/files/-1").status_code == 404
    older = send.client.get(f"/status/{job['id']}").json()["result"]
    assert older["small"] == {"file_name": "file", "content_type": "application/octet-stream", "content": "YWJj"}
    assert len(older["big"]["content"]) == 1_333_336


def test_a_result_stays_as_it_was_though_the_next_call_writes_to_the_same_path(call, own_home):
    def f(text: str):
        place = own_home / "out.txt"
        place.write_text(text)
        return File.from_path(place)

    async def g(text: str):
        return f(text)

    for function in (f, g):
        send = call(function)
        first, second = (send(json={"text": text}).json()["files"][0] for text in ("one", "other" * 100_000))
        assert send.client.get(first["url"]).text == "one"
        assert send.client.get(second["url"]).text == "other" * 100_000


def test_a_result_file_that_is_gone_already_fails_the_job_with_its_place(call, own_home):
    def f():
        place = own_home / "out.txt"
        place.write_text("x")
        file = File.from_path(place)
        place.unlink()
        return {"a": file}

    job = call(f)(json={}).json()
    assert "result['a'] is a file that cannot be read" in job["error"]["message"]


def test_a_media_type_that_is_no_header_is_not_sent(call):
    def f():
        return File(FileValue(name="f", media_type="text/ü\r\nX: y", body=BytesBody(b"x")))

    send = call(f)
    job = send(json={}).json()
    assert send.client.get(job["files"][0]["url"]).headers["content-type"] == "application/octet-stream"


def test_a_plain_endpoint_answers_a_file_with_its_bytes(serve, app, tmp_path):
    @app.endpoint("/echo")
    def echo(photo: File):
        return photo

    @app.endpoint("/nested")
    async def nested():
        return {"f": File.from_bytes(b"abc", name="n.txt")}

    client: httpx.Client = serve(app)
    for size in (10, 1_000_000):
        reply = client.post("/echo", files={"photo": ("p.png", b"x" * size, "image/png")})
        assert (reply.status_code, reply.headers["content-type"], reply.content) == (200, "image/png", b"x" * size)
    assert client.post("/nested").json() == {
        "f": {"file_name": "n.txt", "content_type": "text/plain", "content": "YWJj"}
    }
