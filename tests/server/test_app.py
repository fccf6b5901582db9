"""Decorators, paths, plain endpoints; FastAPI stays FastAPI, and its dependencies are never skipped."""

import asyncio
import contextlib
import threading

import httpx
import pytest
from farcall.errors import UsageError
from farcall_server import FastTaskAPI, File, JobProgress
from fastapi import Depends, FastAPI, Form, Header, HTTPException, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

NOW = {"prefer": "wait=20"}


def test_it_exports_exactly_its_three_names():
    import farcall.files
    import farcall_server

    assert farcall_server.__all__ == ["FastTaskAPI", "File", "JobProgress"]
    assert File is farcall.files.File
    assert issubclass(FastTaskAPI, FastAPI)


def test_a_path_is_served_in_its_normal_spelling_and_as_written(serve, app):
    @app.task_endpoint(path="/Make_Fries/{Item}", queue_size=100)
    def make_fries(job_progress: JobProgress, Item: str, amount: int = 1):  # noqa: N803
        return f"{amount} {Item}"

    @app.endpoint("under_score")
    def under_score():
        return "u"

    client = serve(app)
    for path in ("/make-fries/Krinkle", "/Make_Fries/Krinkle"):
        assert client.post(path, headers=NOW).json()["result"] == "1 Krinkle"
    assert client.post("/under-score").json() == client.post("/under_score").json() == "u"
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/make-fries/{Item}", "/under-score", "/jobs"}


def test_the_function_itself_stays_callable(app):
    @app.task_endpoint("/add")
    def add(a: int, b: int = 1):
        return a + b

    assert add(2) == 3


def test_a_plain_endpoint_replies_with_the_result(serve, app):
    @app.endpoint("/normal", methods=["GET", "POST"])
    def normal(image: str, n: int = 0, job_progress: JobProgress | None = None):
        job_progress.set_status(0.5)
        return [image, n, threading.current_thread().name]

    @app.endpoint("/on-loop")
    async def on_loop(n: int):
        return {"n": n, "thread": threading.current_thread().name}

    @app.endpoint("/text")
    def text():
        return PlainTextResponse("as it is")

    client = serve(app)
    assert client.get("/normal?image=a&n=3").json() == ["a", 3, "farcall-plain"]
    assert client.post("/normal", data={"image": "b"}).json() == ["b", 0, "farcall-plain"]
    assert client.post("/normal", json={"image": "b", "n": 1}).json() == ["b", 1, "farcall-plain"]
    assert client.get("/normal?image=a&n=x").status_code == 422
    assert client.post("/on-loop", json={"n": 1}).json() == {"n": 1, "thread": "test-server"}
    assert client.post("/text").text == "as it is"


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("error", "status"), [(HTTPException(418, "tea"), 418), (ValueError("x"), 500), (SystemExit(1), 500)]
)
def test_a_plain_endpoint_that_raises_leaves_the_server_up(serve, app, asynchronous, error, status):
    def f():
        raise error

    async def af():
        raise error

    app.endpoint("/f")(af if asynchronous else f)
    client = serve(app)
    reply = client.post("/f")
    assert reply.status_code == status
    assert reply.json()["detail"]
    assert client.get("/health").status_code == 200


def test_fastapi_itself_is_untouched(serve):
    seen = []

    @contextlib.asynccontextmanager
    async def lifespan(app):
        seen.append("up")
        yield {"key": "value"}
        seen.append("down")

    app = FastTaskAPI(lifespan=lifespan, version="7")

    class Item(BaseModel):
        n: int

    @app.post("/Item_Path")
    def item(item: Item, request: Request, x_key: str = Header()):
        return [item.n, x_key, request.state.key]

    @app.get("/q")
    async def query(a: int = 1):
        return a

    client = serve(app)
    assert client.post("/Item_Path", json={"n": 1}, headers={"x-key": "k"}).json() == [1, "k", "value"]
    assert client.get("/q?a=4").json() == 4
    assert client.get("/docs").status_code == 200
    assert client.get("/openapi.json").json()["info"]["version"] == "7"
    client.server.stop()
    assert seen == ["up", "down"]


def test_startup_handlers_run_as_in_fastapi(serve, app):
    seen = []
    app.router.on_startup.append(lambda: seen.append("up"))
    serve(app)
    assert seen == ["up"]


# --- dependencies


def auth(x_key: str = Header(default="")):
    if x_key != "secret":
        raise HTTPException(401, "no key")


JOB_ROUTES = [
    ("POST", "/f"),
    ("POST", "/F"),
    ("GET", "/status/{id}"),
    ("GET", "/status?job_id={id}"),
    ("POST", "/status?job_id={id}"),
    ("POST", "/status"),
    ("POST", "/cancel/{id}"),
    ("GET", "/jobs/{id}/files/0"),
    ("GET", "/jobs"),
]


def test_the_apps_dependencies_apply_to_every_job_route(serve):
    app = FastTaskAPI(dependencies=[Depends(auth)])
    ran = []

    @app.task_endpoint("/F")
    def f(photo: File | None = None):
        ran.append(1)
        return b"bytes"

    @app.endpoint("/plain")
    def plain():
        return 1

    client = serve(app)
    key = {"x-key": "secret"}
    job = client.post("/f", files={"photo": b"x" * 100_000}, headers={**key, **NOW}).json()
    assert job["status"] == "Finished"
    for method, path in [*JOB_ROUTES, ("POST", "/plain")]:
        assert client.request(method, path.format(id=job["id"])).status_code == 401, path
    assert ran == [1]
    for method, path in JOB_ROUTES[2:]:
        body = {"json": {"ids": [job["id"]]}} if path == "/status" else {}
        assert client.request(method, path.format(id=job["id"]), headers=key, **body).status_code == 200, path
    assert client.get("/health").status_code == 200


