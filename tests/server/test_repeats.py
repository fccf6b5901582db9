"""A submission sent again under the same key is the same job."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from farcall_server import FastTaskAPI, File

OWN = {"accept": MEDIA_TYPE, "prefer": "wait=20"}


@pytest.fixture
def calls():
    return []


@pytest.fixture
def client(serve, app, calls):
    @app.task_endpoint("/note", result_ttl_s=3600)
    def note(n: int) -> int:
        calls.append(n)
        return n

    @app.task_endpoint("/brief", result_ttl_s=0)
    def brief(n: int) -> int:
        calls.append(n)
        return n

    return serve(app)


def submit(client, key, n=1, path="/note", **headers):
    return client.post(path, json={"n": n}, headers={**OWN, "idempotency-key": key, **headers})


def test_a_repeated_submission_is_answered_with_the_job_it_made(client, calls):
    first, second = submit(client, "a").json(), submit(client, "a").json()
    assert second == first
    assert first["result"] == 1
    assert calls == [1]


def test_another_key_another_endpoint_and_another_caller_make_another_job(client, calls):
    jobs = [submit(client, "a"), submit(client, "b"), submit(client, "a", path="/brief")]
    jobs.append(submit(client, "a", authorization="Bearer other"))
    assert len({job.json()["id"] for job in jobs}) == 4
    assert len(calls) == 4


def test_without_a_key_each_submission_is_a_job(client, calls):
    for _ in range(2):
        client.post("/note", json={"n": 1}, headers=OWN)
    assert calls == [1, 1]


def test_submissions_under_one_key_at_once_make_one_job(client, calls):
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: submit(client, "same").json(), range(64)))
    assert len({reply["id"] for reply in replies}) == 1
    assert calls == [1]


def test_a_key_may_be_used_again_once_its_job_is_forgotten(client, calls):
    submit(client, "a", path="/brief")
    assert submit(client, "a", path="/brief").status_code == 200
    assert len(calls) == 2


def test_a_repeated_submission_is_not_refused_by_the_full_queue_its_job_stands_in(serve, app):
    gate = threading.Event()

    @app.task_endpoint("/slow", queue_size=1)
    def slow():
        gate.wait(20)

    client = serve(app)
    own = {"accept": MEDIA_TYPE}
    replies = [client.post("/slow", headers={**own, "idempotency-key": key}) for key in "aabbcb"]
    gate.set()
    assert [reply.status_code for reply in replies] == [200, 200, 200, 200, 429, 200]
    ids = [reply.json().get("id") for reply in replies]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3] == ids[5]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_empty_or_too_long_is_refused(client, key):
    reply = submit(client, key)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == ["header", "idempotency-key"]


def test_a_repeated_upload_leaves_no_file_behind(serve, app):
    from farcall_server import File

    @app.task_endpoint("/size")
    def size(photo: File) -> int:
        return photo.size

    client = serve(app)
    for _ in range(2):
        reply = client.post(
            "/size", files={"photo": ("a.bin", b"x" * 100_000)}, headers={**OWN, "idempotency-key": "a"}
        )
        assert reply.json()["result"] == 100_000


def test_a_key_sent_again_with_other_arguments_is_refused_with_a_sentence(client, calls):
    submit(client, "a", n=1)
    reply = submit(client, "a", n=2)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == ["header", "idempotency-key"]
    assert "was sent before with other arguments" in reply.json()["detail"][0]["msg"]
    assert submit(client, "a", n=1).json()["result"] == 1
    assert calls == [1]


@pytest.mark.parametrize("body", ['{"n": 1, "m": {"b": 1, "a": 2}}', ' {"m":{"a":2,"b":1},"n":1}'])
def test_the_same_arguments_written_otherwise_are_the_same(serve, app, body):
    app.task_endpoint("/f")(lambda n, m: n)
    client = serve(app)
    first = client.post("/f", json={"n": 1, "m": {"a": 2, "b": 1}}, headers={**OWN, "idempotency-key": "k"})
    again = client.post("/f", content=body, headers={**OWN, "idempotency-key": "k", "content-type": "application/json"})
    assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize("size", [10, 200_000])
def test_an_upload_of_other_bytes_is_another_argument_also_after_a_restart(serve, tmp_path, size):
    from farcall_server import File

    def make():
        app = FastTaskAPI(queue=f"sqlite:///{tmp_path / 'jobs.db'}")

        @app.task_endpoint("/size")
        def read(photo: File) -> int:
            return photo.size

        return serve(app)

    def upload(client, letter):
        files = {"photo": ("a.bin", letter * size)}
        return client.post("/size", files=files, headers={**OWN, "idempotency-key": "a"}).status_code

    first = make()
    assert [upload(first, b"x"), upload(first, b"x"), upload(first, b"y")] == [200, 200, 422]
    first.server.stop()
    second = make()
    assert [upload(second, b"x"), upload(second, b"y")] == [200, 422]
    assert len(list((tmp_path / "jobs.db.files").iterdir())) <= 1


def test_a_repeated_submission_is_known_after_a_restart(serve, tmp_path):
    calls = []

    def make():
        app = FastTaskAPI(queue=f"sqlite:///{tmp_path / 'jobs.db'}")

        @app.task_endpoint("/note")
        def note(n: int) -> int:
            calls.append(n)
            return n

        return serve(app)

    first = make()
    before = submit(first, "a").json()
    first.server.stop()
    after = submit(make(), "a").json()
    assert (after["id"], after["result"]) == (before["id"], 1)
    assert calls == [1]


@pytest.mark.parametrize("size", [10, 200_000])
def test_under_a_key_that_was_made_for_one_call_no_file_is_read(serve, monkeypatch, size):
    app = FastTaskAPI()

    @app.task_endpoint("/size")
    def f(file: File) -> int:
        return file.size

    client = serve(app)
    monkeypatch.setattr("farcall_server.repeats._read", lambda *_: pytest.fail("it was read"))

    def send(key, content, name="a.bin"):
        return client.post("/size", files={"file": (name, content)}, headers={"idempotency-key": key})

    first = send("once-a", b"x" * size)
    assert send("once-a", b"x" * size).json()["id"] == first.json()["id"]
    assert send("once-b", b"x" * size).json()["id"] != first.json()["id"]
    assert send("once-a", b"x" * (size + 1)).status_code == 422
    assert send("once-a", b"x" * size, name="b.bin").status_code == 422


def test_arguments_are_compared_under_every_key(client, calls):
    assert submit(client, "once-daily", n=1).status_code == 200
    assert submit(client, "once-daily", n=2).status_code == 422
    assert calls == [1]
