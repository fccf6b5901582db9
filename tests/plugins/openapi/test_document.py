"""What a document becomes, whole or broken, in both dialects."""

import copy
import json
import pickle

import pytest
from farcall.errors import UsageError
from farcall.files import File
from farcall.spec import Place, unique_names
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

# The 3.0 dialect: nullable, boolean exclusiveMinimum, format binary, references into every kind of component.
SHOP = {
    "openapi": "3.0.3",
    "info": {"title": " Shop ", "version": "1.2", "description": "Sells."},
    "servers": [{"url": "https://shop.test/v1"}],
    "paths": {
        "/pets": {
            "parameters": [{"$ref": "#/components/parameters/Trace"}, {"name": "page", "in": "query"}],
            "get": {
                "operationId": "listPets",
                "summary": "All pets.",
                "description": "Page by page.",
                "parameters": [
                    {
                        "name": "page",
                        "in": "query",
                        "schema": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
                    },
                    {
                        "name": "status",
                        "in": "query",
                        "schema": {"type": "string", "enum": ["new", "old"], "default": "new"},
                    },
                    {"name": "Accept", "in": "header", "schema": {"type": "string"}},
                    {"name": "class", "in": "query", "deprecated": True, "description": "Use status.", "schema": {}},
                ],
                "responses": {"200": {"$ref": "#/components/responses/Pets"}, "404": {"description": "no"}},
            },
            "post": {
                "requestBody": {"$ref": "#/components/requestBodies/Pet"},
                "responses": {"201": {"description": "ok"}},
            },
        },
        "/pets/{petId}/photo": {
            "get": {
                "operationId": "get-photo!",
                "parameters": [{"name": "petId", "in": "path", "required": True, "schema": {"type": "integer"}}],
                "responses": {"2XX": {"content": {"image/png": {}, "application/problem+json": {}}}},
            },
        },
        "/pets/{petId}": {"delete": {"responses": {"204": {"description": "gone"}}}},
        "x-internal": {},
    },
    "components": {
        "parameters": {"Trace": {"name": "X-Trace", "in": "header", "schema": {"type": "string", "nullable": True}}},
        "requestBodies": {
            "Pet": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}
        },
        "responses": {
            "Pets": {
                "description": "ok",
                "content": {"application/json": {"schema": {"type": "array", "items": {"type": "string"}}}},
            }
        },
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "description": "What it is called."},
                    "owner": {"type": "string", "nullable": True},
                    "parent": {"$ref": "#/components/schemas/Pet"},
                },
            }
        },
    },
}


@pytest.fixture(scope="module")
def shop(bind):
    return bind(SHOP, url=None)


def test_the_three_oh_dialect_is_read_whole(shop):
    assert (shop.spec.title, shop.spec.version, shop.spec.doc) == ("Shop", "1.2", "Sells.")
    assert shop.spec.problems == ()
    assert [(each.method, each.path, each.name) for each in shop.spec.endpoints] == [
        ("GET", "/pets", "list_pets"),
        ("POST", "/pets", "pets"),
        ("GET", "/pets/{petId}/photo", "get_photo"),
        ("DELETE", "/pets/{petId}", "pets"),
    ]
    assert [each.name for each in unique_names(shop.spec.endpoints)] == [
        "list_pets",
        "pets",
        "get_photo",
        "pets_pet_id",
    ]


def test_an_operations_parameter_wins_over_its_paths(shop):
    page = shop.endpoint("list_pets").parameters["page"]
    assert [TypeAdapter(page.type).validate_python(1)] == [1]
    with pytest.raises(ValueError, match="greater than 0"):
        TypeAdapter(page.type).validate_python(0)


def test_parameters_have_names_aliases_defaults_and_texts(shop):
    parameters = shop.endpoint("list_pets").parameters
    assert list(parameters) == ["x_trace", "page", "status", "class_"]
    assert (parameters["x_trace"].alias, parameters["x_trace"].place) == ("X-Trace", Place.HEADER)
    assert parameters["status"].default == "new"
    assert (parameters["class_"].alias, parameters["class_"].doc) == ("class", "Deprecated. Use status.")


def test_a_recursive_schema_binds(shop):
    parameters = shop.spec.endpoints[1].parameters
    assert list(parameters) == ["x_trace", "page", "name", "owner", "parent"]
    assert parameters["name"].doc == "What it is called."


