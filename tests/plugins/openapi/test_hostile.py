"""A service that means harm gets nothing run, nothing sent elsewhere, and no more memory or time than is its due."""

import gzip
import json
import time
import tracemalloc
from typing import Annotated

import farcall
import pytest
from farcall.errors import ProtocolError, Refused
from fastapi import Body, FastAPI, Request
from fastapi.responses import RedirectResponse, Response

NAMES = [
    "__import__('os').system('true')",
    "a): pass\nimport os #",
    "__class__",
    "__init__",
    "_engine",
    "self",
    "args",
    "kwargs",
    "None",
    "${jndi:ldap://x}",
    "\u202eevil",
    "a" * 10_000,
    "",
]


@pytest.fixture
def echo(serve):
    app = FastAPI(openapi_url=None)

    @app.post("/op/{rest:path}")
    async def op(rest: str, request: Request):
        return await request.json()

    return serve(app).url


def operation(name, parameters=("x",)):
    schema = {
        "type": "object",
        "properties": {each: {"type": "integer", "default": f"{each}()"} for each in parameters},
    }
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"operationId": name, "summary": name, "description": name, "requestBody": body, "responses": {}}


def document(paths, **more):
    return {"openapi": "3.1.0", "info": {"title": NAMES[0], "version": NAMES[1]}, "paths": paths, **more}


def test_operations_of_any_name_are_endpoints_under_plain_names(echo):
    paths = {f"/op/{number}": {"post": operation(name)} for number, name in enumerate(NAMES)}
    with farcall.connect(document(paths), provider="openapi", url=echo) as svc:
        assert svc.problems == ()
        assert len(svc.endpoints) == len(NAMES)
        assert all(name.isidentifier() and not name.startswith("__") for name in svc.endpoints)
        assert all(endpoint(x=3) == {"x": 3} for endpoint in svc.endpoints.values())
        assert type(svc).__name__ == "Service"
        repr(svc)
        help_texts = [str(endpoint) for endpoint in svc.endpoints.values()]
    assert len(help_texts) == len(NAMES)


def test_parameters_of_any_name_can_be_given_by_their_plain_name(echo):
    paths = {"/op/one": {"post": operation("one", [name for name in NAMES if name])}}
    with farcall.connect(document(paths), provider="openapi", url=echo) as svc:
        names = list(svc.one.spec.parameters)
        assert all(name.isidentifier() for name in names)
        assert svc.one(**dict.fromkeys(names, 3)) == {name: 3 for name in NAMES if name}
        assert svc.one.submit(self=3).result() == {"self": 3}
        assert list(svc.one.pages(self=3)) == [{"self": 3}]


LOOPS = {
    "itself": {"A": {"$ref": "#/components/schemas/A"}},
    "round": {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}},
    "all": {"A": {"allOf": [{"$ref": "#/components/schemas/A"}]}},
    "any": {"A": {"anyOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/A"}]}},
    "items": {"A": {"type": "array", "items": {"$ref": "#/components/schemas/A"}}},
    "wide": {f"A{n}" if n else "A": {"allOf": [{"$ref": f"#/components/schemas/A{n + 1}"}] * 30} for n in range(30)}
    | {"A30": {"type": "integer"}},
}


@pytest.mark.parametrize("schemas", LOOPS.values(), ids=LOOPS)
def test_references_that_lead_round_are_left_out_or_bound_in_no_time(echo, schemas):
    loop = operation("loop")
    loop["requestBody"]["content"]["application/json"]["schema"] = {"$ref": "#/components/schemas/A"}
    paths = {"/op/loop": {"post": loop}, "/op/fine": {"post": operation("fine")}}
    began = time.process_time()
    with farcall.connect(document(paths, components={"schemas": schemas}), provider="openapi", url=echo) as svc:
        assert svc.fine(x=1) == {"x": 1}
        assert len(svc.endpoints) + len(svc.problems) == 2
    assert time.process_time() - began < 3


def test_a_reply_that_is_a_gzip_bomb_is_refused_by_its_decoded_size(serve):
    bomb = gzip.compress(b"[" + b" " * 300_000_000 + b"]", 9)
    app = FastAPI()

    @app.get("/bomb")
    def bombed():
        return Response(bomb, media_type="application/json", headers={"content-encoding": "gzip"})

    with farcall.connect(serve(app).url) as svc, pytest.raises(ProtocolError, match="67,108,864 bytes"):
        svc.bombed()


def test_neither_key_nor_body_follows_a_redirect_to_another_host(serve):
    other = FastAPI()
    other.seen = []

    @other.api_route("/{path:path}", methods=["GET", "POST"])
    async def anything(path: str, request: Request):
        other.seen.append((request.method, str(request.headers), await request.body()))
        return "stolen"

    place = serve(other).url
    app = FastAPI()

    @app.post("/write")
    def write(words: Annotated[str, Body(embed=True)]):
        return RedirectResponse(f"{place}/write", 307)

    @app.get("/read")
    def read():
        return RedirectResponse(f"{place}/read", 302)

    with farcall.connect(serve(app).url, api_key="s3cret") as svc:
        with pytest.raises(Refused, match="connect there if you trust it"):
            svc.write(words="h1dden")
        assert svc.read() == "stolen"
    assert [method for method, _, _ in other.seen] == ["GET"]
    assert "s3cret" not in str(other.seen)


def test_a_document_of_2_mb_connects_in_under_a_second(echo):
    schemas = {
        f"Model{n}": {
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"type": "integer"},
                "next": {"$ref": f"#/components/schemas/Model{(n + 1) % 2000}"},
                **{
                    f"field_{k}": {"type": "string", "maxLength": 80, "description": "What it is. " * 3}
                    for k in range(8)
                },
            },
        }
        for n in range(2000)
    }
    paths = {}
    for n in range(800):
        one = operation(f"op{n}")
        one["requestBody"]["content"]["application/json"]["schema"] = {"$ref": f"#/components/schemas/Model{n}"}
        paths[f"/op/{n}"] = {"post": one}
    whole = json.dumps(document(paths, components={"schemas": schemas}))
    assert len(whole) > 2_000_000
    tracemalloc.start()
    try:
        loaded = json.loads(whole)
        farcall.connect(loaded, provider="openapi", url=echo).close()
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    began = time.process_time()  # not the clock's: what else this machine does is no fault of the document
    with farcall.connect(loaded, provider="openapi", url=echo) as svc:
        took = time.process_time() - began
        assert len(svc.endpoints) == 800
    assert took < 1.0
