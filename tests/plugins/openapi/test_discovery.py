"""Where a document is looked for, and what counts as one."""

import pytest
from farcall.binding import Binding
from farcall.jobs import Recognition
from farcall.provider import provider
from farcall.wire import Document, Response

DOCUMENT = b'{"openapi": "3.1.0", "paths": {}}'
HTML = {"content-type": "text/html"}


def discover(answers, *, url="http://h:1", spec=None):
    """Run the flow against a table of replies by address; what it returned, and what it asked."""
    hooks = provider("openapi")
    binding = Binding(provider="openapi", spec=spec).described(options=hooks.options()(url=url))
    flow = hooks.discover(binding)
    if flow is None:
        return None, []
    asked = []
    try:
        request = next(flow)
        while True:
            asked.append(request.url)
            assert (request.method, request.repeatable) == ("GET", True)
            request = flow.send(answers.get(request.url, Response(status=404)))
    except StopIteration as end:
        return end.value, asked


def test_the_first_well_known_place_is_fastapis():
    found, asked = discover({"http://h:1/openapi.json": Response(status=200, content=DOCUMENT)})
    assert asked == ["http://h:1/openapi.json"]
    assert (found.url, found.content["openapi"]) == ("http://h:1/openapi.json", "3.1.0")


@pytest.mark.parametrize("path", ["/docs.json", "/openapi/openapi.json", "/swagger.json", "/v3/api-docs"])
def test_other_frameworks_places_are_tried(path):
    found, _ = discover({f"http://h:1/api{path}": Response(status=200, content=DOCUMENT)}, url="http://h:1/api")
    assert found.url == f"http://h:1/api{path}"


@pytest.mark.parametrize(
    "wrong",
    [
        Response(status=200, content=b"<html>", headers=HTML),
        Response(status=200, content=b'{"swagger": "2.0"}'),
        Response(status=200, content=b"[]"),
        Response(status=500, content=DOCUMENT),
        Response(status=204),
    ],
)
def test_what_is_no_document_is_passed_over(wrong):
    found, asked = discover(
        {"http://h:1/openapi.json": wrong, "http://h:1/docs.json": Response(status=200, content=DOCUMENT)}
    )
    assert found.url == "http://h:1/docs.json"
    assert len(asked) == 2


def test_a_body_that_is_no_text_is_given_up():
    class Coming:
        dropped = False

        def drop(self):
            self.dropped = True

    body = Coming()
    found, _ = discover({"http://h:1/openapi.json": Response(status=200, body=body)})
    assert (found, body.dropped) == (None, True)


def test_an_address_that_names_a_document_is_the_only_one_asked():
    found, asked = discover({}, url="http://h:1/spec/my.json?v=2")
    assert (found, asked) == (None, ["http://h:1/spec/my.json?v=2"])


def test_an_address_that_looks_like_a_document_is_asked_first():
    _, asked = discover({}, url="http://h:1/api/swagger")
    assert asked[:2] == ["http://h:1/api/swagger", "http://h:1/api/swagger/openapi.json"]


def test_the_bindings_spec_address_is_asked_alone():
    _, asked = discover({}, spec="https://elsewhere.test/s")
    assert asked == ["https://elsewhere.test/s"]


@pytest.mark.parametrize(("url", "spec"), [(None, None), ("http://h:1", {"openapi": "3.1.0"})])
def test_where_there_is_nothing_to_fetch_nothing_is_asked(url, spec):
    assert discover({}, url=url, spec=spec) == (None, [])


@pytest.mark.parametrize(
    ("content", "recognition"),
    [
        ({"openapi": "3.1.0", "paths": {}}, Recognition.GENERIC),
        ({"openapi": "3.0.0", "paths": {"/a": {}}}, Recognition.GENERIC),
        ({"openapi": "3.1.0"}, Recognition.NO),
        ({"openapi": "4.0.0", "paths": {}}, Recognition.NO),
        ({"openapi": 3, "paths": {}}, Recognition.NO),
        ({"swagger": "2.0", "paths": {}}, Recognition.GENERIC),
        ({"swagger": 2.0, "paths": {}}, Recognition.GENERIC),  # YAML without quotes
        ([], Recognition.NO),
    ],
)
def test_recognition(content, recognition):
    assert provider("openapi").recognise(None, Document(content=content)) is recognition


def test_an_address_alone_is_not_recognised():
    assert provider("openapi").recognise("http://h:1/openapi.json", None) is Recognition.NO
