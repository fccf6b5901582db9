"""Requests built from real FastAPI documents, sent to the very application, and its echo compared."""

import datetime as dt
import enum
from typing import Annotated

import pytest
from farcall import files
from farcall.jobs import State
from farcall.spec import REQUIRED, Place
from fastapi import APIRouter, Body, Cookie, FastAPI, File, Form, Header, Query, Response, UploadFile
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

NASTY = "a b/c?d=e&f#g+h%20ü,;\"'"


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    y: int = 0


class Item(BaseModel):
    name: str
    price: float = 1.5
    tags: list[str] = []
    at: Point | None = None
    id: int = 0


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    kind: str = Field(alias="class")
    first_name: str = Field(alias="first-name")


class Filters(BaseModel):
    limit: int = 10
    order: str = "up"


app = FastAPI(title="Echo", version="2", description="Says what it was told.")


@app.get("/places/{number}/{name}")
def places(number: int, name: str, colour: Colour, when: dt.date | None = None):
    """Where things are."""
    return [number, name, colour, when]


@app.get("/files/{rest:path}")
def below(rest: str):
    return rest


@app.get("/lists")
def lists(
    ids: Annotated[list[int], Query()] = [],  # noqa: B006 - FastAPI copies it
    words: Annotated[list[str] | None, Query(alias="words[]")] = None,
    flag: bool = False,
    ratio: float = 0.0,
):
    return {"ids": ids, "words": words, "flag": flag, "ratio": ratio}


@app.get("/filtered")
def filtered(filters: Annotated[Filters, Query()]):
    return filters


@app.get("/heads")
def heads(
    x_tok: Annotated[str, Header()],
    x_many: Annotated[int, Header()] = 0,
    session: Annotated[str | None, Cookie()] = None,
):
    return [x_tok, x_many, session]


@app.post("/items/{id}")
def add_item(id: int, item: Item):  # noqa: A002 - the clash is what is tested
    return {"path": id, "item": item}


@app.post("/two")
def two(item: Item, point: Point, q: str = ""):
    return {"item": item, "point": point, "q": q}


@app.post("/maybe")
def maybe(item: Item | None = None):
    return item


@app.post("/number")
def number(n: Annotated[int, Body()]):
    return n


@app.post("/embedded")
def embedded(n: Annotated[int, Body(embed=True)]):
    return n


@app.post("/table")
def table(values: dict[str, int]):
    return values


@app.put("/several")
def several(values: list[Point]):
    return values


@app.post("/either")
def either(value: Item | Point):
    return type(value).__name__


@app.post("/open")
def wide_open(value: Open):
    return value


@app.post("/aliased")
def aliased(value: Aliased):
    return value.model_dump(by_alias=True)


@app.post("/form")
def form(
    name: Annotated[str, Form()],
    ids: Annotated[list[int], Form()] = [],  # noqa: B006
    ok: Annotated[bool, Form()] = False,
):
    return [name, ids, ok]


@app.post("/upload")
async def upload(
    photo: UploadFile,
    raw: Annotated[bytes, File()],
    more: list[UploadFile] = [],  # noqa: B006
    note: Annotated[str, Form()] = "none",
    extra: UploadFile | None = None,
):
    return {
        "photo": [photo.filename, photo.content_type, (await photo.read()).hex()],
        "raw": raw.hex(),
        "more": [[each.filename, (await each.read()).decode()] for each in more],
        "note": note,
        "extra": extra and extra.filename,
    }


@app.get("/text", response_class=PlainTextResponse)
def words():
    return "grüß dich"


