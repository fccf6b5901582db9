"""Documents spread over several files: fetched where the document is, and nowhere else."""

import json

import farcall
import pytest
from farcall.errors import ConfigError
from farcall.spec import Problem
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

ROOT = {
    "openapi": "3.1.0",
    "info": {"title": "split", "version": "1"},
    "paths": {
        "/item": {"$ref": "paths/item.yaml"},
        "/plain": {"get": {"operationId": "plain", "responses": {}}},
    },
    "components": {"schemas": {"Name": {"type": "string", "maxLength": 5}}},
}
ITEM = """
post:
  operationId: make
  requestBody:
    required: true
    content:
      application/json:
        schema: {$ref: '../schemas.json#/Item'}
  responses: {}
"""
SCHEMAS = {
    "Item": {
        "type": "object",
        "required": ["name", "parts"],
        "properties": {
            "name": {"$ref": "openapi.json#/components/schemas/Name"},
            "parts": {"type": "array", "items": {"$ref": "#/Item"}},
        },
    }
}
FILES = {"openapi.json": json.dumps(ROOT), "paths/item.yaml": ITEM, "schemas.json": json.dumps(SCHEMAS)}


def split_app(files):
    app = FastAPI(openapi_url=None)
    app.asked = []

    @app.get("/{path:path}")
    def file(path: str, request: Request):
        app.asked.append((path, request.headers.get("authorization")))
        answer = files.get(path)
        if answer is None:
            return Response(status_code=404)
        return RedirectResponse(answer) if answer.startswith("http") else Response(answer)

    @app.post("/item")
    async def item(request: Request):
        return await request.json()

    return app


def root(reference):
    return json.dumps({**ROOT, "paths": {**ROOT["paths"], "/item": {"$ref": reference}}})


def check(svc):
    assert svc.problems == ()
    item = {"name": "a", "parts": [{"name": "b", "parts": []}]}
    assert svc.make(**item) == item
    with pytest.raises(farcall.errors.InputError, match=r"at \[0\]\['name'\]"):
        svc.make(name="a", parts=[{"name": "too long", "parts": []}])


def test_files_beside_a_fetched_document_are_part_of_it(serve):
    app = split_app(FILES)
    with farcall.connect(serve(app).url) as svc:
        check(svc)
    assert [path for path, _ in app.asked].count("schemas.json") == 1


def test_files_beside_a_document_on_this_machine_are_part_of_it(serve, tmp_path):
    (tmp_path / "paths").mkdir()
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    url = serve(split_app({})).url
    with farcall.connect(url, provider="openapi", spec=str(tmp_path / "openapi.json")) as svc:
        check(svc)


def test_another_origin_is_asked_only_where_the_binding_allows_it_and_without_the_key(serve):
    other = split_app(FILES)
    place = serve(other).url
    url = serve(split_app({"openapi.json": root(f"{place}/paths/item.yaml")})).url
    with farcall.connect(url, api_key="s3cret") as svc:
        assert list(svc.endpoints) == ["plain"]
        first, second = svc.problems
        assert first == Problem(
            f"{place}/paths/item.yaml",
            f"it is at another place than the document; ref_origins=['{place}'] allows it",
        )
        assert second.where == "/item"
    assert other.asked == []
    with farcall.connect(url, api_key="s3cret", ref_origins=[place]) as svc:
        assert "make" in svc.endpoints
    assert {key for _, key in other.asked} == {None}


@pytest.mark.parametrize(
    "reference",
    ["file:///etc/passwd", "http://169.254.169.254/latest", "http://10.0.0.1/x#/a", "ftp://h.test/x", "//evil.test/x"],
)
def test_a_fetched_document_leads_nowhere_else(serve, reference):
    with farcall.connect(serve(split_app({"openapi.json": root(reference)})).url) as svc:
        assert list(svc.endpoints) == ["plain"]
        assert len(svc.problems) == 2


def test_a_redirect_leads_nowhere_else_either(serve):
    other = split_app(FILES)
    files = {"openapi.json": root("moved.yaml"), "moved.yaml": f"{serve(other).url}/paths/item.yaml"}
    with farcall.connect(serve(split_app(files)).url) as svc:
        assert "it answered 307" in [problem.why for problem in svc.problems]
    assert other.asked == []


@pytest.mark.parametrize(
    "reference", ["../secret.yaml", "/etc/hostname", "%2e%2e/secret.yaml", "link.yaml", "http://h.test/"]
)
def test_a_document_on_this_machine_reads_only_its_own_folder(tmp_path, reference):
    (tmp_path / "secret.yaml").write_text(ITEM)
    folder = tmp_path / "api"
    folder.mkdir()
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "openapi.json").write_text(root(reference))
    with farcall.connect("http://h.test", provider="openapi", spec=str(folder / "openapi.json")) as svc:
        assert list(svc.endpoints) == ["plain"]
        assert svc.problems


def test_a_file_that_is_missing_or_broken_is_a_problem_and_the_rest_binds(serve):
    files = {**FILES, "schemas.json": "a: b: c"}
    with farcall.connect(serve(split_app(files)).url) as svc:
        assert list(svc.endpoints) == ["plain"]
        assert "neither JSON nor YAML" in svc.problems[0].why
    del files["schemas.json"]
    with farcall.connect(serve(split_app(files)).url) as svc:
        missing, lost = svc.problems
        assert missing.why == "it answered 404"
        assert lost == Problem("POST /item", f"the reference '{missing.where}#/Item' leads nowhere")


@pytest.mark.parametrize("reference", ["schemas.json#Item", "#Item"])
def test_an_anchor_is_refused_as_what_it_is_in_another_file_too(serve, reference):
    files = {**FILES, "paths/item.yaml": ITEM.replace("../schemas.json#/Item", reference.replace("sch", "../sch"))}
    with farcall.connect(serve(split_app(files)).url) as svc:
        why = "the reference '#Item' names an anchor, and only JSON pointers are followed"
        assert svc.problems == (Problem("POST /item", why),)


def test_a_missing_file_of_a_document_on_this_machine_is_called_by_its_name(tmp_path):
    (tmp_path / "openapi.json").write_text(root("gone.yaml#/item"))
    with farcall.connect("http://h.test", provider="openapi", spec=str(tmp_path / "openapi.json")) as svc:
        missing, lost = svc.problems
    assert missing == Problem((tmp_path / "gone.yaml").as_uri(), "there is no such file in the document's folder")
    assert lost == Problem("/item", f"the reference '{missing.where}#/item' leads nowhere")


def test_files_that_lead_round_or_on_for_ever_come_to_an_end(serve):
    app = FastAPI(openapi_url=None)
    app.asked = 0

    @app.get("/openapi.json")
    def document():
        return json.loads(root("f0.json"))

    @app.get("/f{number}.json")
    def chain(number: int):
        app.asked += 1
        return {"$ref": f"f{number + 1}.json"}

    with farcall.connect(serve(app).url) as svc:
        assert list(svc.endpoints) == ["plain"]
        assert any("more than 100 files" in problem.why for problem in svc.problems)
    assert app.asked == 100


def test_an_origin_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="no origin"):
        farcall.connect("http://h.test", provider="openapi", ref_origins=["specs"])