def test_a_name_that_only_the_path_holds_is_demanded_text(shop):
    parameter = shop.spec.endpoints[3].parameters["petId"]
    assert (parameter.type, parameter.required, parameter.place) == (str, True, Place.PATH)


def test_summary_and_description_are_the_endpoints_text(shop):
    assert shop.endpoint("list_pets").doc == "All pets.\n\nPage by page."


def test_the_result_type_is_the_first_successful_replys(shop):
    assert shop.endpoint("list_pets").result == list[str]
    assert shop.spec.endpoints[3].result is None


def test_the_accept_header_names_the_declared_types_json_first(shop):
    assert shop.request("list_pets").headers["accept"] == "application/json, */*;q=0.1"
    accept = shop.request("get_photo", petId=1).headers["accept"]
    assert accept == "application/problem+json, image/png;q=0.9, */*;q=0.1"


def test_a_reply_that_is_only_bytes_is_a_file(bind_operation):
    service = bind_operation({"responses": {"200": {"content": {"application/pdf": {}}}}})
    assert service.endpoint("op").result is File


def test_a_default_reply_counts_where_no_success_is_declared(bind_operation):
    service = bind_operation({"responses": {"default": {"content": {"text/plain": {}}}, "500": {}}})
    assert service.endpoint("op").result is str


def test_two_parameters_of_one_name_are_told_by_their_place(bind_operation):
    said = [{"name": "id", "in": place, "required": True} for place in ("path", "query", "header")]
    service = bind_operation({"parameters": said}, path="/a/{id}", method="get")
    assert list(service.endpoint("op").parameters) == ["id", "query_id", "header_id"]
    request = service.request("op", id=1, query_id=2, header_id=3)
    assert (request.url, request.headers["id"]) == ("http://service.test/a/1?id=2", "3")


def test_names_that_become_the_same_are_numbered_in_the_end(bind_operation):
    schema = {"properties": {"a-b": {}, "a_b": {}, "a.b": {}}}
    body = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    service = bind_operation(body)
    assert list(service.endpoint("op").parameters) == ["a_b", "body_a_b", "body_a_b_2"]
    request = service.request("op", a_b=1, body_a_b=2, body_a_b_2=3)
    assert json.loads(request.body) == {"a-b": 1, "a_b": 2, "a.b": 3}


def test_the_literal_parts_of_a_path_are_encoded_once(bind_operation):
    service = bind_operation({}, path="/a b/ü/%20/{id}/~x:y", method="get")
    assert service.request("op", id="ö").url == "http://service.test/a%20b/%C3%BC/%20/%C3%B6/~x:y"


def test_a_path_with_a_query_of_its_own_keeps_it(bind_operation):
    said = {"parameters": [{"name": "q", "in": "query"}]}
    service = bind_operation(said, path="/a?kind=b", method="get")
    assert service.request("op", q=1).url == "http://service.test/a?kind=b&q=1"


# --- broken documents ----------------------------------------------------------------------------------------------

GOOD = {"operationId": "good", "responses": {}}


def parameter(**said):
    return {"parameters": [{"name": "a", "in": "query", **said}]}


