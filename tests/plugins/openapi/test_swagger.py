"""Swagger 2.0 documents: converted by a library, then read like any other."""

import contextlib
import copy
import json
import sys
from typing import Annotated

import farcall
import pytest
from farcall.errors import InputError, UsageError
from farcall.files import File
from farcall.spec import Place, SecurityScheme
from fastapi import FastAPI, Header, Query, UploadFile
from fastapi.responses import Response
from hypothesis import given
from hypothesis import strategies as st

DOCUMENT = {
    "swagger": "2.0",
    "info": {"title": "old", "version": "1"},
    "basePath": "/v2",
    "consumes": ["application/json"],
    "produces": ["application/json"],
    "securityDefinitions": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
    "security": [{"key": []}],
    "definitions": {
        "Pet": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "maxLength": 5},
                "mother": {"$ref": "#/definitions/Pet"},
                "chip": {"type": "integer", "x-nullable": True},
            },
        }
    },
    "paths": {
        "/pets": {
            "get": {
                "operationId": "find pets",
                "parameters": [
                    {
                        "name": "tags",
                        "in": "query",
                        "type": "array",
                        "items": {"type": "string"},
                        "collectionFormat": "multi",
                    },
                    {"name": "X-Page", "in": "header", "type": "integer", "default": 1},
                ],
                "responses": {"200": {"description": "found"}},
            },
            "post": {
                "operationId": "add_pet",
                "parameters": [
                    {"name": "pet", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Pet"}}
                ],
                "responses": {"200": {"description": "added", "schema": {"$ref": "#/definitions/Pet"}}},
            },
        },
        "/pets/{number}/photo": {
            "post": {
                "consumes": ["multipart/form-data"],
                "produces": ["image/png"],
                "parameters": [
                    {"name": "number", "in": "path", "required": True, "type": "integer"},
                    {"name": "photo", "in": "formData", "required": True, "type": "file"},
                    {"name": "words", "in": "formData", "type": "string"},
                ],
                "responses": {"200": {"description": "the photo", "schema": {"type": "file"}}},
            }
        },
    },
}


@pytest.fixture
def url(serve):
    app = FastAPI(openapi_url=None)

    @app.get("/swagger.json")
    def document():
        return DOCUMENT

    @app.get("/v2/pets")
    def find(
        tags: Annotated[list[str], Query()], x_key: Annotated[str, Header()], x_page: Annotated[int, Header()] = 1
    ):
        return [*tags, x_page, x_key]

    @app.post("/v2/pets")
    def add(pet: dict):
        return pet

    @app.post("/v2/pets/{number}/photo")
    async def photo(number: int, photo: UploadFile):
        return Response(await photo.read(), media_type="image/png")

    return serve(app).url


def test_a_service_that_describes_itself_by_swagger_2_is_called_like_any_other(url):
    with farcall.connect(url, api_key="k") as svc:
        assert svc.problems == ()
        assert svc.find_pets(tags=["a", "b"]) == ["a", "b", 1, "k"]
        assert svc.add_pet(name="Rex", mother={"name": "Ada"}) == {"name": "Rex", "mother": {"name": "Ada"}}
        assert svc.photo(number=7, photo=File.from_bytes(b"\x89PNG", name="p.png")).read() == b"\x89PNG"


def test_its_arguments_are_held_to_its_schemas(url):
    with farcall.connect(url) as svc:
        with pytest.raises(InputError, match="name"):
            svc.add_pet(name="Methuselah")
        with pytest.raises(InputError, match=r"\['name'\]"):
            svc.add_pet(name="Rex", mother={"name": "Methuselah"})


def test_its_dialect_is_translated(bind):
    spec = bind(DOCUMENT).spec
    find, add, photo = spec.endpoints
    assert [each.name for each in spec.endpoints] == ["find_pets", "add_pet", "photo"]
    assert spec.security == (SecurityScheme(kind="header", name="X-Key"),)
    assert spec.traits["url"] == "http://service.test/v2"
    assert find.parameters["x_page"].default == 1
    assert not add.parameters["chip"].required
    assert {name: each.place for name, each in photo.parameters.items()} == {
        "number": Place.PATH,
        "photo": Place.FILE,
        "words": Place.FORM,
    }
    assert photo.result is File


def test_it_is_not_changed_by_being_converted(bind):
    before = copy.deepcopy(DOCUMENT)
    bind(DOCUMENT)
    assert before == DOCUMENT


def test_a_path_that_cannot_be_converted_is_a_problem_and_the_others_bind(bind):
    broken = {**DOCUMENT, "paths": {"/broken": {"get": {"responses": {"200": 4}}}, **DOCUMENT["paths"]}}
    spec = bind(broken).spec
    assert [each.name for each in spec.endpoints] == ["find_pets", "add_pet", "photo"]
    assert [problem.where for problem in spec.problems] == ["/broken"]
    assert "cannot be converted from Swagger 2.0" in spec.problems[0].why


def test_an_operation_that_the_converter_drops_is_a_problem(bind):
    broken = {"/pets": {"get": 7, "post": DOCUMENT["paths"]["/pets"]["post"]}}
    spec = bind({**DOCUMENT, "paths": broken}).spec
    assert [each.name for each in spec.endpoints] == ["add_pet"]
    assert [problem.where for problem in spec.problems] == ["GET /pets"]


