"""Which body an operation is sent, and which arguments make it, from documents written by hand."""

import asyncio

import numpy as np
import pytest
from farcall.arguments import Checker
from farcall.errors import InputError, UsageError
from farcall.files import File
from farcall.media import bare
from farcall.spec import REQUIRED, Place
from farcall.wire import FileValue

ANY = {"type": "object", "properties": {"a": {"type": "integer"}}}
WITH_FILE = {"type": "object", "properties": {"f": {"type": "string", "format": "binary"}}}


def body(content, *, required=True, **more):
    return {"requestBody": {"content": content, "required": required, **more}}


def typed(schema, media="application/json", **more):
    return body({media: {"schema": schema, **more}})


def sent(request):
    async def whole():
        return b"".join([chunk async for chunk in request.body.chunks()])

    return request.body if isinstance(request.body, bytes) else asyncio.run(whole())


@pytest.mark.parametrize(
    ("content", "chosen"),
    [
        (["application/x-www-form-urlencoded", "multipart/form-data", "application/json"], "application/json"),
        (["application/x-www-form-urlencoded", "multipart/form-data"], "multipart/form-data"),
        (["text/plain", "application/x-www-form-urlencoded"], "application/x-www-form-urlencoded"),
        (["application/xml", "application/vnd.api+json"], "application/vnd.api+json"),
        (["application/xml", "text/plain"], "application/xml"),
        (["*/*"], "application/json"),
    ],
)
def test_json_is_preferred_then_multipart_then_form(bind_operation, content, chosen):
    service = bind_operation(body({media: {"schema": ANY} for media in content}))
    assert service.endpoint("op").traits["body"] == chosen


def test_multipart_is_preferred_where_it_carries_a_file(bind_operation):
    offers = {"application/json": {"schema": ANY}, "multipart/form-data": {"schema": WITH_FILE}}
    assert list(bind_operation(body(offers)).endpoint("op").parameters) == ["f"]


def test_json_under_a_name_of_its_own_is_sent_under_it(bind_operation):
    request = bind_operation(typed(ANY, "application/merge-patch+json")).request("op", a=1)
    assert (request.headers["content-type"], request.body) == ("application/merge-patch+json", b'{"a":1}')


def test_a_demanded_body_of_which_nothing_is_given_is_an_empty_object(bind_operation):
    assert bind_operation(typed(ANY)).request("op").body == b"{}"


@pytest.mark.parametrize("media", ["application/json", "multipart/form-data", "application/x-www-form-urlencoded"])
def test_an_optional_body_of_which_nothing_is_given_is_not_sent(bind_operation, media):
    request = bind_operation(body({media: {"schema": ANY}}, required=False)).request("op")
    assert request.body == b""
    assert "content-type" not in request.headers


def test_a_property_is_demanded_only_in_a_demanded_body(bind_operation):
    schema = {**ANY, "required": ["a"]}
    for required, default in ((True, REQUIRED), (False, None)):
        service = bind_operation(body({"application/json": {"schema": schema}}, required=required))
        assert service.endpoint("op").parameters["a"].default is default


def test_all_of_is_one_object(bind_operation):
    components = {
        "schemas": {
            "Base": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
            "Named": {"allOf": [{"$ref": "#/components/schemas/Base"}], "properties": {"name": {"type": "string"}}},
        }
    }
    schema = {"allOf": [{"$ref": "#/components/schemas/Named"}, {"required": ["name"]}]}
    parameters = bind_operation(typed(schema), components=components).endpoint("op").parameters
    assert [(name, each.required) for name, each in parameters.items()] == [("id", True), ("name", True)]


def test_a_schema_that_is_all_of_itself_is_read_once(bind_operation):
    me = {"allOf": [{"$ref": "#/components/schemas/Me"}], "properties": {"a": {"type": "string"}}}
    service = bind_operation(typed({"$ref": "#/components/schemas/Me"}), components={"schemas": {"Me": me}})
    assert list(service.endpoint("op").parameters) == ["a"]


