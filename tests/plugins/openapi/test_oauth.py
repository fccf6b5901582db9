"""OAuth 2 client credentials, against a token endpoint on a socket."""

import base64

import farcall
import pytest
from farcall.errors import AuthRefused, UsageError
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

KEY = "me:s3:cret"  # the first colon divides


def token_app(*, basic=True, lasts_s=3600):
    app = FastAPI()
    app.asked = []

    @app.post("/token", include_in_schema=False)
    async def token(request: Request):
        form = dict(await request.form())
        shown = request.headers.get("authorization")
        app.asked.append((form, shown))
        pair = base64.b64encode(b"me:s3%3Acret").decode()
        good = shown == f"Basic {pair}" if basic else form.get("client_secret") == "s3:cret"
        if not good:
            return JSONResponse({"error": "invalid_client", "error_description": "who are you"}, 401)
        return {"access_token": f"t{len(app.asked)}", "token_type": "bearer", "expires_in": lasts_s}

    @app.get("/who")
    def who(request: Request):
        return request.headers.get("authorization")

    def secured(url="token", **flows):
        document = FastAPI.openapi(app)
        flow = {"tokenUrl": url, "scopes": {"read": "", "write": ""}}
        scheme = {"type": "oauth2", "flows": {"clientCredentials": flow, **flows}}
        return {
            **document,
            "components": {"securitySchemes": {"o": scheme}},
            "security": [{"o": ["read"]}],
        }

    app.document = secured
    app.openapi = secured
    return app


def test_a_clients_id_and_secret_become_a_token_that_serves_many_calls(serve):
    app = token_app()
    with farcall.connect(serve(app).url, api_key=KEY) as svc:
        assert {svc.who() for _ in range(3)} == {"Bearer t1"}
    ((form, _),) = app.asked
    assert form == {"grant_type": "client_credentials", "scope": "read"}


def test_a_server_that_wants_the_secret_in_the_body_gets_it_there(serve):
    app = token_app(basic=False)
    with farcall.connect(serve(app).url, api_key=KEY) as svc:
        assert svc.who() == "Bearer t2"
    assert [shown is None for _, shown in app.asked] == [False, True]


def test_a_token_that_has_ended_is_fetched_anew(serve, monkeypatch):
    import datetime as dt

    from farcall.hookspecs import Credential
    from farcall_openapi import oauth

    app = token_app(lasts_s=31)
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    flow = oauth.grant("http://h.test/token", "", Credential(secret=KEY), now)
    next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send(farcall.wire.Response(status=200, content=b'{"access_token": "t", "expires_in": 90}'))
    assert end.value.value.expires_at == now + dt.timedelta(seconds=60)
    assert app.asked == []


def test_a_refused_client_is_told_why(serve):
    with (
        farcall.connect(serve(token_app()).url, api_key="me:wrong") as svc,
        pytest.raises(AuthRefused, match="gave no token and answered 401: invalid_client") as caught,
    ):
        svc.who()
    assert "wrong" not in str(caught.value)


def test_a_token_that_the_user_has_is_shown_as_it_is(serve):
    app = token_app()
    with farcall.connect(serve(app).url, api_key="mine") as svc:
        assert svc.who() == "Bearer mine"
    assert app.asked == []


def test_no_document_gets_the_secret_sent_elsewhere(serve):
    thief, app = token_app(), token_app()
    place = f"{serve(thief).url}/token"
    url = serve(app).url
    with (
        farcall.connect(app.document(place), provider="openapi", url=url, api_key=KEY) as svc,
        pytest.raises(UsageError, match="If that is right, say so: token_url="),
    ):
        svc.who()
    assert thief.asked == []
    with farcall.connect(app.document(place), provider="openapi", url=url, api_key=KEY, token_url=place) as svc:
        assert svc.who() == "Bearer t1"


def test_a_user_and_password_stay_basic_where_the_document_says_basic(serve):
    app = token_app()
    document = {**app.document(), "components": {"securitySchemes": {"o": {"type": "http", "scheme": "basic"}}}}
    with farcall.connect(document, provider="openapi", url=serve(app).url, api_key="u:p") as svc:
        assert svc.who() == "Basic " + base64.b64encode(b"u:p").decode()
