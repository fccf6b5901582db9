"""The service's own words in an error reply, as frameworks write them."""

import json

import pytest
from farcall.replies import words
from farcall.wire import Headers, Response


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"detail": "no such item"}, "no such item"),  # FastAPI
        (
            {"detail": [{"loc": ["body", "price"], "msg": "too low", "type": "x"}, {"loc": ["a"], "msg": "b"}]},
            "body.price: too low; a: b",
        ),
        ({"code": 422, "status": "Unprocessable", "errors": {"json": {"price": ["too low"]}}}, "json: price: too low"),
        ({"message": "Validation error", "detail": {"json": {"price": ["too low"]}}}, "json: price: too low"),
        ({"message": "Input payload validation failed", "errors": {"price": "too low"}},  # flask-restx
         "Input payload validation failed: price: too low"),
        ({"title": "Not valid", "status": 422, "errors": [{"detail": "too low", "pointer": "#/price"}]},  # RFC 9457
         "Not valid: too low"),
        ({"error": {"code": "Quota", "message": "no cores left"}}, "no cores left"),  # Azure
        ({"error": "busy", "error_description": "come back"}, "busy"),
        ("plainly no", "plainly no"),
        ({"code": 7}, ""),
    ],
)  # fmt: skip
def test_they_are_found_wherever_a_framework_puts_them(body, said):
    answer = Response(
        status=422, headers=Headers({"content-type": "application/json"}), content=json.dumps(body).encode()
    )
    assert words(answer) == said


def test_a_page_for_people_says_nothing_and_plain_text_itself():
    page = Response(status=500, headers=Headers({"content-type": "text/html"}), content=b"<h1>no</h1>")
    plain = Response(status=500, headers=Headers({"content-type": "text/plain"}), content=b" out of ink\n")
    assert (words(page), words(plain)) == ("", "out of ink")


def test_they_are_cut_where_they_are_endless():
    assert len(words(Response(status=500, headers=Headers({}), content=b"x" * 9000))) == 500
