"""Arguments by JSON, form and multipart; what is wrong is a 4xx that says what."""

import asyncio
import enum
import json
import random
import threading
from typing import Annotated, Any

import pytest
from farcall_server import File, JobProgress, uploads
from pydantic import BaseModel, Field


class Size(BaseModel):
    width: int
    height: int = 1


class Colour(enum.Enum):
    RED = "red"


def everything(  # noqa: PLR0917
    text: str,
    number: int = 1,
    share: float = 0.5,
    flag: bool = False,
    items: list[int] = [],  # noqa: B006
    words: list[str] = [],  # noqa: B006
    table: dict[str, int] = {},  # noqa: B006
    size: Size | None = None,
    colour: Colour = Colour.RED,
    anything: Any = None,
):
    return [text, number, share, flag, items, words, table, size, colour, anything]


def result(reply):
    assert reply.status_code == 200, reply.text
    assert reply.json()["state"] == "succeeded", reply.text
    return reply.json()["result"]


def test_json_fills_every_kind_of_parameter(call):
    body = {"text": "7", "number": "2", "flag": True, "items": [1, "2"], "table": {"a": 1}, "size": {"width": 3}}
    assert result(call(everything)(json=body)) == [
        "7", 2, 0.5, True, [1, 2], [], {"a": 1}, {"width": 3, "height": 1}, "red", None,
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["form", "multipart"])
def test_a_form_fills_every_kind_of_parameter(call, encoding):
    fields = {
        "text": "[1]", "number": "2", "share": "1e3", "flag": "true", "items": ["1", "2"], "words": "one",
        "table": '{"a": 1}', "size": '{"width": 3}', "colour": "red", "anything": "5",
    }  # fmt: skip
    send = call(everything)
    if encoding == "form":
        reply = send(data=fields)
    else:
        parts = [(k, (None, v)) for k, vs in fields.items() for v in (vs if isinstance(vs, list) else [vs])]
        reply = send(files=parts)
    assert result(reply) == [
        "[1]", 2, 1000.0, True, [1, 2], ["one"], {"a": 1}, {"width": 3, "height": 1}, "red", "5",
    ]  # fmt: skip


def test_a_list_may_be_json_in_one_field(call):
    assert result(call(everything)(data={"text": "t", "items": "[4,5]", "words": '["a","b"]'}))[4:6] == [
        [4, 5],
        ["a", "b"],
    ]


def test_an_empty_field_is_none_where_none_is_allowed(call):
    assert result(call(everything)(data={"text": "", "size": ""}))[::7] == ["", None]


def test_an_empty_text_is_none_only_where_none_is_allowed(call):
    def said(a: str, b: str | None = "x") -> list:
        return [a, b]

    assert result(call(said)(data={"a": "", "b": ""})) == ["", None]
    assert result(call(said)(data={"a": "5", "b": "5"})) == ["5", "5"]
    assert result(call(said)(json={"a": "", "b": ""})) == ["", ""]


@pytest.mark.parametrize(
    ("body", "kind", "place"),
    [
        ({}, "missing", ["body", "text"]),
        ({"text": "t", "number": "x"}, "int_parsing", ["body", "number"]),
        ({"text": "t", "nubmer": 1}, "extra_forbidden", ["body", "nubmer"]),
        ([1], "dict_type", ["body"]),
        ({"text": "t", "size": {"width": "w"}}, "int_parsing", ["body", "size", "width"]),
    ],
)
def test_a_wrong_argument_is_a_422_that_names_it(call, body, kind, place):
    reply = call(everything)(json=body)
    assert reply.status_code == 422
    (detail,) = reply.json()["detail"]
    assert (detail["type"], detail["loc"]) == (kind, place)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"text": ', "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b"text=a", "text/plain", 415),
        (b"text=a", "", 415),
        (b"", "", 422),
        (b"nothing", "multipart/form-data; boundary=x", 422),
        (b"nothing", "multipart/form-data", 422),
        (b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\ncut', "multipart/form-data; boundary=x", 422),
        (b"--x\r\n\r\nno name\r\n--x--\r\n", "multipart/form-data; boundary=x", 422),
        (b"&".join([b"a=1"] * 20_000), "application/x-www-form-urlencoded", 422),
        (b"text=%ff%zz", "application/x-www-form-urlencoded", 200),
    ],
)
def test_a_malformed_body_is_refused_and_never_a_server_fault(call, content, kind, status):
    reply = call(everything)(content=content, headers={"content-type": kind})
    assert reply.status_code == status, reply.text
    if status == 422:
        assert reply.json()["detail"][0].keys() >= {"type", "loc", "msg"}


