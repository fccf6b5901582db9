"""The ways to send a file, and what is no file: through a real server, by JSON, form, multipart and query."""

import base64
import dataclasses
import itertools
import json
import re

import pytest
from farcall_server import FastTaskAPI, File
from farcall_server.incoming import decoded
from pydantic import BaseModel

SMALL, LARGE = b"hi", bytes(range(256)) * 1000


def b64(content):
    return base64.b64encode(content).decode()


def describe(photo: File, more: list[File] = [], maybe: File | None = None):  # noqa: B006
    return [[f.name, f.media_type, f.size, b64(f.read()[:8])] for f in (photo, *more, *([maybe] if maybe else []))]


def result(reply):
    assert reply.status_code == 200, reply.text
    assert reply.json()["state"] == "succeeded", reply.text
    return reply.json()["result"]


def as_json(value):
    return {"json": {"photo": value}}


def as_form(value):
    return {"data": {"photo": value if isinstance(value, str) else json.dumps(value)}}


def as_multipart(value):
    return {"files": {"photo": (None, value if isinstance(value, str) else json.dumps(value))}}


def ways(content):
    text = b64(content)
    lines = "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    return {
        f"data:image/png;base64,{text}": ("file.png", "image/png"),
        f"DATA:image/png;charset=utf-8;base64,{text}": ("file.png", "image/png"),
        text: ("file", "application/octet-stream"),
        lines: ("file", "application/octet-stream"),
        json.dumps({"file_name": "a.png", "content_type": "image/png", "content": text}): ("a.png", "image/png"),
        json.dumps({"file_name": "../../a.png", "content": text}): ("a.png", "image/png"),
        json.dumps({"content": text, "max_size_mb": 4000.0}): ("file", "application/octet-stream"),
        json.dumps({"content": f"data:image/gif;base64,{text}"}): ("file.gif", "image/gif"),
    }


@pytest.mark.parametrize("send", [as_json, as_form, as_multipart])
@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_text_may_be_a_file_in_several_ways(call, send, content):
    served = call(describe)
    for text, (name, media_type) in ways(content).items():
        assert result(served(**send(text))) == [[name, media_type, len(content), b64(content[:8])]], text[:80]


def test_a_file_object_may_be_an_object_in_json(call):
    served = call(describe)
    value = {"file_name": "a.png", "content_type": "image/png", "content": b64(SMALL)}
    assert result(served(json={"photo": value, "more": [value, b64(SMALL)]}))[1][:2] == ["a.png", "image/png"]


class Album(BaseModel):
    name: str
    pictures: list[File]
    cover: File | None = None


@dataclasses.dataclass(frozen=True)
class Shelf:
    albums: dict[str, Album]