def body(content):
    return {"requestBody": {"content": content}}


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (7, "the operation is no object"),
        ({"parameters": 7}, "parameters is no array"),
        ({"parameters": [7]}, "a parameter is no object"),
        ({"parameters": [{"$ref": "#/nowhere"}]}, "leads nowhere"),
        ({"parameters": [{"$ref": "https://else.test/a.json"}]}, "leaves the document"),
        ({"parameters": [{"in": "query"}]}, "'' is in 'query'"),
        (parameter(**{"in": "body"}), "'a' is in 'body'"),
        (parameter(**{"in": "path"}), "does not occur in the path"),
        (parameter(style="matrix"), "the style 'matrix', which is none for a query"),
        (parameter(schema=7), "the schema of a is no object"),
        (parameter(schema={"$ref": "#/components/schemas/Loop"}), "leads back to itself"),
        (parameter(**{"in": "header", "name": "a\r\nb"}), "is no name for a header"),
        (parameter(**{"in": "cookie", "name": "a;b"}), "is no name for a cookie"),
        ({"requestBody": 7}, "the request body is no object"),
        (body(7), "the request body's content is no object"),
        (body({}), "names no media type"),
        (body({"a\r\nb: c": {}}), "names no media type"),
        (body({"application/json": {"schema": {"properties": 7}}}), "properties is no object"),
        (body({"application/json": {"schema": {"allOf": [7]}}}), "a schema is no object"),
        (
            body({"multipart/form-data": {"schema": {"properties": {"a": {}}}, "encoding": {"a": {"style": "x"}}}}),
            "unknown style 'x'",
        ),
        ({"responses": 7}, "responses is no object"),
        ({"responses": {"200": {"content": {"application/json": 7}}}}, "application/json is no object"),
    ],
)
def test_a_broken_operation_is_a_problem_and_the_others_bind(bind, operation, why):
    document = {
        "openapi": "3.1.0",
        "paths": {"/a": {"get": operation, "post": GOOD}, "/b": {"get": {**GOOD, "operationId": "fine"}}},
        "components": {"schemas": {"Loop": {"$ref": "#/components/schemas/Loop"}}},
    }
    spec = bind(document).spec
    assert [each.name for each in spec.endpoints] == ["good", "fine"]
    (problem,) = spec.problems
    assert problem.where == "GET /a"
    assert why in problem.why


@pytest.mark.parametrize(
    ("paths", "where"),
    [(7, "paths"), ({"no-slash": {}}, "no-slash"), ({"/a": 7}, "/a"), ({"/a": {"$ref": "#/x"}}, "/a")],
)
def test_broken_paths_are_problems(bind, paths, where):
    spec = bind({"openapi": "3.1.0", "paths": paths}).spec
    assert spec.endpoints == ()
    assert [problem.where for problem in spec.problems] == [where]


def test_a_method_of_a_later_openapi_is_a_problem_and_the_others_bind(bind):
    item = {"summary": "all", "x-mine": 1, "parameters": [], "get": {"responses": {}}, "query": {"responses": {}}}
    spec = bind({"openapi": "3.2.0", "paths": {"/a": {**item, "additionalOperations": {"COPY": {}}}}}).spec
    assert [endpoint.method for endpoint in spec.endpoints] == ["GET"]
    assert [problem.where for problem in spec.problems] == ["/a query", "/a additionalOperations"]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"openapi": "4.0.0", "paths": {}}, "OpenAPI 4.0.0"),
        ({"paths": {}}, "no OpenAPI document"),
        ([], "no OpenAPI document"),
        (None, "no OpenAPI document"),
    ],
)
def test_another_kind_of_document_is_refused_by_name(bind, document, sentence):
    with pytest.raises(UsageError, match=sentence):
        bind(document)


def _places(value, path=()):
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from _places(item, (*path, key))


@given(
    place=st.sampled_from([path for path in _places(SHOP) if path and path[0] != "openapi"]),
    junk=st.sampled_from([None, 7, "x", True, [], {}, [None], {"a": 7}, [[]], {"$ref": "#/paths"}, {"$ref": "#"}]),
)
def test_junk_anywhere_in_a_document_never_breaks_the_provider(bind, place, junk):
    document = copy.deepcopy(SHOP)
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = junk
    spec = bind(document).spec
    assert len(spec.endpoints) <= 5


def test_names_that_would_be_python_are_only_names(bind_operation):
    evil = '__import__("os").system("false")'
    service = bind_operation({"operationId": evil, "parameters": [{"name": evil, "in": "query"}]}, method="get")
    (endpoint,) = service.spec.endpoints
    assert endpoint.name.isidentifier()
    assert all(name.isidentifier() for name in endpoint.parameters)


def test_describing_changes_nothing_in_the_document_and_gives_the_same_twice(bind):
    document = FastAPI().openapi()
    before = copy.deepcopy(SHOP)
    assert repr(bind(SHOP, url=None).spec) == repr(bind(SHOP, url=None).spec)
    assert before == SHOP
    assert bind(document).spec.endpoints == ()


def test_traits_are_text_so_that_an_endpoint_can_be_written_down(shop):
    for endpoint in shop.spec.endpoints:
        assert all(isinstance(value, str) for value in endpoint.traits.values())
        assert pickle.loads(pickle.dumps(dict(endpoint.traits))) == endpoint.traits  # noqa: S301
