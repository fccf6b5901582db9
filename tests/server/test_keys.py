"""With keys set, only who shows one may call; the documentation says how."""

import asyncio

import httpx
import pytest
from farcall.errors import ConfigError
from farcall_server import FastTaskAPI, keys
from fastapi import Depends, FastAPI, WebSocket
from fastapi.security import HTTPBasic

KEY = {"authorization": "Bearer first"}


def make(**options):
    app = FastTaskAPI(**options)

    @app.task_endpoint("/add")
    def add(a: int) -> int:
        return a + 1

    @app.get("/own")
    def own():
        return "own"

    return app


@pytest.fixture
def client(serve):
    return serve(make(api_keys=["first", "second, with a comma"]))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/add"),
        ("GET", "/own"),
        ("GET", "/status/x"),
        ("GET", "/status?job_id=x"),
        ("POST", "/status?job_id=x"),
        ("POST", "/cancel/x"),
        ("GET", "/stream/x"),
        ("GET", "/jobs/x/files/0"),
        ("GET", "/nowhere"),
        ("GET", "/health/../own"),
        ("GET", "//health"),
    ],
)
@pytest.mark.parametrize(
    "shown",
    [{}, {"authorization": "Bearer"}, {"authorization": "Bearer wrong"}, {"authorization": "Basic first"},
     {"authorization": "first"}, {"authorization": b"Bearer \xff"}],
)  # fmt: skip
def test_without_a_key_nothing_is_served_and_the_reply_says_how(client, method, path, shown):
    reply = client.request(method, path, headers=shown)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer" in reply.json()["detail"]


@pytest.mark.parametrize("shown", ["Bearer first", "bearer first", "Bearer second, with a comma"])
def test_each_of_the_keys_opens_it(client, shown):
    headers = {"authorization": shown, "prefer": "wait=20"}
    assert client.post("/add", json={"a": 1}, headers=headers).json()["result"] == 2
    assert client.get("/own", headers=headers).json() == "own"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/docs", "/openapi.json"])
def test_health_and_documentation_need_no_key(client, path):
    assert client.get(path).status_code == 200


def test_the_same_under_a_mount(serve):
    app = make(api_keys=["first"])
    outer = FastAPI()
    outer.mount("/svc", app)
    outer.docs_url, outer.title, outer.release = None, "outer", app.release
    client = serve(outer)
    assert client.get("/svc/health").status_code == 200
    assert client.get("/svc/own").status_code == 401
    assert client.get("/svc/own", headers=KEY).status_code == 200


@pytest.mark.parametrize(("headers", "answer"), [([], "close"), ([(b"authorization", b"Bearer first")], "accept")])
def test_a_websocket_needs_a_key_too(headers, answer):
    app = make(api_keys=["first"])

    @app.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.close()

    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "path": "/ws", "headers": headers, "query_string": b"", "subprotocols": []}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["type"] == f"websocket.{answer}"


def test_keys_come_from_the_environment_unless_the_program_names_some(monkeypatch):
    monkeypatch.setenv("FTAPI_API_KEYS", " a , b,")
    assert FastTaskAPI().api_keys == ("a", "b")
    assert FastTaskAPI(api_keys=["c"]).api_keys == ("c",)
    assert FastTaskAPI(api_keys=[]).api_keys == ()
    monkeypatch.delenv("FTAPI_API_KEYS")
    assert FastTaskAPI().api_keys == ()


@pytest.mark.parametrize("given", [[""], [" a"], ["a\n"], ["é"], "a text"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(given):
    with pytest.raises(ConfigError, match="must be") as refused:
        keys.configured(given)
    assert "é" not in str(refused.value)


def test_the_document_says_that_a_key_is_wanted_and_how_it_is_shown(client):
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["ApiKey"] == {"type": "http", "scheme": "bearer"}
    assert document["security"] == [{"ApiKey": []}]
    for path, method in (("/add", "post"), ("/own", "get")):
        assert "401" in document["paths"][path][method]["responses"]
    open_document = make().openapi()
    assert "security" not in open_document
    assert "401" not in open_document["paths"]["/add"]["post"]["responses"]


def test_an_operation_with_a_scheme_of_its_own_wants_both():
    app = make(api_keys=["first"])

    @app.get("/more", dependencies=[Depends(HTTPBasic())])
    def more():
        return 1

    assert app.openapi()["paths"]["/more"]["get"]["security"] == [{"HTTPBasic": [], "ApiKey": []}]


def test_a_refused_request_does_not_reach_the_queue(client):
    assert httpx.post(f"{client.base_url}/add", json={"a": 1}).status_code == 401
    assert len(client.server.served.store) == 0
