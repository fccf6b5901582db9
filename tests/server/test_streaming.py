"""Output is streamed as server-sent events, live, again from the start, or on from an event."""

import asyncio
import json
import threading

import pytest
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from farcall_server import JobProgress
from farcall_server.streaming import Streams

OWN = {"accept": f"text/event-stream, {MEDIA_TYPE}"}


def events(lines):
    """Each event as (name, id, value), as a browser reads them."""
    name, event_id, data = "message", "", None
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            event_id = value
        elif field == "data":
            data = json.loads(value)
        elif not line and data is not None:
            yield name, event_id, data
            name, data = "message", None


def streamed(client, job, headers=OWN):
    reply = client.get(f"/stream/{job['id']}", headers=headers)
    assert reply.headers["content-type"].startswith("text/event-stream")
    return list(events(reply.text.splitlines()))


def pieces(found):
    return [value for name, _, value in found if name == "message"]


def submit(client, path="/count", **arguments):
    return client.post(path, json=arguments, headers={"accept": MEDIA_TYPE, "prefer": "wait=20"}).json()


def count(n: int = 3):
    yield from range(n)


async def count_async(n: int = 3):
    for i in range(n):
        await asyncio.sleep(0)
        yield i


@pytest.fixture(params=[count, count_async])
def client(request, serve, app):
    app.task_endpoint("/count")(request.param)
    return serve(app)


def test_a_generators_result_is_the_list_of_its_pieces(client):
    assert submit(client)["result"] == [0, 1, 2]
    assert submit(client, n=0)["result"] == []


def test_an_ended_job_is_streamed_whole_as_often_as_wanted(client):
    job = submit(client)
    for _ in range(2):
        found = streamed(client, job)
        assert pieces(found) == [0, 1, 2]
        assert [event_id for name, event_id, _ in found if name == "message"] == ["1.0", "2.0", "3.0"]
        name, _, end = found[-1]
        assert (name, end["state"], end["result"]) == ("job", "succeeded", [0, 1, 2])


def test_a_stream_goes_on_after_the_event_that_was_seen_last(client):
    job = submit(client, n=5)
    assert pieces(streamed(client, job, {**OWN, "last-event-id": "3.0"})) == [3, 4]
    assert pieces(streamed(client, job, {**OWN, "last-event-id": "9.0"})) == []
    assert pieces(streamed(client, job, {**OWN, "last-event-id": "another server's"})) == [0, 1, 2, 3, 4]


