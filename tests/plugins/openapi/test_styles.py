"""Every `style` and `explode`, against the table "Style Examples" of OpenAPI 3.1.1 (2024-10-24)."""

import pytest
from farcall.errors import InputError
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

ARRAY = ["blue", "black", "brown"]
OBJECT = {"R": 100, "G": 200, "B": 150}


def parameter(place, style, explode, **more):
    said = {"name": "color", "in": place, "required": place == "path", "schema": {}, **more}
    return {"parameters": [{**said, "style": style, "explode": explode}]}


@pytest.mark.parametrize(
    ("style", "explode", "value", "written"),
    [
        ("matrix", False, "blue", ";color=blue"),
        ("matrix", False, ARRAY, ";color=blue,black,brown"),
        ("matrix", False, OBJECT, ";color=R,100,G,200,B,150"),
        ("matrix", True, "blue", ";color=blue"),
        ("matrix", True, ARRAY, ";color=blue;color=black;color=brown"),
        ("matrix", True, OBJECT, ";R=100;G=200;B=150"),
        ("label", False, "blue", ".blue"),
        ("label", False, ARRAY, ".blue,black,brown"),
        ("label", False, OBJECT, ".R,100,G,200,B,150"),
        ("label", True, "blue", ".blue"),
        ("label", True, ARRAY, ".blue.black.brown"),
        ("label", True, OBJECT, ".R=100.G=200.B=150"),
        ("simple", False, "blue", "blue"),
        ("simple", False, ARRAY, "blue,black,brown"),
        ("simple", False, OBJECT, "R,100,G,200,B,150"),
        ("simple", True, ARRAY, "blue,black,brown"),
        ("simple", True, OBJECT, "R=100,G=200,B=150"),
    ],
)
def test_path_styles(bind_operation, style, explode, value, written):
    service = bind_operation(parameter("path", style, explode), path="/a/{color}/b", method="get")
    assert service.request("op", color=value).url == f"http://service.test/a/{written}/b"


@pytest.mark.parametrize(
    ("style", "explode", "value", "written"),
    [
        ("form", False, "", "color="),
        ("form", False, "blue", "color=blue"),
        ("form", False, ARRAY, "color=blue,black,brown"),
        ("form", False, OBJECT, "color=R,100,G,200,B,150"),
        ("form", True, "", "color="),
        ("form", True, ARRAY, "color=blue&color=black&color=brown"),
        ("form", True, OBJECT, "R=100&G=200&B=150"),
        ("spaceDelimited", False, ARRAY, "color=blue%20black%20brown"),
        ("spaceDelimited", False, OBJECT, "color=R%20100%20G%20200%20B%20150"),
        ("pipeDelimited", False, ARRAY, "color=blue%7Cblack%7Cbrown"),
        ("pipeDelimited", False, OBJECT, "color=R%7C100%7CG%7C200%7CB%7C150"),
        ("deepObject", True, OBJECT, "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150"),
        ("deepObject", True, {"a": {"b": [1, True]}}, "color%5Ba%5D%5Bb%5D=1&color%5Ba%5D%5Bb%5D=true"),
    ],
)
def test_query_styles(bind_operation, style, explode, value, written):
    service = bind_operation(parameter("query", style, explode), method="get")
    assert service.request("op", color=value).url == f"http://service.test/op?{written}"


@pytest.mark.parametrize("empty", [None, [], {}])
@pytest.mark.parametrize("style", ["form", "spaceDelimited", "deepObject"])
def test_nothing_to_say_writes_nothing(bind_operation, style, empty):
    service = bind_operation(parameter("query", style, True), method="get")
    assert service.request("op", color=empty).url == "http://service.test/op"


@pytest.mark.parametrize(
    ("explode", "value", "written"),
    [
        (False, "blue", "blue"),
        (False, ARRAY, "blue,black,brown"),
        (False, OBJECT, "R,100,G,200,B,150"),
        (True, OBJECT, "R=100,G=200,B=150"),
        (False, True, "true"),
        (False, 1.5, "1.5"),
    ],
)
def test_header_styles(bind_operation, explode, value, written):
    service = bind_operation(parameter("header", "simple", explode), method="get")
    assert service.request("op", color=value).headers["color"] == written


