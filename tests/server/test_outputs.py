"""What functions return is sent as JSON and files; what cannot be sent fails the job and says where it stands."""

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid

import httpx
import numpy as np
import pytest
from farcall.wire import BytesBody, PathBody
from farcall_server import File
from farcall_server.outputs import UnserialisableError, files_of, plain
from farcall_server.uploads import Folder
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


def test_a_media_type_that_is_no_header_is_not_sent(call):
    def f():
        return File.from_bytes(b"x", name="f", media_type="text/ü\r\nX: y")

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
