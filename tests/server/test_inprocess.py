"""An app's endpoints are called without a socket as the local server would call them."""

import asyncio
import base64
import io
import time
from contextlib import asynccontextmanager

import pytest
from farcall import State, errors
from farcall.jobs import Chunk
from farcall_server import FastTaskAPI, File, JobProgress
from farcall_server.inprocess import InProcess
from fastapi import Depends, HTTPException


@asynccontextmanager
async def begun(app):
    inside = InProcess(app)
    await inside.start()
    try:
        yield inside
    finally:
        await inside.stop()


def called(app, path, **arguments):
    """All that a call tells, to its end."""

    async def main():
        async with begun(app) as inside:
            answer = await inside.submit(path, arguments)
            if not hasattr(answer, "listeners"):
                return [answer]
            news = [each async for each in inside.follow(answer)]
            inside.forget(answer)
            assert len(app.store) == 0
            return news

    return asyncio.run(main())


@pytest.fixture
def app():
    return FastTaskAPI(shutdown_grace_s=0.2)


def test_a_job_tells_its_changes_its_pieces_and_its_end(app):
    @app.task_endpoint("/tell")
    def tell(job_progress: JobProgress, n: int):
        for number in range(n):
            yield number
            job_progress.set_status(number / n)

    news = called(app, "/tell", n="3")
    assert [each.value for each in news if isinstance(each, Chunk)] == [0, 1, 2]
    assert (news[-1].state, news[-1].result) == (State.SUCCEEDED, [0, 1, 2])
    assert all(not each.state.ended for each in news[:-1] if not isinstance(each, Chunk))


def test_files_lie_where_the_app_keeps_them_until_the_job_is_forgotten(app):
    @app.task_endpoint("/turn")
    def turn(img: File) -> File:
        return File.from_stream(io.BytesIO(img.read()[::-1]), name="t.png")

    given = "data:image/png;base64," + base64.b64encode(b"x" * 100_000 + b"y").decode()

    async def main():
        async with begun(app) as inside:
            job = await inside.submit("/turn", {"img": given})
            *_, end = [each async for each in inside.follow(job)]
            file = File(end.result)
            assert (file.name, file.read()[:2]) == ("t.png", b"yx")
            inside.forget(job)
            return file

    with pytest.raises(errors.FileError, match="can no longer be read"):
        asyncio.run(main()).read()


@pytest.mark.parametrize("path", ["/Make_Fries", "make-fries", "/make_fries/"])
def test_a_path_is_known_in_each_spelling(app, path):
    @app.task_endpoint("/make_fries")
    def make_fries() -> str:
        return "fries"

    assert called(app, path)[-1].result == "fries"


def test_an_unknown_path_is_refused_with_close_ones(app):
    app.task_endpoint("/speak")(lambda: None)
    with pytest.raises(errors.UnknownEndpoint, match=r"no endpoint '/speek'. Did you mean '/speak'\? It has: /speak"):
        called(app, "/speek")


def test_arguments_stand_in_the_path_the_query_and_the_body(app):
    @app.task_endpoint("/items/{name}")
    def item(name: str, n: int) -> list:
        return [name, n]

    @app.endpoint("/find", methods=["GET"])
    def find(q: str, tags: list[str], deep: bool = False, near: float | None = None) -> list:
        return [q, tags, deep, near]

    assert called(app, "/items/{name}", name="a b?", n=3)[-1].result == ["a b?", 3]
    assert called(app, "/find", q="hé & co", tags=["x", "y"], deep=True, near=None)[-1].result == [
        "hé & co",
        ["x", "y"],
        True,
        None,
    ]


def test_a_wrong_argument_is_refused_with_its_place(app):
    app.task_endpoint("/add")(_add)
    (end,) = called(app, "/add", a="x", c=1)
    assert (end.state, end.error_type) == (State.FAILED, "InputError")
    assert "body.a: " in end.error
    assert "body.c: " in end.error


def _add(a: int, b: int = 1) -> int:
    return a + b


