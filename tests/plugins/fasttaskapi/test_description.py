import copy
import json
from pathlib import Path

import pytest
from farcall.errors import ProtocolError
from farcall.files import File
from farcall.jobs import Recognition
from farcall.media import Kind, bare, taking
from farcall.spec import REQUIRED, Place, SecurityScheme
from farcall.wire import Document, Response
from plugins.fasttaskapi.asking import bound

from plugins.fasttaskapi import asking

# Fetched 2026-11-24 from apipod 1.0.33 (fastapi 0.165) in simulated serverless mode.
SERVERLESS = json.loads((Path(__file__).parent / "apipod_1.0.33.json").read_text())
DEDICATED = {**SERVERLESS, "info": {**SERVERLESS["info"], "apipod": {"compute": "dedicated", "version": "1.0.33"}}}

BINARY_0115 = {"type": "string", "format": "binary"}
BINARY_0165 = {"type": "string", "contentMediaType": "application/octet-stream"}
IMAGE = {"$ref": "#/components/schemas/ImageFileModel"}
TEXT = {"type": "string"}
NULL = {"type": "null"}
COMPONENTS = {
    "schemas": {
        "ImageFileModel": {"type": "object", "properties": {}, "x-media-type": "ImageFile"},
        "JobResult": {"type": "object", "properties": {"endpoint_protocol": TEXT}},
        "Fries": {
            "type": "object",
            "properties": {"name": TEXT, "n": {"type": "integer", "default": 2}},
            "required": ["name"],
        },
        "Loop": {"$ref": "#/components/schemas/Loop"},
        "Nest": {"anyOf": [TEXT, {"type": "array", "items": {"$ref": "#/components/schemas/Nest"}}]},
    }
}
JOB_REPLY = {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobResult"}}}}}


def operation(schema=None, kind="application/x-www-form-urlencoded", responses=JOB_REPLY, **more):
    body = {} if schema is None else {"requestBody": {"content": {kind: {"schema": schema}}}}
    return {"post": {**body, "responses": responses, **more}}


def fields(**properties):
    return {"type": "object", "properties": properties}


def document(paths, info=None, **more):
    info = {"title": "T", "version": "1", "fast-task-api": "1.3.3"} if info is None else info
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": COMPONENTS, **more}


def describe(content, url="http://gpu.lan:8000", at=None):
    place = f"{url}/openapi.json" if at is None else at
    return asking.fta().describe(bound(url=url), Document(content=content, url=place))


def only(schema, kind="application/x-www-form-urlencoded", info=None, **more):
    [endpoint] = describe(document({"/x": operation(schema, kind, **more)}, info)).endpoints
    return endpoint


# --- whose it is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (document({}), Recognition.CERTAIN),
        (document({}, {"apipod": {"compute": "dedicated"}}), Recognition.CERTAIN),
        (document({}, {"farcall": {"protocol": 1, "version": "0.1.0"}}), Recognition.CERTAIN),
        (document({"/status": operation()}, {"title": "FastTaskAPI"}), Recognition.CERTAIN),
        (document({"/status": operation()}, {"apipod": {}, "runpod": {}}), Recognition.NO),
        (document({"/status": operation()}, {"fast-task-api": "1.3.3", "runpod": {}}), Recognition.NO),
        (document({}, {"title": "Pets"}), Recognition.NO),
        ([], Recognition.NO),
        ({"info": 3, "paths": []}, Recognition.NO),
    ],
)
def test_a_service_is_known_by_its_mark(content, how):
    assert asking.fta().recognise("http://h:1", Document(content=content)) is how


def test_an_address_alone_tells_nothing():
    assert asking.fta().recognise("http://h:1", None) is Recognition.NO


# --- fetching it ------------------------------------------------------------------------------------------


