"""A key reaches the origin it was given for, and nothing else; an address is what it says."""

import farcall
import httpx
import pytest
from farcall import errors
from farcall.sender_httpx import HttpxSender
from farcall.sources import Wish
from farcall.tracking import CallOptions
from farcall_server import FastTaskAPI

from journeys.test_faults import always, answer

SECRET = "s3cret-key"


def document(*servers, **more):
    paths = {"/ping": {"get": {"operationId": "ping", "responses": {"200": {"description": "", **more}}}}}
    info = {"title": "x", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "servers": [{"url": url} for url in servers]}


def shown(server):
    return [headers for _, _, headers, _ in server.requests if SECRET in str(headers)]


def test_a_key_for_one_origin_is_not_shown_to_the_server_a_description_names(raw_server):
    elsewhere = raw_server(always(answer(200, "pong")))
    home = raw_server(always(answer(200, document(elsewhere.url))))
    farcall.settings.api_keys[home.url] = SECRET
    with farcall.connect(home.url + "/openapi.json") as svc:
        assert svc.ping() == "pong"
    with farcall.connect(home.url + "/openapi.json", api_key=SECRET) as svc:
        assert svc.ping() == "pong"
    assert shown(home)
    assert not shown(elsewhere)


def test_a_key_for_the_server_that_a_handed_over_description_names_is_shown_there(raw_server):
    server = raw_server(always(answer(200, "pong")))
    with farcall.connect(document(server.url), provider="openapi", api_key=SECRET) as svc:
        assert svc.ping() == "pong"
    farcall.settings.api_keys[server.url] = SECRET
    with farcall.connect(document(server.url), provider="openapi") as svc:
        assert svc.ping() == "pong"
    assert len(shown(server)) == 2


def test_a_redirect_to_another_origin_takes_no_header_along_that_may_be_a_secret(raw_server):
    elsewhere = raw_server(always(answer(200, {"job_id": "j", "status": "finished", "result": 1})))
    home = raw_server(always(answer(302, b"", extra=f"location: {elsewhere.url}/x\r\n")))
    spec = farcall.EndpointSpec(path="/q", method="GET", parameters={"token": farcall.Parameter(str, place="header")})
    binding = farcall.Binding(provider="fasttaskapi", url=home.url, endpoints=[spec])
    with farcall.connect(binding, api_key=SECRET) as svc:
        svc.q.options(headers={"x-token": SECRET})(token=SECRET)
    assert len(shown(home)) == 1
    assert elsewhere.requests
    assert not shown(elsewhere)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("http://user:s3cret-key@127.0.0.1:9", "api_key"),
        ("http://127.0.0.1:99999", "no address"),
        ("http://[::1", "no address"),
        ("127.0.0.1:99999", "no address"),
        ("http://", "no address"),
        ("fasttaskapi:ftp://user:s3cret-key@gpu.lan", "no http"),
    ],
)
def test_an_address_that_is_none_or_holds_a_password_is_refused_with_a_sentence(source, words):
    for options in ({}, {"provider": "openapi"}, {"provider": "fasttaskapi"}):
        with pytest.raises(errors.UsageError, match=words) as caught:
            farcall.connect(source, **options)
        assert "s3cret" not in str(caught.value)


def test_a_key_with_a_line_end_is_blamed_itself_and_not_shown(url):
    with pytest.raises(errors.UsageError, match="line end") as caught:
        farcall.connect(url, api_key=SECRET + "\n")
    assert SECRET not in str(caught.value)


def test_what_holds_a_key_or_headers_on_the_way_shows_none_in_its_repr():
    assert SECRET not in repr(Wish(api_key=SECRET, options={}))
    assert SECRET not in repr(CallOptions(headers={"authorization": SECRET}))


@pytest.mark.parametrize(("wrong", "words"), [({"api_key": 3}, "api_key is a text"), ({"endpoints": "add"}, "a list")])
def test_an_argument_of_connect_of_the_wrong_type_is_named(url, wrong, words):
    with pytest.raises(errors.UsageError, match=words):
        farcall.connect(url, **wrong)


def test_an_address_below_a_service_is_not_taken_for_the_service(url):
    for path in ("/docs", "/anything/at/all"):
        with pytest.raises(errors.UsageError, match="No installed provider knows"):
            farcall.connect(url + path)


def test_a_job_servers_description_on_runpods_test_server_is_runpods_and_no_plain_one(url):
    described = httpx.get(url + "/openapi.json").json()
    document = {**described, "info": {"title": "x", "version": "1", "apipod": {}, "runpod": {}}}
    with farcall.connect(document, url=url) as svc:
        assert svc.binding.provider == "runpod"


def test_a_function_under_several_methods_is_one_endpoint_named_after_its_path(serve):
    app = FastTaskAPI()

    @app.endpoint("/gen/{item_id}", methods=["GET", "POST"])
    def gen(item_id: int) -> int:
        return item_id

    with farcall.connect(serve(app).url) as svc:
        assert list(svc.endpoints) == ["gen"]
        assert svc.gen(item_id=3) == 3


def test_a_function_that_takes_bytes_is_refused_since_no_request_holds_them():
    app = FastTaskAPI()
    with pytest.raises(errors.UsageError, match="take a File"):

        @app.task_endpoint("/f")
        def f(content: bytes) -> int:
            return len(content)


@pytest.mark.parametrize("sender", [HttpxSender, 3])
def test_what_carries_nothing_is_no_sender(url, sender):
    with pytest.raises(errors.UsageError, match="sender is an object that carries requests"):
        farcall.connect(url, sender=sender)
