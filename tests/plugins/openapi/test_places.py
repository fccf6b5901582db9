"""Documents where services really keep them: YAML, pages that link to them, files, and slow or huge ones."""

import asyncio
import gzip
import json
import time

import farcall
import pytest
from farcall import connecting
from farcall.errors import ConfigError, ProtocolError, Unreachable, UsageError
from farcall_openapi import parsing
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

YAML = """\
openapi: 3.1.0
info: {title: Yaml, version: 2020-01-01}
paths:
  /greet:
    get:
      operationId: greet
      parameters:
        - {name: who, in: query, required: true, schema: {type: string}}
      responses: {200: {description: ok, content: {application/json: {schema: {type: string}}}}}
"""


def app_with(routes):
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/greet")
    def greet(who: str):
        return f"hello {who}"

    for path, (media_type, content) in routes.items():
        app.add_api_route(path, lambda content=content, media_type=media_type: Response(content, media_type=media_type))
    return app


def greeting(serve, routes, path=""):
    with farcall.connect(serve(app_with(routes)).url + path) as svc:
        assert svc.problems == ()
        return svc.greet(who="you")


@pytest.mark.parametrize("media_type", ["application/yaml", "text/plain", "application/octet-stream", None])
def test_a_yaml_document_is_found_whatever_it_is_served_as(serve, media_type):
    assert greeting(serve, {"/openapi.yaml": (media_type, YAML)}) == "hello you"


def test_a_yaml_document_is_read_from_its_own_address(serve):
    assert greeting(serve, {"/spec/my.yml": ("application/yaml", YAML)}, "/spec/my.yml") == "hello you"