def fetched(url, answers):
    flow = asking.fta().discover(bound(url=url))
    asked = []
    try:
        request = next(flow)
        while True:
            asked.append(request.url)
            request = flow.send(answers.get(request.url, Response(status=404)))
    except StopIteration as end:
        return asked, end.value


def page(content):
    return Response(status=200, headers={"content-type": "application/json"}, content=json.dumps(content).encode())


def test_the_description_is_fetched_under_the_address():
    content = document({})
    asked, found = fetched("http://h:1", {"http://h:1/openapi.json": page(content)})
    assert asked == ["http://h:1/openapi.json"]
    assert found == Document(content=content, url="http://h:1/openapi.json")


def test_under_a_prefix_the_root_is_asked_too():
    root = document({"/api/add": {"post": {}}})
    asked, found = fetched("http://h:1/api", {"http://h:1/openapi.json": page(root)})
    assert asked == ["http://h:1/api/openapi.json", "http://h:1/openapi.json"]
    assert found.url == "http://h:1/openapi.json"


def test_the_roots_description_is_not_taken_for_one_of_an_address_it_holds_no_path_of():
    asked, found = fetched("http://h:1/docs", {"http://h:1/openapi.json": page(document({"/add": {"post": {}}}))})
    assert asked == ["http://h:1/docs/openapi.json", "http://h:1/openapi.json"]
    assert found is None


@pytest.mark.parametrize(
    "answer",
    [page([1]), page({"swagger": 1}), Response(status=200, headers={"content-type": "text/html"}, content=b"<p>")],
)
def test_what_is_no_description_is_not_taken_for_one(answer):
    assert fetched("http://h:1", {"http://h:1/openapi.json": answer})[1] is None


def test_a_description_that_is_cut_short_is_an_error():
    broken = Response(status=200, headers={"content-type": "application/json"}, content=b'{"paths":')
    with pytest.raises(ProtocolError):
        fetched("http://h:1", {"http://h:1/openapi.json": broken})


# --- a real one -------------------------------------------------------------------------------------------


def test_apipods_own_routes_are_no_endpoints():
    spec = describe(SERVERLESS)
    assert [endpoint.name for endpoint in spec.endpoints] == [
        "slow", "plain_one", "pic", "pics", "nothing", "kaput", "gen", "gend", "getter",
    ]  # fmt: skip
    assert spec.problems == ()
    assert spec.traits == {"dialect": "apipod", "compute": "serverless"}


def test_apipods_parameters_are_read():
    slow = next(e for e in describe(SERVERLESS).endpoints if e.name == "slow")
    assert (slow.path, slow.method, slow.operation_id) == ("/slow", "POST", "slow_slow_post")
    read = {name: (p.type, p.default, p.place) for name, p in slow.parameters.items()}
    assert read == {
        "name": (str, REQUIRED, Place.FORM),
        "amount": (int, 1, Place.FORM),
        "flag": (bool, False, Place.FORM),
        "tags": (list[str] | None, None, Place.FORM),
        "seconds": (float, 0.5, Place.FORM),
    }


def test_apipods_files_are_read():
    endpoints = {e.name: e for e in describe(SERVERLESS).endpoints}
    one, several = endpoints["pic"].parameters["img"], endpoints["pics"].parameters["imgs"]
    assert (one.type, one.place) == (taking(File, Kind.IMAGE), Place.FILE)
    assert bare(several.type) == list[File]


def test_apipod_says_per_endpoint_whether_it_makes_jobs():
    jobs = {e.name: e.job for e in describe(SERVERLESS).endpoints}
    assert (jobs["slow"], jobs["plain_one"]) == (True, False)
    assert not any(e.job for e in describe(DEDICATED).endpoints)


