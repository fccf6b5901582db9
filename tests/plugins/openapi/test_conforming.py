"""Arguments are held to the document's schemas before anything is sent, nested ones too."""

import datetime as dt
import time
from typing import Annotated, Literal

import farcall
import numpy as np
import pytest
from farcall.errors import InputError
from farcall_openapi.jsonschema import standard
from fastapi import Body, FastAPI
from pydantic import BaseModel, Field


class Line(BaseModel):
    model_config = {"extra": "forbid"}
    dish: Literal["fries", "soup"]
    amount: int = Field(gt=0)
    when: dt.datetime | None = None


class Order(BaseModel):
    customer: str = Field(pattern="^[A-Z]")
    lines: list[Line] = Field(min_length=1)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    bark: str


@pytest.fixture
def svc(serve):
    app = FastAPI()
    app.calls = 0

    @app.post("/order")
    def order(order: Order):
        app.calls += 1
        return order

    @app.post("/pet")
    def pet(pet: Annotated[Cat | Dog, Field(discriminator="kind"), Body()]):
        return pet

    with farcall.connect(serve(app).url) as connected:
        connected.app = app
        yield connected


FRIES = {"dish": "fries", "amount": 1}


def test_what_conforms_is_sent_as_it_is(svc):
    when = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    lines = [{**FRIES, "when": when}, {**FRIES, "amount": np.int64(3)}]
    assert [line["amount"] for line in svc.order(customer="Ada", lines=lines)["lines"]] == [1, 3]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"dish": "fries"}, r"lines.*at \[0\], \"amount\" is a required property"),
        ({**FRIES, "amount": 0}, r"at \[0\]\['amount'\], 0 is less than or equal to"),
        ({**FRIES, "amount": "many"}, r"at \[0\]\['amount'\], \"many\" is not of type"),
        ({**FRIES, "dish": "stew"}, r"at \[0\]\['dish'\], \"stew\" is not"),
        ({**FRIES, "salt": True}, r"at \[0\], Additional properties are not allowed \('salt'"),
        ({**FRIES, "when": 7}, r"at \[0\]\['when'\]"),
    ],
)
def test_what_does_not_is_refused_by_its_place_and_nothing_is_sent(svc, line, why):
    with pytest.raises(InputError, match=why):
        svc.order.submit(customer="Ada", lines=[line])
    assert svc.app.calls == 0


def test_a_pattern_is_held_to(svc):
    with pytest.raises(InputError, match=r"customer.*does not match"):
        svc.order(customer="ada", lines=[FRIES])


def test_a_discriminator_chooses_the_variant_whose_fault_is_told(svc):
    assert svc.pet(body={"kind": "dog", "bark": "wau"}) == {"kind": "dog", "bark": "wau"}
    with pytest.raises(InputError, match='"bark" is a required property'):
        svc.pet(body={"kind": "dog"})
    with pytest.raises(InputError, match=r"at \['kind'\], \"cow\" is not one of"):
        svc.pet(body={"kind": "cow"})


# --- documents --------------------------------------------------------------------------------------------------


@pytest.fixture
def call(bind_operation):
    """Check a body against a schema as an endpoint's arguments are checked."""
    from farcall.arguments import Checker

    def made(schema, value, **schemas):
        operation = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
        service = bind_operation(operation, components={"schemas": schemas})
        return Checker(service.endpoint("op")).check((), {"body": value})["body"]

    return made


def test_openapi_3_0s_spellings_are_understood(call):
    schema = {"type": "array", "items": {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "nullable": True}}
    assert call(schema, [4, None]) == [4, None]
    with pytest.raises(InputError):
        call(schema, [3])


def test_a_recursive_schema_is_checked_at_every_depth(call):
    tree = {
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"type": "integer"}, "kids": {"$ref": "#/components/schemas/Trees"}},
    }
    trees = {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}
    deep = {"n": 1}
    for _ in range(30):
        deep = {"n": 1, "kids": [deep]}
    assert call({"$ref": "#/components/schemas/Trees"}, [deep], Tree=tree, Trees=trees) == [deep]
    with pytest.raises(InputError, match=r"at \[0\]\['kids'\]\[0\]\['kids'\]\[0\]"):
        call(
            {"$ref": "#/components/schemas/Trees"}, [{"n": 1, "kids": [{"n": 1, "kids": [{}]}]}], Tree=tree, Trees=trees
        )


def test_what_only_the_service_writes_is_not_demanded(call):
    item = {
        "type": "object",
        "required": ["id", "n"],
        "properties": {"id": {"type": "integer", "readOnly": True}, "n": {}},
    }
    assert call({"type": "array", "items": item}, [{"n": 1}]) == [{"n": 1}]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string", "pattern": "(?<=x)y\\1("}},
        {"type": "array", "items": {"type": "file"}},
        {"type": "array", "items": {"minimum": "low"}},
        {"type": "array", "items": {"$ref": "http://h.test/x"}},
        {"type": "array", "items": 7},
    ],
)
def test_a_schema_that_cannot_be_checked_leaves_the_checking_to_the_service(schema):
    from farcall_openapi.conforming import Conforms

    assert Conforms(schema, {})(["a"]) == ["a"]


def test_a_pattern_made_to_take_for_ever_takes_no_time(call):
    began = time.process_time()
    with pytest.raises(InputError):
        call({"type": "array", "items": {"type": "string", "pattern": "^(a+)+$"}}, ["a" * 50_000 + "!"])
    assert time.process_time() - began < 2


def test_references_that_branch_without_end_are_not_followed_for_ever():
    schemas = {f"S{n}": {"allOf": [{"$ref": f"#/s/S{n + 1}"}] * 10} for n in range(50)} | {"S50": {"type": "string"}}
    assert len(standard({"$ref": "#/s/S0"}, {"s": schemas})["$defs"]) == 51
    with pytest.raises(ValueError, match="more than 20,000"):
        standard({"allOf": [{}] * 30_000}, {})