@pytest.mark.parametrize(
    ("said", "query", "form"),
    [
        (None, "l=a,b", b"l=a%2Cb"),  # Swagger 2.0: csv is the default
        ("csv", "l=a,b", b"l=a%2Cb"),
        ("ssv", "l=a%20b", b"l=a+b"),
        ("pipes", "l=a%7Cb", b"l=a%7Cb"),
        ("multi", "l=a&l=b", b"l=a&l=b"),
    ],
)
def test_lists_are_written_as_swagger_2_says(bind, said, query, form):
    more = {} if said is None else {"collectionFormat": said}
    a_list = {"name": "l", "type": "array", "items": {"type": "string"}, **more}
    paths = {
        "/q": {"get": {"operationId": "q", "parameters": [{**a_list, "in": "query"}], "responses": {}}},
        "/f": {
            "post": {
                "operationId": "f",
                "consumes": ["application/x-www-form-urlencoded"],
                "parameters": [{"$ref": "#/parameters/l"}],
                "responses": {},
            }
        },
    }
    service = bind({**DOCUMENT, "paths": paths, "parameters": {"l": {**a_list, "in": "formData"}}})
    assert service.spec.problems == ()
    assert service.request("q", l=["a", "b"]).url == f"http://service.test/v2/q?{query}"
    assert service.request("f", l=["a", "b"]).body == form


def _places(value, path=()):
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from _places(item, (*path, key))


@given(
    place=st.sampled_from([path for path in _places(DOCUMENT) if path and path[0] != "swagger"]),
    junk=st.sampled_from([None, 7, "x", True, [], {}, [None], {"a": 7}, [[]], {"$ref": "#/paths"}, {"$ref": "#"}]),
)
def test_junk_anywhere_in_it_leaves_the_other_paths_or_is_refused_with_a_sentence(bind, place, junk):
    document = copy.deepcopy(DOCUMENT)
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = junk
    with contextlib.suppress(UsageError):  # its sentence says that it cannot be converted
        assert len(bind(document).spec.endpoints) <= 3


def test_what_openapi_3_cannot_say_is_a_problem(bind):
    tabs = {"name": "tags", "in": "query", "type": "array", "items": {"type": "string"}, "collectionFormat": "tsv"}
    paths = {"/pets": {"get": {"operationId": "find", "parameters": [tabs], "responses": {}}}}
    spec = bind({**DOCUMENT, "paths": paths}).spec
    assert [each.name for each in spec.endpoints] == ["find"]
    (problem,) = spec.problems
    assert problem.where == "GET /pets"
    assert "tsv" in problem.why


def test_a_document_that_is_beyond_the_converter_is_refused_with_its_sentence(bind):
    deep = {}
    for _ in range(300):
        deep = {"type": "array", "items": deep}
    with pytest.raises(UsageError, match=r"cannot be converted: .*nesting"):
        bind({**DOCUMENT, "definitions": {"Deep": deep}})
    for _ in range(5_000):
        deep = [deep]
    spec = bind({**DOCUMENT, "paths": {"/deep": {"get": {"parameters": deep}}, **DOCUMENT["paths"]}}).spec
    assert [problem.where for problem in spec.problems] == ["/deep"]


def test_files_beside_it_are_read(tmp_path):
    whole = copy.deepcopy(DOCUMENT)
    (tmp_path / "pet.json").write_text(json.dumps({"definitions": whole.pop("definitions")}))
    text = json.dumps(whole).replace("#/definitions/", "pet.json#/definitions/")
    (tmp_path / "api.json").write_text(text)
    with farcall.connect("http://h.test", provider="openapi", spec=str(tmp_path / "api.json")) as svc:
        assert svc.problems == ()
        assert svc.add_pet.spec.parameters["name"].required


def test_a_version_that_yaml_makes_a_number_of_is_meant_all_the_same(bind):
    assert [each.name for each in bind({**DOCUMENT, "swagger": 2.0}).spec.endpoints] == [
        each.name for each in bind(DOCUMENT).spec.endpoints
    ]
    assert bind({"openapi": 3.1, "paths": {}}).spec.traits["openapi"] == "3.1"


def test_without_the_library_a_sentence_says_what_to_do(bind, monkeypatch):
    monkeypatch.setitem(sys.modules, "spec2openapi", None)
    with pytest.raises(UsageError, match=r"Swagger 2\.0 document.*openapi\[swagger\].*npx swagger2openapi"):
        bind(DOCUMENT)


def test_openapi_3_does_without_the_library(bind, monkeypatch):
    monkeypatch.setitem(sys.modules, "spec2openapi", None)
    assert bind({"openapi": "3.1.0", "paths": {}}).spec.problems == ()


def test_a_big_one_binds_whole(url):
    item = DOCUMENT["paths"]["/pets"]
    definitions = {f"Pet{n}": {**DOCUMENT["definitions"]["Pet"], "description": "long " * 200} for n in range(2000)}
    paths = {f"/pets/{n}": item for n in range(400)}
    whole = {**DOCUMENT, "paths": paths, "definitions": {**DOCUMENT["definitions"], **definitions}}
    assert len(json.dumps(whole)) > 2_000_000
    with farcall.connect(whole, provider="openapi", url=url) as svc:
        assert (len(svc.endpoints), svc.problems) == (800, ())


@pytest.mark.parametrize("version", ["1.2", "3.0"])
def test_another_version_is_refused_by_its_number(bind, version):
    with pytest.raises(UsageError, match=f"OpenAPI {version}; 3.0, 3.1 and Swagger 2.0 are read"):
        bind({"swagger": version, "paths": {}})