def test_an_endpoints_own_dependencies_apply_to_it(serve, app):
    @app.task_endpoint("/f", dependencies=[Depends(auth)])
    def f():
        return 1

    @app.endpoint("/plain", dependencies=[Depends(auth)])
    def plain():
        return 1

    client = serve(app)
    for path in ("/f", "/plain"):
        assert client.post(path).status_code == 401
        assert client.post(path, headers={"x-key": "secret"}).status_code == 200


def test_a_dependency_may_read_the_whole_body_and_the_function_gets_it_too(serve):
    async def signed(request: Request):
        if not await request.body():
            raise HTTPException(401)

    app = FastTaskAPI(dependencies=[Depends(signed)])
    app.task_endpoint("/f")(lambda a=0: a)
    client = serve(app)
    assert client.post("/f", json={"a": 5}, headers=NOW).json()["result"] == 5


def test_dependency_overrides_apply(serve):
    app = FastTaskAPI(dependencies=[Depends(auth)])
    app.task_endpoint("/f")(lambda: 1)
    app.dependency_overrides[auth] = lambda: None
    assert serve(app).post("/f").status_code == 200


def test_the_documentation_shows_the_security_of_job_routes():
    app = FastTaskAPI(dependencies=[Depends(HTTPBearer())])

    @app.task_endpoint("/f")
    def f(a: int):
        return a

    operation = app.openapi()["paths"]["/f"]["post"]
    assert operation["security"] == [{"HTTPBearer": []}]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["required"] == ["a"]


def test_a_dependency_that_takes_a_part_of_the_body_is_refused(app):
    def needs(token: str = Form()):
        return token

    with pytest.raises(UsageError, match="header, a cookie or a query"):
        app.task_endpoint("/f", dependencies=[Depends(needs)])(lambda: 1)
    with pytest.raises(UsageError, match="a dependency takes a part of the body"):
        FastTaskAPI(dependencies=[Depends(needs)])


def test_dependencies_added_too_late_are_refused_at_start(app):
    app.router.dependencies.append(Depends(auth))

    async def begin():
        async with app.router.lifespan_context(app):
            raise AssertionError("it started")

    with pytest.raises(UsageError, match="FastTaskAPI\\(dependencies"):
        asyncio.run(begin())


def test_it_runs_in_the_callers_own_process_without_a_lifespan(app):
    @app.task_endpoint("/f")
    def f(a: int):
        return a

    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return (await client.post("/f", json={"a": 3}, headers=NOW)).json()

    for _ in range(2):  # each time on another event loop
        assert asyncio.run(ask())["result"] == 3


# --- refusals


def generator():
    yield 1


def depends(user=Depends(auth)):  # noqa: B008 - what users write
    return user


def upload(photo: bytes):
    return photo


def positional(a, /):
    return a


def unknown(a: "Nowhere"):  # noqa: F821
    return a


class Holder(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    photo: File


def odd(a: threading.Lock().__class__):
    return a


def test_a_file_inside_a_model_is_a_data_address_and_never_a_path_of_the_server(serve):
    app = FastTaskAPI()

    @app.endpoint("/nested", methods=["POST"])
    def nested(holder: Holder) -> str:
        return holder.photo.read().decode()

    client = serve(app)
    assert client.post("/nested", json={"holder": {"photo": "data:text/plain;base64,aGk="}}).json() == "hi"
    for path in (__file__, "http://127.0.0.1:9/x"):
        assert client.post("/nested", json={"holder": {"photo": path}}).status_code == 422
    assert "/nested" in client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (depends, "dependencies="),
        (upload, "take a File"),
        (positional, "plain name"),
        (lambda *args: args, "plain name"),
        (unknown, "Nowhere"),
    ],
)
def test_a_function_that_no_request_can_fill_is_refused_with_a_sentence(app, function, sentence):
    for decorate in (app.task_endpoint("/f"), app.endpoint("/f")):
        with pytest.raises(UsageError, match=sentence):
            decorate(function)


def test_a_plain_endpoint_does_not_stream(app):
    with pytest.raises(UsageError, match="task_endpoint"):
        app.endpoint("/f")(generator)


def test_a_path_is_served_once(app):
    app.task_endpoint("/f_f")(lambda: 1)
    for path in ("/f-f", "/F_F"):
        with pytest.raises(UsageError, match="served already"):
            app.endpoint(path)(lambda: 1)
    for path in ("/status", "/docs", "/cancel/{job_id}"):
        with pytest.raises(UsageError, match="served already"):
            app.endpoint(path, methods=["GET", "POST"])(lambda job_id=1: 1)


def test_a_template_needs_a_parameter(app):
    with pytest.raises(UsageError, match="item"):
        app.task_endpoint("/x/{item}")(lambda: 1)


def test_other_keywords_are_taken_where_the_function_takes_them(serve, app):
    @app.task_endpoint("/f")
    def f(a: int, **more):
        return [a, more]

    assert serve(app).post("/f", json={"a": 1, "b": "2"}, headers=NOW).json()["result"] == [1, {"b": "2"}]