# --- bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (BINARY_0115, File),
        (BINARY_0165, File),
        ({"anyOf": [BINARY_0115, IMAGE, TEXT]}, File),
        ({"anyOf": [BINARY_0165, IMAGE, TEXT]}, File),
        ({"anyOf": [BINARY_0165, IMAGE, TEXT, NULL]}, File | None),
        (IMAGE, File),
        ({"allOf": [IMAGE]}, File),
        ({"type": "array", "items": BINARY_0165}, list[File]),
        ({"anyOf": [{"type": "array", "items": {"anyOf": [BINARY_0115, TEXT]}}, NULL]}, list[File] | None),
    ],
)
def test_a_file_is_known_in_every_spelling(schema, kind):
    parameter = only(fields(f=schema), "multipart/form-data").parameters["f"]
    assert (bare(parameter.type), parameter.place) == (kind, Place.FILE)
    assert (parameter.type != kind) == ("ImageFileModel" in str(schema))  # which says more: what kind of file


def test_a_text_is_no_file():
    assert only(fields(f=TEXT)).parameters["f"].place is Place.FORM


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/components/schemas/Fries"},
        {"allOf": [{"$ref": "#/components/schemas/Fries"}], "properties": {}},
    ],
)
def test_a_model_is_flattened_into_its_fields(schema):
    parameters = only(schema).parameters
    assert {name: p.default for name, p in parameters.items()} == {"name": REQUIRED, "n": 2}


def test_a_parameter_the_server_fills_in_is_hidden():
    assert list(only(fields(job_progress={}, a=TEXT)).parameters) == ["a"]


def test_a_standard_schema_is_json():
    endpoint = only({"$ref": "#/components/schemas/Fries"}, "application/json", {"apipod": {"compute": "serverless"}})
    assert {p.place for p in endpoint.parameters.values()} == {Place.JSON}
    assert endpoint.traits == {}


def test_a_json_body_that_is_no_object_is_one_parameter():
    endpoint = only({"type": "array", "items": {"type": "integer"}}, "application/json")
    assert (endpoint.parameters["body"].type, endpoint.traits) == (list[int], {"root": "body"})


def test_a_field_whose_name_is_no_python_name_keeps_it_as_an_alias():
    [(name, parameter)] = only(fields(**{"max-size": TEXT})).parameters.items()
    assert (name, parameter.alias) == ("max_size", "max-size")


def test_parameters_outside_the_body_are_read_and_the_operations_own_win():
    paths = {
        "/x/{item}": {
            "parameters": [
                {"name": "item", "in": "path", "required": True, "schema": {"type": "integer"}},
                {"name": "q", "in": "query", "schema": TEXT},
            ],
            "get": {
                "operationId": "read_x_x__item__get",
                "description": "Reads.",
                "deprecated": True,
                "parameters": [
                    {"name": "q", "in": "query", "description": "How.", "schema": {"type": "integer", "default": 3}}
                ],
                "responses": {"200": {"content": {"application/json": {"schema": {"type": "number"}}}}},
            },
        }
    }
    [endpoint] = describe(document(paths)).endpoints
    assert (endpoint.name, endpoint.method, endpoint.doc, endpoint.deprecated) == ("read_x", "GET", "Reads.", True)
    assert (endpoint.job, endpoint.result) == (False, float)
    item, q = endpoint.parameters["item"], endpoint.parameters["q"]
    assert (item.type, item.place, item.default) == (int, Place.PATH, REQUIRED)
    assert (q.type, q.place, q.default, q.doc) == (int, Place.QUERY, 3, "How.")


# --- ours -------------------------------------------------------------------------------------------------

OURS = {"title": "Fries", "farcall": {"protocol": 1, "version": "0.1.0"}}


def test_ours_marks_the_endpoints_that_make_jobs():
    paths = {"/a": operation(fields(n=TEXT), "application/json", **{"x-farcall": {"job": True}}), "/b": operation()}
    spec = describe(document(paths, OURS))
    assert [(e.path, e.job) for e in spec.endpoints] == [("/a", True), ("/b", False)]
    assert spec.traits == {"dialect": "farcall"}