def test_files_stand_inside_models_and_dataclasses_too(call, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def sizes(album: Album, shelf: Shelf | None = None, pair: tuple[File, int] | None = None):
        files = [*album.pictures, *([album.cover] if album.cover else []), *([pair[0]] if pair else [])]
        inside = [file for inner in shelf.albums.values() for file in inner.pictures] if shelf else []
        return [len(file.read()) for file in (*files, *inside)]

    album = {"name": "a", "pictures": [b64(LARGE), {"content": b64(SMALL)}], "cover": "data:x/y;base64," + b64(SMALL)}
    body = {"album": album, "shelf": {"albums": {"b": album}}, "pair": [b64(SMALL), 1]}
    served = call(sizes)
    assert result(served(json=body)) == [len(LARGE), 2, 2, 2, len(LARGE), 2]
    texts = {name: json.dumps(value) for name, value in body.items()}
    for request in ({"data": texts}, {"files": {name: (None, text) for name, text in texts.items()}}):
        assert result(served(**request)) == [len(LARGE), 2, 2, 2, len(LARGE), 2]
    assert result(served(data={"album": texts["album"], "shelf": "", "pair": "null"})) == [len(LARGE), 2, 2]


def test_an_address_inside_a_model_is_fetched_as_carefully(serve, elsewhere, own):
    def sizes(album: Album):
        return [len(file.read()) for file in album.pictures]

    for hosts, state in ((["127.0.0.1"], "succeeded"), ([], "failed")):
        app = FastTaskAPI(fetch_hosts=hosts)
        app.task_endpoint("/f")(sizes)
        body = {"album": {"name": "a", "pictures": [b64(SMALL), elsewhere.url]}}
        job = serve(app).post("/f", json=body, headers={**own, "prefer": "wait=30"}).json()
        assert (job["state"], job["result"] if state == "succeeded" else job["error"]["type"]) == (
            state, [2, 200_000] if state == "succeeded" else "FileError",
        )  # fmt: skip
    assert len(elsewhere.requests) == 1


@pytest.mark.parametrize("value", ["/etc/passwd", "file:///etc/passwd", "data:x;base64,%%%", 5])
def test_what_is_no_file_inside_a_model_is_a_422_that_names_its_place(call, value):
    def sizes(album: Album):
        return len(album.pictures)

    reply = call(sizes)(json={"album": {"name": "a", "pictures": [b64(SMALL), value]}})
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == ["body", "album", "pictures", 1]


def test_a_data_address_may_be_percent_encoded(call):
    served = call(describe)
    for send in (as_json, as_form, as_multipart):
        assert result(served(**send("data:text/plain,a%20b" + "c" * 100_000)))[0][1:3] == ["text/plain", 100_003]


def test_files_of_a_list_come_one_by_one_or_as_one_json_list(call):
    served = call(describe)
    parts = [("photo", ("p", b"1")), ("more", (None, b64(b"22"))), ("more", ("", b"")), ("more", ("q", b"333"))]
    assert [row[2] for row in result(served(files=parts))] == [1, 2, 3]
    texts = json.dumps([b64(b"22"), {"content": b64(b"333")}])
    assert [row[2] for row in result(served(data={"photo": b64(b"1"), "more": texts}))] == [1, 2, 3]


def test_an_empty_field_is_no_file(call):
    served = call(describe)
    assert len(result(served(files={"photo": b"1", "maybe": ("", b""), "more": (None, "")}))) == 1
    assert len(result(served(files={"photo": b"1", "maybe": (None, "null"), "more": (None, "null")}))) == 1
    reply = served(data={"photo": ""})
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == ["body", "photo"]


def test_a_text_part_of_many_megabytes_is_a_file_where_one_is_wanted(call, tmp_path):
    content = LARGE * 20
    reply = call(describe)(files={"photo": (None, "data:application/x-y;base64," + b64(content))})
    assert result(reply)[0][1:3] == ["application/x-y", len(content)]


def test_a_text_part_of_many_megabytes_is_a_text_where_one_is_wanted(call):
    def length(text: str, table: dict[str, str]):
        return [len(text), len(table["a"])]

    parts = {"text": (None, "é" * 2_000_000), "table": (None, json.dumps({"a": "x" * 2_000_000}))}
    assert result(call(length)(files=parts)) == [2_000_000, 2_000_000]


def test_texts_that_would_fill_the_memory_are_a_413(call, monkeypatch):
    monkeypatch.setattr("farcall_server.inputs.IN_MEMORY_BYTES", 1_000_000)

    def length(a: str, b: str):
        return len(a + b)

    served = call(length)
    assert result(served(files={"a": (None, "x" * 500_000), "b": (None, "x" * 500_000)})) == 1_000_000
    assert served(files={"a": (None, "x" * 500_001), "b": (None, "x" * 500_000)}).status_code == 413


# --- what is no file -------------------------------------------------------------------------------------------------

NOT_OPENED = "a path on this server is never opened"
REFUSED = [
    ("/etc/passwd", NOT_OPENED),
    ("/usr/bin/env", NOT_OPENED),  # its letters could be base64
    ("/etc/no/such", NOT_OPENED),  # as above: whether there is such a file cannot be told from the answer
    ("../secret.png", NOT_OPENED),
    ("photos\\secret.png", NOT_OPENED),
    ("photo.png", NOT_OPENED),
    ("~", NOT_OPENED),
    ("a b", NOT_OPENED),
    ("QQ==QQ==", NOT_OPENED),
    ("QUJD" * 30_000 + "!", "base64"),
    ("file:///etc/passwd", "never opened"),
    ("FILE:/etc/passwd", "never opened"),
    ("ftp://127.0.0.1/x", "not fetched"),
    ("gopher://127.0.0.1/x", "not fetched"),
    ("http://", "no http, https or data address"),
    ("http://[/", "no http, https or data address"),
    ("https:///x", "no http, https or data address"),
    ("data:image/gif;base64,%%%", "cannot be read"),
    ("data:image/gif;base64,QUJDR", "cannot be read"),
    ("data:image/gif;base64," + "QUJD" * 30_000 + "Q", "base64"),
    ("data:x", "no comma"),
    ("{", "no JSON"),
    ('{"file_name": "a"}', "holds content"),
    ('{"content": 5}', "holds content"),
    ('{"content": "/etc/passwd"}', "never opened"),
    ('{"content": "file:///etc/passwd"}', "never opened"),
    ('{"content": "photo.png"}', "never opened"),
    ('{"content": "QUJD", "file_name": 5}', "each a text"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[text[:40] for text, _ in REFUSED])
@pytest.mark.parametrize("send", [as_json, as_form, as_multipart])
def test_what_is_no_file_is_a_422_that_says_what_would_be(call, send, text, said, tmp_path):
    reply = call(describe)(**send(text))
    assert reply.status_code == 422
    (detail,) = reply.json()["detail"]
    assert detail["loc"] == ["body", "photo"]
    assert said in detail["msg"]
    assert len(reply.text) < 1500


@pytest.mark.parametrize("value", [5, None, True, [], {}, ["QUJD"]])
def test_a_json_value_that_is_no_file_is_a_422(call, value):
    reply = call(describe)(json={"photo": value})
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == ["body", "photo"]


def test_what_is_refused_leaves_nothing_on_the_disk(call, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    served = call(describe)
    large = b64(LARGE)
    for request in (
        {"json": {"photo": large, "more": 5}},
        {"data": {"photo": large, "unknown": 1}},
        {"files": {"photo": LARGE, "more": (None, "data:x;base64," + large + "!")}},
    ):
        assert served(**request).status_code == 422
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\x00b.png", "ab.png"),
        ("..", "file"),
        ("x" * 300 + ".png", "x" * 160 + ".png"),
        ("/", "file"),
    ],
)
def test_a_file_name_is_a_bare_name_however_it_came(call, sent, name):
    served = call(describe)
    assert result(served(json={"photo": {"file_name": sent, "content": "QUJD"}}))[0][0] == name
    head = f'--x\r\nContent-Disposition: form-data; name="photo"; filename="{sent}"\r\n\r\nABC\r\n--x--\r\n'
    reply = served(content=head.encode(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert result(reply)[0][0] == name


def test_a_file_part_that_holds_an_address_or_a_path_is_just_its_bytes(call):
    served = call(describe)
    for text in (b"http://127.0.0.1/x", b"/etc/passwd", b"data:image/gif;base64,QUJD"):
        assert result(served(files={"photo": ("t.txt", text)}))[0] == ["t.txt", "text/plain", len(text), b64(text[:8])]


@pytest.mark.parametrize("text", ["A", "AB", "ABC", "A===", "AB=C", "A B=", "ÄÄÄÄ", "QUJD=QUJ", "-_-_"])
def test_what_is_not_quite_base64_is_refused(text):
    with pytest.raises(ValueError):
        decoded(text, None)


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(raw_server):
    """A server of files; `elsewhere.url` is on the loopback."""

    async def handler(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
        await writer.drain()
        return False

    return raw_server(handler)


def as_query(value):
    return {"params": {"photo": value}}


@pytest.mark.parametrize(
    ("kind", "send"),
    [
        *itertools.product(["task", "async task", "plain", "async plain"], [as_json, as_form, as_multipart]),
        ("plain", as_query),
        ("async plain", as_query),
    ],
)
def test_an_address_in_a_text_is_fetched_before_the_function_runs(serve, elsewhere, own, kind, send):
    app = FastTaskAPI(fetch_hosts=["127.0.0.1"])

    async def describe_async(photo: File):
        return describe(photo)

    function = describe_async if "async" in kind else describe
    if "task" in kind:
        app.task_endpoint("/f")(function)
    else:
        app.endpoint("/f", methods=["POST", "GET"])(function)
    method = "GET" if send is as_query else "POST"
    reply = serve(app).request(method, "/f", headers={**own, "prefer": "wait=30"}, **send(f"{elsewhere.url}/cat.png"))
    value = result(reply) if "task" in kind else reply.json()
    assert value == [["cat.png", "image/png", 200_000, b64(b"x" * 8)]]


def test_an_address_that_may_not_be_fetched_fails_the_job_with_the_reason(call, elsewhere):
    reply = call(describe)(json={"photo": f"{elsewhere.url}/cat.png?token=1"})
    job = reply.json()
    assert (reply.status_code, job["state"]) == (200, "failed")
    said = f"photo: {elsewhere.url}/cat.png leads to 127.0.0.1, which is no public address"
    assert job["error"]["message"].startswith(said)
    assert job["error"]["type"] == "FileError"
    assert not {"token", "farcall_server", "aiohttp"} & set(re.findall(r"\w+", job["error"]["traceback"]))
    assert elsewhere.requests == []


def test_an_address_that_may_not_be_fetched_is_a_422_of_a_plain_endpoint(serve, app, elsewhere):
    app.endpoint("/f")(describe)
    reply = serve(app).post("/f", json={"photo": elsewhere.url})
    assert reply.status_code == 422
    assert "photo: " in reply.json()["detail"][0]["msg"]


def test_the_files_fetched_for_one_call_have_one_limit_together(serve, elsewhere, own):
    app = FastTaskAPI(fetch_hosts=["127.0.0.1"], max_upload_bytes=300_000)
    app.task_endpoint("/f")(describe)
    body = {"photo": elsewhere.url, "more": [elsewhere.url]}
    job = serve(app).post("/f", json=body, headers={**own, "prefer": "wait=30"}).json()
    assert job["state"] == "failed"
    assert "300000 bytes for all files of a call together" in job["error"]["message"]


def test_the_files_of_one_call_are_fetched_side_by_side(call, raw_server):
    import asyncio

    second = asyncio.Event()

    async def handler(request, writer):
        if request[1] == "/second":
            second.set()
        await second.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        return False

    url = raw_server(handler).url
    job = call(describe, fetch_hosts=["127.0.0.1"])(json={"photo": f"{url}/first", "more": [f"{url}/second"]}).json()
    assert [file[0] for file in job["result"]] == ["first", "second"]


def test_a_call_that_names_very_many_addresses_fetches_none(call, elsewhere):
    job = call(describe, fetch_hosts=["127.0.0.1"])(json={"photo": b64(SMALL), "more": [elsewhere.url] * 101}).json()
    assert job["error"]["message"].startswith("more: a call may name 100 files")
    assert elsewhere.requests == []


def test_a_job_that_waits_for_a_download_can_be_cancelled(serve, raw_server, own):
    import asyncio

    async def silent(request, writer):
        await asyncio.Event().wait()

    app = FastTaskAPI(fetch_hosts=["127.0.0.1"])
    app.task_endpoint("/f")(describe)
    client, there = serve(app), raw_server(silent)
    job_id = client.post("/f", json={"photo": there.url}, headers=own).json()["id"]
    while not there.requests:
        client.get("/health")
    client.post(f"/cancel/{job_id}", headers=own)
    assert client.get(f"/status/{job_id}?wait=20", headers=own).json()["state"] == "cancelled"