@pytest.mark.parametrize(
    ("explode", "value", "written"),
    [
        (False, "blue", "color=blue"),
        (True, ARRAY, "color=blue; color=black; color=brown"),
        (True, OBJECT, "R=100; G=200; B=150"),
        (True, {"R": None, "G": 1}, "G=1"),
    ],
)
def test_cookie_styles(bind_operation, explode, value, written):
    service = bind_operation(parameter("cookie", "form", explode), method="get")
    assert service.request("op", color=value).headers["cookie"] == written


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ("path", "http://service.test/op/%7B%22a%22%3A%5B%22%5Cu00fc%22%5D%7D"),
        ("query", "http://service.test/op?color=%7B%22a%22%3A%5B%22%5Cu00fc%22%5D%7D"),
        ("header", r'{"a":["\u00fc"]}'),
    ],
)
def test_a_parameter_with_content_is_json_text(bind_operation, place, written):
    said = {"name": "color", "in": place, "required": True, "content": {"application/json": {"schema": {}}}}
    path = "/op/{color}" if place == "path" else "/op"
    request = bind_operation({"parameters": [said]}, path=path, method="get").request("op", color={"a": ["ü"]})
    assert request.headers.get("color", request.url) == written


def test_allow_reserved_keeps_what_a_query_may_hold_and_nothing_else(bind_operation):
    service = bind_operation(parameter("query", "form", True, allowReserved=True), method="get")
    assert service.request("op", color="http://h/a?b&c=d#e").url.endswith("?color=http://h/a?b%26c%3Dd%23e")


@pytest.mark.parametrize("value", ["", ".", "..", [], None])
def test_a_path_value_that_would_make_another_path_is_refused(bind_operation, value):
    service = bind_operation({}, path="/a/{id}", method="delete")
    with pytest.raises(InputError, match=r"id=.* cannot stand in a path"):
        service.request("op", id=value)


def test_a_missing_path_value_is_refused(bind_operation):
    with pytest.raises(InputError, match="id stands in the path"):
        bind_operation({}, path="/a/{id}", method="get").request("op")


@pytest.mark.parametrize("value", ["a\r\nevil: 1", "a\n", "\x00"])
def test_a_header_value_cannot_bring_a_header_of_its_own(bind_operation, value):
    service = bind_operation(parameter("header", "simple", False), method="get")
    with pytest.raises(InputError, match="color goes into a header"):
        service.request("op", color=value)


def test_a_number_json_cannot_say_is_refused(bind_operation):
    with pytest.raises(InputError, match="JSON"):
        bind_operation(parameter("query", "form", True), method="get").request("op", color=float("nan"))


async def _echo(request):
    return JSONResponse(
        {"query": request.query_params.multi_items(), "path": request.path_params, "cookies": request.cookies}
    )


ECHO = Starlette(routes=[Route("/op/{p}", _echo)])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(query=TEXT, names=st.dictionaries(TEXT, TEXT, min_size=1))
def test_any_text_arrives_in_a_query_as_it_was(bind, query, names):
    document = {
        "openapi": "3.1.0",
        "paths": {
            "/op/{p}": {
                "get": {
                    "operationId": "op",
                    "parameters": [
                        {"name": "q", "in": "query", "schema": {}},
                        {"name": "o", "in": "query", "schema": {}},
                    ],
                }
            }
        },
    }
    service = bind(document, app=ECHO)
    said = service.call("op", p="x", q=query, o=names)
    assert said["query"] == [["q", query], *[[key, value] for key, value in names.items()]]


@given(value=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
def test_any_printable_text_arrives_in_a_path_and_a_cookie(bind, value):
    document = {
        "openapi": "3.1.0",
        "paths": {
            "/op/{p}": {"get": {"operationId": "op", "parameters": [{"name": "c", "in": "cookie", "schema": {}}]}}
        },
    }
    service = bind(document, app=ECHO)
    segment = f"x{value.replace('/', '_')}"
    said = service.call("op", p=segment, c=value)
    assert (said["path"]["p"], said["cookies"]["c"]) == (segment, value)