def test_a_plain_endpoint_gives_its_value_its_file_or_its_failure(app):
    @app.endpoint("/plain")
    def plain(n: int) -> dict:
        return {"n": n}

    @app.endpoint("/picture")
    def picture() -> File:
        return File.from_bytes(b"pixels", media_type="image/png")

    @app.endpoint("/boom")
    async def boom():
        raise ValueError("kaput")

    @app.endpoint("/no")
    def no():
        raise HTTPException(418, "I am a teapot")

    assert called(app, "/plain", n="3")[-1].result == {"n": 3}
    file = called(app, "/picture")[-1].result
    assert (file.media_type, file.body.content) == ("image/png", b"pixels")
    (end,) = called(app, "/boom")
    assert (end.state, end.error, end.error_type) == (State.FAILED, "kaput", "ValueError")
    assert end.traceback.splitlines()[1].endswith("in boom")
    (end,) = called(app, "/no")
    assert (end.state, end.error, end.error_type) == (State.FAILED, "I am a teapot", "Refused")


def test_dependencies_and_keys_apply():
    app = FastTaskAPI(api_keys=["s3cret"])

    def refuse():
        raise HTTPException(403, "not you")

    app.task_endpoint("/closed", dependencies=[Depends(refuse)])(lambda: 1)
    app.task_endpoint("/open")(lambda: 2)
    (end,) = called(app, "/closed")
    assert (end.state, end.error) == (State.FAILED, "not you")
    assert called(app, "/open")[-1].result == 2


def test_a_call_waits_for_room_in_its_queue_instead_of_being_refused(app):
    running, most = [], []

    @app.task_endpoint("/narrow", queue_size=0)
    def narrow(n: int) -> int:
        running.append(n)
        most.append(len(running))
        time.sleep(0.01)
        running.remove(n)
        return n

    async def main():
        async with begun(app) as inside:

            async def one(n):
                job = await inside.submit("/narrow", {"n": n})
                *_, end = [each async for each in inside.follow(job)]
                inside.forget(job)
                return end.result

            return await asyncio.gather(*map(one, range(10)))

    assert asyncio.run(main()) == list(range(10))
    assert set(most) == {1}


def test_a_cancel_ends_a_running_job(app):
    @app.task_endpoint("/wait")
    async def wait():
        await asyncio.sleep(60)

    async def main():
        async with begun(app) as inside:
            job = await inside.submit("/wait", {})
            news = inside.follow(job)
            while (await anext(news)).state is not State.RUNNING:
                pass
            inside.cancel(job)
            *_, end = [each async for each in news]
            inside.forget(job)
            return end.state

    assert asyncio.run(main()) is State.CANCELLED


def test_the_lifespan_begins_and_ends_and_its_state_is_seen(own_home):
    said = []

    @asynccontextmanager
    async def lifespan(_):
        said.append("begun")
        yield {"model": "loaded"}
        said.append("ended")

    app = FastTaskAPI(lifespan=lifespan, queue="sqlite:///jobs.db")

    async def seen(request):
        said.append(request.state.model)

    from starlette.requests import Request

    seen.__annotations__["request"] = Request
    app.task_endpoint("/add", dependencies=[Depends(seen)])(_add)
    assert called(app, "/add", a=1)[-1].result == 2
    assert said == ["begun", "loaded", "ended"]
    assert not (own_home / "jobs.db").exists()  # the host keeps the jobs


def test_an_app_that_cannot_start_says_why_itself():
    @asynccontextmanager
    async def lifespan(_):
        raise RuntimeError("no GPU")
        yield

    with pytest.raises(RuntimeError, match="no GPU"):
        called(FastTaskAPI(lifespan=lifespan), "/x")


def test_so_many_calls_can_run_at_once_as_the_narrowest_endpoint_takes(app):
    assert InProcess(app).concurrency == 1
    app.endpoint("/plain")(lambda: 1)
    app.task_endpoint("/a", concurrency=8)(lambda: 1)
    assert InProcess(app).concurrency == 8
    app.task_endpoint("/b", concurrency=2)(lambda: 1)
    assert InProcess(app).concurrency == 2
