"""How a document's security schemes become the core's."""

from typing import Annotated

import pytest
from farcall.spec import SecurityScheme
from fastapi import Depends, FastAPI
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPBasic,
    HTTPBearer,
    OAuth2PasswordBearer,
)


@pytest.mark.parametrize(
    ("dependency", "scheme"),
    [
        (HTTPBearer(), SecurityScheme(kind="bearer")),
        (HTTPBasic(), SecurityScheme(kind="basic")),
        (APIKeyHeader(name="X-Key"), SecurityScheme(kind="header", name="X-Key")),
        (APIKeyQuery(name="key"), SecurityScheme(kind="query", name="key")),
        (APIKeyCookie(name="sid"), SecurityScheme(kind="cookie", name="sid")),
        (OAuth2PasswordBearer(tokenUrl="token"), SecurityScheme(kind="bearer")),
    ],
)
def test_what_fastapi_declares(bind_app, dependency, scheme):
    app = FastAPI()

    @app.get("/a")
    def a(key: Annotated[object, Depends(dependency)]): ...

    assert bind_app(app).spec.security == (scheme,)


def document(schemes, **more):
    return {"openapi": "3.0.3", "paths": {}, "components": {"securitySchemes": schemes}, **more}


BASIC = {"type": "http", "scheme": "Basic"}
BEARER = {"type": "http", "scheme": "BEARER"}


def test_the_demanded_scheme_comes_first_and_the_others_follow(bind):
    spec = bind(document({"a": BASIC, "b": BEARER}, security=[{"b": []}])).spec
    assert [scheme.kind for scheme in spec.security] == ["bearer", "basic"]


def test_an_operations_demand_counts_where_the_document_makes_none(bind):
    paths = {"/a": {"get": {"security": [{}, {"b": ["scope"]}]}}}
    spec = bind(document({"a": BASIC, "b": BEARER}, paths=paths)).spec
    assert [scheme.kind for scheme in spec.security] == ["bearer", "basic"]


KEYS = {name: {"type": "apiKey", "in": "header", "name": f"X-{name}"} for name in ("App", "Key", "Team")}


def test_of_several_ways_the_one_with_a_single_key_is_taken(bind):
    spec = bind(document(KEYS, security=[{"App": [], "Key": []}, {"Team": []}])).spec
    assert spec.security[0].name == "X-Team"
    assert spec.problems == ()


def test_several_keys_at_once_are_a_problem_that_says_how_to_give_the_others(bind):
    paths = {
        "/a": {"get": {"security": [{"App": [], "Key": []}]}},
        "/b": {"get": {"security": [{"App": [], "Key": []}]}},
        "/c": {"get": {"security": [{"App": [], "Key": []}, {}]}},
    }
    spec = bind(document(KEYS, paths=paths)).spec
    (problem,) = spec.problems
    assert problem.where == "security App + Key"
    assert "wanted at once" in problem.why
    assert "options(headers=" in problem.why


def test_open_id_connect_is_a_bearer_token(bind):
    assert bind(document({"a": {"type": "openIdConnect"}})).spec.security == (SecurityScheme(kind="bearer"),)


@pytest.mark.parametrize(
    ("scheme", "why"),
    [
        ({"type": "http", "scheme": "digest"}, "'digest' is not supported"),
        ({"type": "mutualTLS"}, "'mutualTLS' is not supported"),
        ({"type": "apiKey", "in": "body", "name": "k"}, "header, query or cookie"),
        ({"type": "apiKey", "in": "header"}, "needs a name"),
        ({"$ref": "#/nowhere"}, "leads nowhere"),
        (7, "no object"),
    ],
)
def test_what_cannot_be_used_is_a_problem_and_the_others_serve(bind, scheme, why):
    spec = bind(document({"odd": scheme, "good": BEARER})).spec
    assert spec.security == (SecurityScheme(kind="bearer"),)
    (problem,) = spec.problems
    assert problem.where == "securitySchemes odd"
    assert why in problem.why