def test_ours_lists_jobs_under_a_route_that_is_no_endpoint():
    paths = {"/jobs/{job_id}/files/{n}": operation(), "/jobs": operation(), "/jobs-board": operation()}
    assert [e.path for e in describe(document(paths, OURS)).endpoints] == ["/jobs-board"]
    assert len(describe(document(paths)).endpoints) == 3


def test_beside_an_optional_file_ours_leaves_the_encoding_to_what_is_sent():
    parameters = only(fields(f=BINARY_0115, n=TEXT), "multipart/form-data", OURS).parameters
    assert (parameters["f"].place, parameters["n"].place) == (Place.FILE, None)


def test_a_way_to_show_a_key_is_read():
    schemes = {
        "a": {"type": "apiKey", "in": "header", "name": "X-Key"},
        "b": {"type": "http", "scheme": "Bearer"},
        "c": {"type": "http", "scheme": "basic"},
        "d": {"type": "oauth2"},
        "e": 3,
    }
    content = document({}, OURS)
    content["components"] = {"securitySchemes": schemes}
    assert describe(content).security == (
        SecurityScheme(kind="header", name="X-Key"),
        SecurityScheme(kind="bearer"),
        SecurityScheme(kind="basic"),
    )


# --- prefixes ---------------------------------------------------------------------------------------------

PREFIXED = document(
    {"/api/status": operation(), "/api/health": operation(), "/api/add": operation(), "/health": operation()}
)


def test_a_prefix_in_the_document_is_remembered_for_the_servers_own_routes():
    spec = describe(PREFIXED)
    assert spec.traits == {"dialect": "fasttaskapi", "prefix": "/api"}
    assert [e.path for e in spec.endpoints] == ["/api/add", "/health"]


def test_a_prefix_in_the_address_is_not_said_twice():
    spec = describe(PREFIXED, "http://h:1/api", "http://h:1/openapi.json")
    assert spec.traits == {"dialect": "fasttaskapi"}
    assert "/add" in [e.path for e in spec.endpoints]


def test_a_document_of_a_mounted_app_is_relative_to_the_mount():
    content = document({"/status": operation(), "/api/add": operation()})
    spec = describe(content, "http://h:1/api", "http://h:1/api/openapi.json")
    assert [e.path for e in spec.endpoints] == ["/api/add"]


# --- what cannot be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        operation({"$ref": "#/components/schemas/Loop"}),
        operation({"$ref": "#/components/schemas/Absent"}),
        operation({"$ref": "https://elsewhere.example/schema"}),
        operation(TEXT, "application/xml"),
        {"post": {"parameters": [{"name": "a", "in": "moon", "schema": TEXT}]}},
        {"post": {"parameters": [{"in": "query"}]}},
        {"post": {"parameters": [3]}},
        {"post": 3},
        {"head": {}},
        3,
    ],
)
def test_what_cannot_be_read_is_listed_and_the_rest_is_there(broken):
    content = document({"/broken": broken, "/fine": operation(fields(a=TEXT))})
    before = copy.deepcopy(content)
    spec = describe(content)
    assert [e.path for e in spec.endpoints] == ["/fine"]
    assert len(spec.problems) == 1
    assert "/broken" in spec.problems[0].where
    assert content == before


def test_a_schema_that_holds_itself_is_read():
    assert "n" in only(fields(n={"$ref": "#/components/schemas/Nest"})).parameters


@pytest.mark.parametrize(
    "content", [None, [], 3, {}, {"paths": []}, {"paths": {"/x": None}, "info": 3, "components": []}]
)
def test_a_document_that_is_none_is_read_as_an_empty_service(content):
    assert describe(content).endpoints == ()


def test_a_function_whose_path_ends_as_the_servers_own_is_left_in_and_moves_none_of_them():
    spec = describe(document({"/order/status": operation(), "/jobs": operation()}, OURS))
    assert [e.path for e in spec.endpoints] == ["/order/status"]
    assert "prefix" not in spec.traits