PAGES = {
    "/docs": """<script>SwaggerUIBundle({url: '/hidden/spec.json', dom_id: '#ui'})</script>""",
    "/redoc": """<redoc spec-url="hidden/spec.json"></redoc>""",
    "/apidocs/": """<script>window.config = {"url": "\\/hidden\\/spec.json"}</script>""",
    "/": """<a href="style.css">x</a> <a href="/hidden/spec.json?a=1&amp;b=2">The API</a>""",
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_for_people_leads_to_the_document(serve, page):
    content = json.dumps(parsing.parse(YAML.encode()))
    routes = {page: ("text/html", PAGES[page]), "/hidden/spec.json": ("application/json", content)}
    assert greeting(serve, routes) == "hello you"


def test_a_page_that_was_given_leads_to_the_document(serve):
    routes = {"/v2/docs": ("text/html", "<div data-url='/v2/spec.yaml'>"), "/v2/spec.yaml": (None, YAML)}
    assert greeting(serve, routes, "/v2/docs") == "hello you"


def test_a_link_to_another_host_is_not_followed(serve):
    asked = []
    other = FastAPI()

    @other.get("/spec.json")
    def spec():
        asked.append("spec")

    page = f"<redoc spec-url='{serve(other).url}/spec.json'>"
    with pytest.raises(UsageError, match="No installed provider knows"):
        greeting(serve, {"/docs": ("text/html", page)})
    assert asked == []


def test_the_bindings_spec_may_be_a_yaml_file_or_its_address(serve, tmp_path):
    path = tmp_path / "api.yaml"
    path.write_text(YAML)
    url = serve(app_with({"/elsewhere": ("application/yaml", YAML)})).url
    for spec in (str(path), f"{url}/elsewhere"):
        with farcall.connect(url, provider="openapi", spec=spec) as svc:
            assert svc.greet(who="you") == "hello you"


@pytest.mark.parametrize("name", ["api.yaml", "api.json"])
def test_the_path_of_a_document_is_a_source(serve, tmp_path, name):
    path = tmp_path / name
    path.write_text(YAML if name == "api.yaml" else json.dumps(parsing.parse(YAML.encode())))
    url = serve(app_with({})).url
    for source, options in ((path, {}), (path, {"provider": "openapi"}), (url, {"spec": str(path)})):
        with farcall.connect(source, **{"url": url, **options}) as svc:
            assert svc.greet(who="you") == "hello you"


def test_a_path_that_was_meant_for_a_source_is_told_how(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "api.yaml").write_text("a: 1")
    with pytest.raises(UsageError, match=r"A description in a file is given as Path\('api.yaml'\)"):
        farcall.connect("api.yaml")
    with pytest.raises(UsageError, match=r"knows the service at .*api.yaml"):
        farcall.connect(tmp_path / "api.yaml")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        farcall.connect(tmp_path / "other.yaml")


@pytest.mark.parametrize(
    ("content", "why"),
    [("{", "it is no JSON: EOF"), ("a: b: c", "neither JSON nor YAML"), ("{}", "no OpenAPI document")],
)
def test_an_address_whose_document_is_broken_says_so(serve, content, why):
    url = serve(app_with({"/mine.json": ("application/json", content)})).url
    with pytest.raises(UsageError, match=why):
        farcall.connect(f"{url}/mine.json", provider="openapi")


def test_a_file_that_is_no_document_says_so(tmp_path):
    path = tmp_path / "api.yaml"
    path.write_text("a: b: c")
    with pytest.raises(UsageError, match="neither JSON nor YAML"):
        farcall.connect("http://h.test", provider="openapi", spec=str(path))


# --- hostile ----------------------------------------------------------------------------------------------------


def test_a_file_of_200_mb_is_refused_quickly(tmp_path):
    path = tmp_path / "api.json"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    began = time.monotonic()
    with pytest.raises(ConfigError, match="larger than the 33,554,432 bytes"):
        farcall.connect("http://h.test", provider="openapi", spec=str(path))
    assert time.monotonic() - began < 2


def test_a_document_that_says_it_has_200_mb_is_not_begun(raw_server):
    async def huge(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 200000000\r\n\r\n{")
        await writer.drain()
        return False

    with pytest.raises(ProtocolError, match="has 200,000,000 bytes"):
        farcall.connect(raw_server(huge).url, provider="openapi")


def test_a_document_that_never_ends_is_refused_quickly(raw_server):
    async def endless(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
            await writer.drain()

    began = time.monotonic()
    with pytest.raises(ProtocolError, match="larger than the 33,554,432 bytes"):
        farcall.connect(raw_server(endless).url, provider="openapi")
    assert time.monotonic() - began < 5


def test_a_gzip_bomb_is_refused_by_its_decoded_size(serve):
    import tracemalloc

    bomb = gzip.compress(b" " * 300_000_000, 9)
    app = FastAPI(openapi_url=None)

    @app.get("/openapi.json")
    def document():
        return Response(bomb, media_type="application/json", headers={"content-encoding": "gzip"})

    url = serve(app).url
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="33,554,432 bytes"):
            farcall.connect(url, provider="openapi")
        assert tracemalloc.get_traced_memory()[1] < 150_000_000
    finally:
        tracemalloc.stop()


def test_a_description_that_drips_is_given_up(raw_server, monkeypatch):
    monkeypatch.setattr(connecting, "DESCRIPTION_S", 0.3)

    async def drip(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    with pytest.raises(Unreachable, match="has not sent its description within"):
        farcall.connect(raw_server(drip).url, provider="openapi")


def test_the_key_does_not_follow_a_redirect_to_another_host(serve):
    seen = []
    other = FastAPI(openapi_url=None)

    @other.get("/x.yaml")
    def anything(request: Request):
        seen.append(dict(request.headers))
        return Response(YAML, media_type="application/yaml")

    target = serve(other).url
    app = FastAPI(openapi_url=None)

    @app.get("/openapi.json")
    def moved():
        return PlainTextResponse("", 302, {"location": f"{target}/x.yaml"})

    with farcall.connect(serve(app).url, provider="openapi", api_key="s3cret") as svc:
        assert list(svc.endpoints) == ["greet"]
    assert len(seen) == 1
    assert "s3cret" not in str(seen)


# --- sources without a network ----------------------------------------------------------------------------------


def test_an_application_in_this_process_is_a_source():
    app = FastAPI()

    @app.get("/greet")
    def greet(who: str) -> str:
        return f"hello {who}"

    with farcall.connect(app) as svc:
        assert svc.greet(who="you") == "hello you"


def test_a_document_alone_is_a_source_where_it_names_its_server(serve):
    app = FastAPI()

    @app.get("/v2/greet")
    def greet(who: str) -> str:
        return f"hello {who}"

    host, _, port = serve(app).url.removeprefix("http://").partition(":")
    server = {
        "url": "http://{host}:{port}/{version}",
        "variables": {"host": {"default": "nowhere.test"}, "port": {"default": port}, "version": {"default": "v2"}},
    }
    item = app.openapi()["paths"]["/v2/greet"]
    document = {"openapi": "3.1.0", "servers": [{"url": "http://nowhere.test"}, server], "paths": {"/greet": item}}
    said = {"server": 1, "server_variables": {"host": host}}
    with farcall.connect(document, provider="openapi", **said) as svc:
        (greet_,) = svc.endpoints.values()
        assert greet_(who="you") == "hello you"


def test_one_endpoint_answers_with_whatever_it_has(serve):
    app = FastAPI()
    replies = {
        "json": JSONResponse({"a": 1}),
        "made": JSONResponse({"id": 7}, 201),
        "words": PlainTextResponse("grüß"),
        "picture": Response(b"\x89PNG", media_type="image/png"),
        "nothing": Response(status_code=204),
    }
    contents = {
        "application/json": {},
        "text/plain": {},
        "image/png": {"schema": {"type": "string", "format": "binary"}},
    }

    @app.get("/any", responses={200: {"content": contents}, 201: {"model": dict[str, int]}, 204: {}})
    def anything(kind: str):
        return replies[kind]

    with farcall.connect(serve(app).url) as svc:
        assert svc.anything(kind="json") == {"a": 1}
        assert svc.anything(kind="made") == {"id": 7}
        assert svc.anything(kind="words") == "grüß"
        assert svc.anything(kind="picture").read() == b"\x89PNG"
        assert svc.anything(kind="nothing") is None