def test_texts_are_put_together(serve, app):
    @app.task_endpoint("/say")
    def say():
        yield "a\nb "
        yield "\u2028é"

    client = serve(app)
    job = submit(client, "/say")
    assert job["result"] == "a\nb \u2028é"
    text = client.get(f"/stream/{job['id']}", headers=OWN).text
    assert pieces(list(events(text.split("\n")))) == ["a\nb ", "\u2028é"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_piece_arrives_before_the_next_is_made(serve, app, asynchronous):
    steps = [threading.Event() for _ in range(3)]

    def slowly():
        for i, step in enumerate(steps):
            assert step.wait(20)
            yield i

    async def slowly_async():
        for i, step in enumerate(steps):
            assert await asyncio.to_thread(step.wait, 20)
            yield i

    app.task_endpoint("/slowly")(slowly_async if asynchronous else slowly)
    client = serve(app)
    job = client.post("/slowly", headers={"accept": MEDIA_TYPE}).json()
    got = []
    with client.stream("GET", f"/stream/{job['id']}", headers=OWN) as reply:
        steps[0].set()
        for name, _, value in events(reply.iter_lines()):
            if name == "message":
                got.append(value)
                if len(got) < 3:
                    steps[len(got)].set()
    assert got == [0, 1, 2]


def test_looks_and_log_lines_stand_between_the_pieces_and_are_told_once(serve, app):
    @app.task_endpoint("/work")
    def work(job_progress: JobProgress):
        for i in range(3):
            job_progress.log(f"line {i}")
            yield i
        job_progress.set_status(0.5, "half")

    client = serve(app)
    job = submit(client, "/work")
    found = streamed(client, job)
    assert [v for name, _, v in found if name == "log"] == ["line 0", "line 1", "line 2"]
    assert "logs" not in found[-1][2]
    again = streamed(client, job, {**OWN, "last-event-id": "3.2"})
    assert [v for name, _, v in again if name == "log"] == ["line 2"]
    assert pieces(again) == []


def test_of_a_long_log_the_lines_that_are_kept_are_streamed(serve, app):
    @app.task_endpoint("/talk")
    def talk(job_progress: JobProgress):
        for i in range(1500):
            job_progress.log(str(i))

    client = serve(app)
    job = submit(client, "/talk")
    lines = [v for name, _, v in streamed(client, job) if name == "log"]
    assert lines == [str(i) for i in range(500, 1500)]
    rest = [v for name, _, v in streamed(client, job, {**OWN, "last-event-id": "0.1490"}) if name == "log"]
    assert rest == [str(i) for i in range(1490, 1500)]


def test_older_clients_find_the_stream_by_a_link_and_get_looks_in_their_form(client):
    job = client.post("/count", headers={"prefer": "wait=20"}).json()
    assert job["links"]["stream"] == f"/stream/{job['id']}"
    found = streamed(client, job, {})
    assert pieces(found) == [0, 1, 2]
    assert found[-1][2]["status"] == "Finished"


def test_a_file_among_the_pieces_is_sent_with_its_bytes(serve, app):
    @app.task_endpoint("/files")
    def files():
        yield {"picture": b"abc"}

    client = serve(app)
    job = submit(client, "/files")
    (ours,) = [v for name, _, v in streamed(client, job) if name == "chunk"]
    assert (ours["value"], ours["files"][0]["base64"], ours["files"][0]["at"]) == (
        {"picture": None}, "YWJj", ["picture"],
    )  # fmt: skip
    assert pieces(streamed(client, job, {}))[0]["picture"]["content"] == "YWJj"
    assert client.get(job["files"][0]["url"]).content == b"abc"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_generator_that_raises_fails_its_job_after_what_it_yielded(serve, app, asynchronous):
    def half():
        yield 1
        raise ValueError("no more")

    async def half_async():
        yield 1
        raise ValueError("no more")

    app.task_endpoint("/half")(half_async if asynchronous else half)
    client = serve(app)
    job = submit(client, "/half")
    assert (job["state"], job["error"]["message"]) == ("failed", "no more")
    found = streamed(client, job)
    assert pieces(found) == [1]
    assert found[-1][2]["state"] == "failed"


def test_a_piece_that_cannot_be_sent_fails_the_job_with_the_reason(serve, app):
    @app.task_endpoint("/odd")
    def odd():
        yield object()

    assert "cannot be sent" in submit(serve(app), "/odd")["error"]["message"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_cancelled_generator_stops_at_its_next_piece_and_cleans_up(serve, app, asynchronous):
    cleaned = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            cleaned.set()

    async def endless_async():
        try:
            while True:
                await asyncio.sleep(0.001)
                yield 0
        finally:
            cleaned.set()

    app.task_endpoint("/endless")(endless_async if asynchronous else endless)
    client = serve(app)
    job = client.post("/endless", headers={"accept": MEDIA_TYPE}).json()
    with client.stream("GET", f"/stream/{job['id']}", headers=OWN) as reply:
        found = events(reply.iter_lines())
        assert any(name == "message" for name, _, _ in found)
        client.post(f"/cancel/{job['id']}")
    assert cleaned.wait(20)
    assert client.get(f"/status/{job['id']}?wait=20", headers={"accept": MEDIA_TYPE}).json()["state"] == "cancelled"


def test_a_function_that_returns_a_generator_is_streamed_too(serve, app):
    app.task_endpoint("/wrapped")(lambda: count(2))
    client = serve(app)
    job = submit(client, "/wrapped")
    assert job["result"] == [0, 1]
    assert pieces(streamed(client, job)) == [0, 1]


def test_silence_is_filled_with_comments(serve, app, gate):
    @app.task_endpoint("/quiet")
    def quiet():
        gate.wait(20)

    streams = Streams(store=app.store, keep_alive_s=0.02)
    app.add_api_route("/often/{job_id}", streams.__call__, response_model=None)
    client = serve(app)
    job = client.post("/quiet", headers={"accept": MEDIA_TYPE}).json()
    comments = 0
    with client.stream("GET", f"/often/{job['id']}") as reply:
        for line in reply.iter_lines():
            comments += line == ": keep-alive"
            if comments == 3:
                gate.set()
    assert comments >= 3


def test_a_server_that_stops_ends_its_streams_at_once(serve, app, gate):
    @app.task_endpoint("/held")
    async def held():
        await asyncio.sleep(60)

    client = serve(app)
    job = client.post("/held", headers={"accept": MEDIA_TYPE}).json()
    with client.stream("GET", f"/stream/{job['id']}", headers=OWN) as reply:
        lines = reply.iter_lines()
        assert next(lines) == "event: job"
        client.server.should_exit = True
        assert list(lines)


def test_of_a_job_that_moves_without_end_looks_are_sent_at_a_pace(serve, app):
    @app.task_endpoint("/busy")
    def busy(job_progress: JobProgress):
        for i in range(20_000):
            job_progress.set_status(i / 20_000)

    client = serve(app)
    job = client.post("/busy", headers={"accept": MEDIA_TYPE}).json()
    found = streamed(client, job)
    assert len(found) < 500
    assert found[-1][2]["state"] == "succeeded"


def test_the_stream_of_an_unknown_job_is_a_404(client):
    assert client.get("/stream/nope", headers=OWN).status_code == 404