def test_read_only_properties_are_left_out_and_write_only_ones_kept(bind_operation):
    schema = {
        "properties": {"id": {"readOnly": True}, "secret": {"writeOnly": True}, "never": False, "any": True},
        "required": ["id"],
    }
    assert list(bind_operation(typed(schema)).endpoint("op").parameters) == ["secret", "any"]


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [ANY, {"type": "object", "properties": {"b": {}}}]},
        {"type": "array", "items": ANY},
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "string"},
        {},
        True,
    ],
)
def test_what_is_no_single_object_is_one_argument(bind_operation, schema):
    endpoint = bind_operation(typed(schema)).endpoint("op")
    assert list(endpoint.parameters) == ["body"]
    assert endpoint.parameters["body"].required


def test_variants_that_only_demand_leave_an_object_flat(bind_operation):
    schema = {**ANY, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert list(bind_operation(typed(schema)).endpoint("op").parameters) == ["a"]


def test_null_is_sent_in_json_and_nothing_in_a_form(bind_operation):
    assert bind_operation(typed(ANY)).request("op", a=None).body == b'{"a":null}'
    assert bind_operation(typed(ANY, "application/x-www-form-urlencoded")).request("op", a=None).body == b""


@pytest.mark.parametrize("schema", [{"format": "byte"}, {"contentEncoding": "base64"}, {"format": "binary"}])
def test_bytes_inside_json_are_text(bind_operation, schema):
    service = bind_operation(typed({"properties": {"a": {"type": "string", **schema}}}))
    assert service.endpoint("op").parameters["a"].type is str
    assert service.request("op", a="aGk=").body == b'{"a":"aGk="}'


def test_a_number_json_cannot_say_is_refused(bind_operation):
    with pytest.raises(InputError, match="JSON"):
        bind_operation(typed(ANY)).request("op", a=float("inf"))


# --- forms and parts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "encoding", "written"),
    [
        ([1, 2], None, b"a=1&a=2"),
        ([1, 2], {"style": "form", "explode": False}, b"a=1%2C2"),
        ([1, 2], {"style": "pipeDelimited"}, b"a=1%7C2"),
        ([1, 2], {"style": "spaceDelimited"}, b"a=1+2"),
        ([1, 2], {"contentType": "application/json"}, b"a=%5B1%2C2%5D"),
        ({"x": 1}, None, b"a=%7B%22x%22%3A1%7D"),
        ({"x": 1, "y": [2]}, {"style": "deepObject"}, b"a%5Bx%5D=1&a%5By%5D=2"),
        (True, None, b"a=true"),
        ("ü &", None, b"a=%C3%BC+%26"),
    ],
)
def test_form_fields(bind_operation, value, encoding, written):
    more = {"encoding": {"a": encoding}} if encoding else {}
    schema = {"properties": {"a": {}}}
    service = bind_operation(typed(schema, "application/x-www-form-urlencoded", **more))
    assert service.request("op", a=value).body == written


def test_a_form_without_known_names_is_a_mapping(bind_operation):
    service = bind_operation(typed({"type": "object"}, "application/x-www-form-urlencoded"))
    assert service.request("op", body={"a": 1, "b": ["x", "y"]}).body == b"a=1&b=x&b=y"
    with pytest.raises(UsageError, match="mapping of its fields"):
        service.request("op", body="a=1")


JSON_PART = b'name="a"\r\nContent-Type: application/json\r\n\r\n'


@pytest.mark.parametrize(
    ("value", "encoding", "written"),
    [
        ("x", {}, b'name="a"\r\n\r\nx\r\n'),
        ({"x": 1}, {}, JSON_PART + b'{"x":1}\r\n'),
        ([{"x": 1}, {"x": 2}], {}, JSON_PART + b'{"x":2}\r\n'),
        ([1, 2], {"contentType": "application/json"}, JSON_PART + b"[1,2]\r\n"),
        ("x", {"contentType": "application/json"}, JSON_PART + b'"x"\r\n'),
        ("a,b", {"contentType": "text/csv"}, b'name="a"\r\nContent-Type: text/csv\r\n\r\na,b\r\n'),
        ("x", {"contentType": "text/plain, text/csv"}, b'name="a"\r\n\r\nx\r\n'),
        ("x", {"contentType": "text/csv\r\nevil: 1"}, b'name="a"\r\n\r\nx\r\n'),
        ({"x": 1}, {"style": "deepObject"}, b'name="a[x]"\r\n\r\n1\r\n'),
    ],
)
def test_a_part_of_multipart_says_what_its_encoding_says(bind_operation, value, encoding, written):
    more = {"encoding": {"a": encoding}} if encoding else {}
    service = bind_operation(typed({"properties": {"a": {}}}, "multipart/form-data", **more))
    assert written in sent(service.request("op", a=value))