@pytest.mark.parametrize("kind", ["", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"])
def test_a_call_without_a_body_is_one_without_arguments_whatever_it_is_called(call, kind):
    reply = call(lambda: "called")(content=b"", headers={"content-type": kind})
    assert reply.json()["result"] == "called"


def test_many_multipart_parts_or_endless_headers_are_refused(call):
    send = call(everything)
    assert send(files=[("words", (None, "w"))] * 1001).status_code == 413
    head = b'--x\r\nContent-Disposition: form-data; name="text"\r\nX: ' + b"y" * 20_000 + b"\r\n\r\nt\r\n--x--\r\n"
    assert send(content=head, headers={"content-type": "multipart/form-data; boundary=x"}).status_code == 422


def describe(photo: File, more: list[File] = [], note: str = "", maybe: File | None = None):  # noqa: B006
    files = [photo, *more]
    return [[f.name, f.media_type, f.size, len(f.read()), len(f.read())] for f in files] + [note, maybe is None]


@pytest.mark.parametrize("size", [3, 64 * 1024, 64 * 1024 + 1, 3_000_000])
def test_a_file_part_arrives_whole_and_can_be_read_again(call, size):
    parts = [("photo", ("../p.png", b"x" * size, "image/png")), ("note", (None, "hi")), ("maybe", ("", b""))]
    assert result(call(describe)(files=parts)) == [["p.png", "image/png", size, size, size], "hi", True]


def test_a_file_parameter_may_be_repeated(call):
    parts = [("photo", b"1"), ("more", ("a.txt", b"22")), ("more", ("b.unknown", b"333"))]
    assert result(call(describe)(files=parts))[1:3] == [
        ["a.txt", "text/plain", 2, 2, 2],
        ["b.unknown", "application/octet-stream", 3, 3, 3],
    ]


@pytest.mark.parametrize("how", ["json", "data"])
def test_a_file_may_be_a_data_address(call, how):
    reply = call(describe)(**{how: {"photo": "data:image/gif;base64,R0lG"}})
    assert result(reply)[0] == ["file.gif", "image/gif", 3, 3, 3]


def test_a_file_part_for_a_number_is_refused(call):
    assert call(everything)(files={"text": b"x", "number": b"1"}).status_code == 422


@pytest.mark.parametrize("how", ["content-length", "chunked"])
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_body_above_the_limit_is_a_413(call, how, kind):
    send = call(describe, max_upload_bytes=1000)
    head = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="p"\r\n\r\n'
    content = head + b"x" * 1001 if how == "content-length" else iter([head, b"x" * 600, b"x" * 600])
    reply = send(content=content, headers={"content-type": kind})
    assert reply.status_code == 413
    assert "1000 bytes" in reply.json()["detail"]


def test_a_large_upload_does_not_stay_in_memory(call, tmp_path):
    import tracemalloc

    big = tmp_path / "big.bin"
    with big.open("wb") as handle:
        handle.truncate(64 * 1024 * 1024)

    def size_of(photo: File):
        return photo.size

    send = call(size_of)
    with big.open("rb") as handle:
        tracemalloc.start()
        reply = send(files={"photo": handle})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert result(reply) == 64 * 1024 * 1024
    assert peak < 16 * 1024 * 1024


def test_uploads_go_when_the_job_has_ended_except_what_it_returned(call, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    places = []

    def keep_one(one: File, two: File):
        places.extend([one.value.body.path, two.value.body.path])
        return two

    files = {"one": b"1" * 100_000, "two": b"2" * 100_000}
    reply = call(keep_one)(files=files)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [places[1].rpartition("/")[2]]
    assert reply.json()["files"][0]["size"] == 100_000


def test_a_disk_that_is_full_is_a_507_and_leaves_nothing(call, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("farcall_server.uploads._Part.write", full)
    reply = call(describe)(files={"photo": b"x" * 100_000})
    assert reply.status_code == 507
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last_that_goes", [1, 2, 3])
def test_a_disk_that_fills_up_while_an_upload_comes_in_is_a_507_and_leaves_nothing(
    call, tmp_path, monkeypatch, last_that_goes
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    written, write = [], uploads._Part.write

    def fills_up(part, pieces, folder):
        written.append(pieces)
        if len(written) > last_that_goes:
            raise OSError(28, "No space left on device")
        write(part, pieces, folder)

    monkeypatch.setattr("farcall_server.uploads._Part.write", fills_up)
    reply = call(describe)(files={"photo": b"x" * 4 * uploads.WRITE_BYTES})
    assert reply.status_code == 507
    assert list(tmp_path.iterdir()) == []


TEXT_PART = b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
FILE_PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'


async def in_pieces(body, size):
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("size", [1, 999, 300_000, 10_000_000])
def test_each_part_comes_whole_and_in_order_however_the_body_is_cut(tmp_path, size):
    contents = [random.Random(n).randbytes(length) for n, length in enumerate([70_000, 10, 0, 150_000])]  # noqa: S311
    if size > 1:
        contents.append(b"\r\n--" * uploads.WRITE_BYTES)
    parts = b"".join(FILE_PART + content + b"\r\n" + TEXT_PART for content in contents)
    pairs = asyncio.run(uploads.multipart(in_pieces(parts + b"--b--\r\n", size), b"b", uploads.Folder(tmp_path)))
    assert [name for name, _ in pairs] == ["file", "note"] * len(contents)
    assert [text for _, text in pairs[1::2]] == ["hello"] * len(contents)
    assert [file.read() for _, file in pairs[::2]] == contents
    assert [file.size for _, file in pairs[::2]] == [len(content) for content in contents]


async def never_ends():
    yield FILE_PART + bytes(100_000)
    await asyncio.Event().wait()


async def ends():
    yield FILE_PART + bytes(100_000) + b"\r\n--b--\r\n"


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("pieces", [never_ends, ends])
def test_an_upload_that_is_given_up_waits_for_the_disk_before_it_closes_its_file(tmp_path, monkeypatch, pieces, times):
    began, gate, written, write = threading.Event(), threading.Event(), [], uploads._Part.write

    def slow(part, pieces, folder):
        began.set()
        gate.wait(20)
        write(part, pieces, folder)
        written.append(part)

    monkeypatch.setattr("farcall_server.uploads._Part.write", slow)

    async def give_up():
        reading = asyncio.create_task(uploads.multipart(pieces(), b"b", uploads.Folder(tmp_path)))
        assert await asyncio.to_thread(began.wait, 20)
        for _ in range(times):
            reading.cancel()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not reading.done()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(give_up())
    assert [part.handle.closed for part in written] == [True]


def test_path_parameters_are_cast_and_kept_apart_from_the_body(serve, app):
    @app.task_endpoint("/items/{Item}/{number:int}")
    def items(Item: str, number: int, note: str = ""):  # noqa: N803
        return [Item, number, note]

    client = serve(app)
    reply = client.post(
        "/items/A%20b/7", json={"note": "n"}, headers={"accept": "application/json", "prefer": "wait=9"}
    )
    assert reply.json()["result"] == ["A b", 7, "n"]


def test_constraints_in_annotations_hold(call):
    def limited(n: Annotated[int, Field(ge=3, description="how many")], m: int = Field(5, le=9)):
        return n + m

    send = call(limited)
    assert result(send(json={"n": 3})) == 8
    assert send(json={"n": 2}).status_code == 422
    assert send(json={"n": 3, "m": 10}).status_code == 422


def test_progress_is_handed_in_by_name_or_by_annotation(call):
    def named(job_progress, a: int):
        return type(job_progress).__name__ + str(a)

    def annotated(watch: JobProgress, a: int):
        return type(watch).__name__ + str(a)

    for function in (named, annotated):
        assert result(call(function)(json={"a": 1})) == "JobProgress1"
        assert call(function)(json={"a": 1, "job_progress": 1}).status_code == 422


def test_a_client_that_goes_away_in_mid_upload_leaves_nothing(serve, app, tmp_path, monkeypatch):
    import socket

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = threading.Event()
    discard = uploads.Folder.discard

    def note(self):
        discard(self)
        gone.set()

    monkeypatch.setattr(uploads.Folder, "discard", note)
    app.task_endpoint("/f")(describe)
    client = serve(app)
    with socket.create_connection((client.base_url.host, client.base_url.port)) as sock:
        head = b"POST /f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n"
        head += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        sock.sendall(
            head + b'--x\r\nContent-Disposition: form-data; name="photo"; filename="p"\r\n\r\n' + b"x" * 300_000
        )
    assert gone.wait(10)
    assert list(tmp_path.iterdir()) == []
    assert client.get("/health").status_code == 200


def test_the_answer_to_a_wrong_argument_shows_little_of_it(call):
    reply = call(everything)(json={"text": "t", "number": "x" * 10_000})
    assert len(json.dumps(reply.json())) < 1000


def test_a_repeated_field_of_models_is_read_as_json(call):
    def names(sizes: list[Size], words: list[str]) -> list:
        return [[size.width for size in sizes], words]

    reply = call(names)(
        data={"sizes": ['{"width": 1, "height": 2}', '{"width": 3, "height": 4}'], "words": ["1", "[2]"]}
    )
    assert result(reply) == [[1, 3], ["1", "[2]"]]


def test_a_wrong_field_of_a_query_is_said_to_be_there(serve, app):
    @app.endpoint("/f", methods=["GET", "POST"])
    def f(n: int) -> int:
        return n

    client = serve(app)
    assert client.get("/f").json()["detail"][0]["loc"] == ["query", "n"]
    assert client.post("/f").json()["detail"][0]["loc"] == ["body", "n"]
