"""One shop on five web frameworks, called by nothing but its address."""

import json
import urllib.request

import pytest
from farcall import errors
from rivals import known

PICTURE = b"\x89PNG" + bytes(range(256))
SHOPS = [known.FASTAPI, known.FLASK_SMOREST, known.APIFLASK, known.FLASK_OPENAPI3, known.FLASK_RESTX]


@pytest.fixture(scope="module", params=SHOPS, ids=lambda rival: rival.name)
def running(request, start):
    return start(request.param)


@pytest.fixture
def shop(running, connected):
    return connected(running.url)


def test_every_operation_is_an_endpoint(shop):
    named = {"search", "add_item", "read_item", "drop_item", "add_photo", "read_photo", "boom"}
    assert set(shop.endpoints) == named
    assert shop.problems == ()


def test_query_arguments_arrive_and_defaults_are_the_services(shop):
    assert shop.search(text="a b&c=ü") == {"text": "a b&c=ü", "most": 10}
    assert shop.search(text="x", most=3) == {"text": "x", "most": 3}


def test_a_path_argument_arrives(shop):
    assert shop.read_item(number=7)["price"] == 7


def test_a_bodys_properties_are_arguments(shop):
    item = {"name": "lämp", "price": 1.5, "tags": ["a", "b"]}
    assert shop.add_item(**item) == item
    assert shop.add_item(name="x", price=2)["tags"] == []


def test_no_content_is_none(shop):
    assert shop.drop_item(number=7) is None


def test_a_file_goes_in(shop, tmp_path):
    photo = tmp_path / "me.png"
    photo.write_bytes(PICTURE)
    assert shop.add_photo(photo=photo) == {"name": "me.png", "size": len(PICTURE)}


def test_a_file_comes_out(shop):
    photo = shop.read_photo(name="me.png")
    assert (photo.name, photo.media_type, photo.read()) == ("me.png", "image/png", PICTURE)


def test_an_argument_its_document_forbids_is_refused_before_it_is_sent(shop):
    with pytest.raises(errors.InputError, match="price"):
        shop.add_item(name="x", price="dear")


def test_the_services_own_validation_says_what_is_wrong(running, connected):
    with urllib.request.urlopen(running.url + running.rival.ready) as reply:
        document = json.load(reply)
    schemas = document["definitions"] if "swagger" in document else document["components"]["schemas"]
    del schemas["Item"]["properties"]["price"]["minimum"]  # or we would say it
    unchecked = connected(document, provider="openapi", url=running.url)
    with pytest.raises(errors.Refused, match=r"(?i)(less|greater) than (or equal|the minimum)") as caught:
        unchecked.add_item(name="x", price=-1)
    assert caught.value.response.status in {400, 422}


def test_a_refusal_carries_the_services_sentence(shop):
    with pytest.raises(errors.Refused, match="There is a taken already") as caught:
        shop.add_item(name="taken", price=1)
    assert caught.value.response.status == 409


def test_not_found_carries_the_services_sentence(shop):
    with pytest.raises(errors.Refused, match="There is no item 101") as caught:
        shop.read_item(number=101)
    assert caught.value.response.status == 404


def test_a_crash_in_the_service_is_its_fault(shop):
    with pytest.raises(errors.ServerFault, match="500"):
        shop.boom()