def test_a_part_that_is_said_to_be_a_picture_takes_an_array_as_one(bind_operation):
    binary = {"type": "string", "format": "binary"}
    parts = {"properties": {"one": binary, "any": binary, "many": {"type": "array", "items": binary}}}
    encoding = {"one": {"contentType": "image/png, image/jpeg"}, "many": {"contentType": "image/*"}}
    service = bind_operation(typed(parts, "multipart/form-data", encoding=encoding))
    pixels = np.zeros((2, 2, 3), np.uint8)
    taken = Checker(service.endpoint("op")).check((), {"one": pixels, "any": pixels, "many": [pixels]})
    assert [taken["one"].name, taken["any"].name, taken["many"][0].name] == ["image.png", "array.npy", "image.png"]


@pytest.mark.parametrize(
    ("media_type", "lost"),
    [
        ("multipart/form-data", ["the part 'a' is sent without headers of its own (X-A)"]),
        ("application/x-www-form-urlencoded", []),
    ],
)
def test_headers_of_a_part_are_a_problem_and_its_operation_binds(bind_operation, media_type, lost):
    encoding = {"a": {"headers": {"X-A": {"schema": {"type": "string"}}, "Content-Type": {}}}}
    spec = bind_operation(typed({"properties": {"a": {}}}, media_type, encoding=encoding)).spec
    assert [each.name for each in spec.endpoints] == ["op"]
    assert [each.why for each in spec.problems] == lost


@pytest.mark.parametrize("schema", [{}, {"type": "string"}, {"type": "string", "contentMediaType": "image/png"}])
def test_a_part_said_to_be_a_picture_is_a_file(bind_operation, file, schema):
    encoding = {"photo": {"contentType": "image/png, image/jpeg"}}
    service = bind_operation(typed({"properties": {"photo": schema}}, "multipart/form-data", encoding=encoding))
    parameter = service.endpoint("op").parameters["photo"]
    assert (bare(parameter.type), parameter.place) == (File, Place.FILE)
    assert b"Content-Type: image/png" in sent(service.request("op", photo=file()))


# --- raw bodies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "schema", "kind"),
    [
        ("application/octet-stream", {}, File),
        ("application/octet-stream", {"type": "string", "format": "binary"}, File),
        ("image/png", {"type": "string"}, File),
        ("application/zip", {}, File),
        ("image/*", {"type": "string", "format": "binary"}, File),
        ("*/*", {"type": "string", "format": "binary"}, File),
        ("text/plain", {"type": "string"}, str),
        ("application/xml", {"type": "object", "properties": {"a": {}}}, str),
        ("application/x-ndjson", {"type": "object"}, str),
    ],
)
def test_a_raw_body_is_one_argument_file_or_text(bind_operation, media, schema, kind):
    parameter = bind_operation(typed(schema, media)).endpoint("op").parameters["body"]
    assert bare(parameter.type) is kind


@pytest.mark.parametrize(
    ("media", "said"),
    [
        ("application/octet-stream", "application/octet-stream"),
        ("image/jpeg", "image/jpeg"),
        ("image/*", "image/png"),
        ("*/*", "image/png"),
    ],
)
def test_a_file_is_the_body_as_it_is(bind_operation, file, media, said):
    request = bind_operation(typed({"type": "string", "format": "binary"}, media)).request("op", body=file())
    assert (request.headers["content-type"], sent(request)) == (said, b"\x00png\r\n--")


def test_text_is_sent_in_utf_8(bind_operation):
    request = bind_operation(typed({"type": "string"}, "text/plain")).request("op", body="grüß")
    assert (request.headers["content-type"], request.body) == ("text/plain; charset=utf-8", "grüß".encode())


def test_a_file_that_is_only_a_link_is_refused(bind_operation):
    service = bind_operation(typed({}, "application/octet-stream"))
    with pytest.raises(UsageError, match="only a link"):
        service.request("op", body=FileValue(name="f", url="https://h.test/f"))