@app.get("/picture", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def picture():
    return Response(b"\x89PNG", media_type="image/png")


@app.delete("/gone/{id}", status_code=204)
def gone(id: int) -> None:  # noqa: A002
    return None


@app.patch("/old", deprecated=True)
def old(point: Point) -> Point:
    return point


router = APIRouter()


@router.get("/things")
def list_things():
    return "v1"


app.include_router(router, prefix="/v1")


@pytest.fixture
def echo(bind_app):
    return bind_app(app)


def test_title_version_and_text_are_the_documents(echo):
    assert (echo.spec.title, echo.spec.version, echo.spec.doc) == ("Echo", "2", "Says what it was told.")


def test_made_up_operation_ids_are_cut_back_to_the_functions_names(echo):
    wanted = {name for name, value in globals().items() if getattr(value, "__module__", "") == __name__}
    names = [each.name for each in echo.spec.endpoints]
    assert len(names) == len(set(names)) == 22
    assert set(names) <= wanted


@pytest.mark.parametrize("name", ["plain", NASTY, "...", "a%2Fb", "日本"])
def test_a_path_value_arrives_as_it_was(echo, name):
    result = echo.call("places", number=7, name=name.replace("/", "_"), colour="red", when="2026-02-03")
    assert result == [7, name.replace("/", "_"), "red", "2026-02-03"]


def test_a_path_parameter_may_hold_slashes(echo):
    assert echo.call("below", rest="a/b c/ü.txt") == "a/b c/ü.txt"


def test_lists_repeat_their_key_and_odd_names_get_an_alias(echo):
    assert echo.endpoint("lists").parameters["words"].alias == "words[]"
    result = echo.call("lists", ids=[1, 2], words=[NASTY, "x"], flag=True, ratio=1e-7)
    assert result == {"ids": [1, 2], "words": [NASTY, "x"], "flag": True, "ratio": 1e-7}


def test_what_is_not_given_is_not_sent(echo):
    assert echo.request("lists").url == "http://service.test/lists"
    assert echo.request("lists", words=None, ids=[]).url == "http://service.test/lists"


def test_a_query_model_is_its_fields(echo):
    assert echo.call("filtered", limit=3, order=NASTY) == {"limit": 3, "order": NASTY}


@pytest.mark.parametrize("cookie", ["plain", 'a b;c,"d"\\'])
def test_headers_and_cookies_arrive(echo, cookie):
    assert echo.endpoint("heads").parameters["x_tok"].alias == "x-tok"
    assert echo.call("heads", x_tok="secret word", x_many=3, session=cookie) == ["secret word", 3, cookie]


def test_a_single_model_is_flat_and_a_clash_with_the_path_keeps_both(echo):
    parameters = echo.endpoint("add_item").parameters
    assert list(parameters) == ["id", "name", "price", "tags", "at", "body_id"]
    assert (parameters["body_id"].alias, parameters["body_id"].place) == ("id", Place.JSON)
    assert (parameters["name"].default, parameters["price"].default) == (REQUIRED, 1.5)
    result = echo.call("add_item", id=1, name="n", body_id=2, tags=["t"], at={"x": 1})
    assert result["path"] == 1
    assert result["item"] == {"name": "n", "price": 1.5, "tags": ["t"], "at": {"x": 1, "y": 0}, "id": 2}


def test_two_models_stay_two_arguments(echo):
    result = echo.call("two", item={"name": "n"}, point={"x": 1}, q="?")
    assert (result["item"]["name"], result["point"], result["q"]) == ("n", {"x": 1, "y": 0}, "?")


def test_an_optional_body_is_left_out_or_flat(echo):
    assert echo.request("maybe").body == b""
    assert echo.call("maybe") is None
    assert echo.call("maybe", name="n")["name"] == "n"


@pytest.mark.parametrize(
    ("name", "body"),
    [("number", 5), ("table", {"a": 1}), ("several", [{"x": 1, "y": 2}])],
)
def test_a_body_that_is_no_object_of_known_names_is_the_argument_body(echo, name, body):
    assert list(echo.endpoint(name).parameters) == ["body"]
    assert echo.call(name, body=body) == body


def test_a_choice_of_models_is_the_argument_body(echo):
    assert echo.call("either", body={"x": 1}) == "Point"


def test_an_embedded_scalar_is_a_property(echo):
    assert echo.call("embedded", n=4) == 4


def test_further_properties_have_an_argument_of_their_own(echo):
    assert echo.call("wide_open", a=1, additional_properties={"b": [2]}) == {"a": 1, "b": [2]}


def test_keywords_and_hyphens_in_a_body_get_python_names(echo):
    assert list(echo.endpoint("aliased").parameters) == ["class_", "first_name"]
    assert echo.call("aliased", class_="c", first_name="f") == {"class": "c", "first-name": "f"}


def test_a_form_arrives(echo):
    assert echo.call("form", name=NASTY, ids=[1, 2], ok=True) == [NASTY, [1, 2], True]


def test_files_are_parts_and_lists_of_them_repeat_the_name(echo, file):
    parameters = echo.endpoint("upload").parameters
    assert parameters["photo"].type is files.File
    assert {name: each.place for name, each in parameters.items()} == {
        "photo": Place.FILE,
        "raw": Place.FILE,
        "more": Place.FILE,
        "extra": Place.FILE,
        "note": Place.FORM,
    }
    result = echo.call("upload", photo=file(), raw=file(b"raw"), more=[file(b"1", "a"), file(b"2", "b")], note="ü\r\n")
    assert result["photo"] == ["photo.png", "image/png", b"\x00png\r\n--".hex()]
    assert (result["raw"], result["extra"]) == (b"raw".hex(), None)
    assert (result["more"], result["note"]) == ([["a", "1"], ["b", "2"]], "ü\r\n")


def test_a_file_on_disk_is_streamed(echo, tmp_path, file):
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(range(256)) * 4096)
    request = echo.request("upload", photo=files.File.from_path(path), raw=file())
    assert not isinstance(request.body, bytes)
    result = echo.call("upload", photo=files.File.from_path(path), raw=file())
    assert bytes.fromhex(result["photo"][2]) == path.read_bytes()


def test_text_is_str_and_no_content_is_none(echo):
    assert echo.call("words") == "grüß dich"
    assert echo.call("gone", id=1) is None


def test_a_picture_is_its_response_for_the_core_to_make_a_file_of(echo):
    result = echo.call("picture")
    assert (result.media_type, result.content) == ("image/png", b"\x89PNG")
    assert echo.endpoint("picture").result is files.File


def test_the_reply_of_a_success_is_the_end_of_the_job(echo):
    (snapshot,) = echo.hooks.read(echo.binding, echo.reply("number", body=1), "submit", [])
    assert snapshot.state is State.SUCCEEDED
    assert echo.hooks.facts(echo.binding).result_in_reply


def test_a_validation_error_is_left_to_the_core(echo):
    answer = echo.reply("number", body="x")
    assert answer.status == 422
    assert echo.hooks.read(echo.binding, answer, "submit", []) == ()


def test_deprecated_operations_say_so(echo):
    assert echo.endpoint("old").deprecated
    assert not echo.endpoint("number").deprecated


def test_no_call_is_sent_twice_by_itself_since_a_read_may_cost_too(echo):
    assert not echo.request("lists").repeatable
    assert not echo.request("number", body=1).repeatable


def test_an_included_router_is_reached_under_its_prefix(echo):
    assert echo.call("list_things") == "v1"


def test_a_mounted_application_is_reached_under_the_server_its_document_names(bind):
    inner = FastAPI()

    @inner.get("/ping")
    def ping():
        return "pong"

    outer = FastAPI()
    outer.mount("/inner", inner)
    document = {**inner.openapi(), "servers": [{"url": "/inner"}]}  # as FastAPI serves it under a mount
    service = bind(document, app=outer, fetched="http://service.test/inner/openapi.json")
    assert service.call("ping") == "pong"
