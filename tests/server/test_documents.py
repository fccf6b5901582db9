"""The document says what a client must send, and that a job comes back."""

import enum

from farcall_server import FastTaskAPI, File, JobProgress
from fastapi import Depends
from pydantic import BaseModel


class Colour(enum.Enum):
    RED = "red"


def make_app():
    app = FastTaskAPI()

    @app.task_endpoint("/make_fries", tags=["kitchen"])
    def make_fries(job_progress: JobProgress, name: str, amount: int = 1, colour: Colour = Colour.RED):
        """Make fries.

        Hot ones.
        """

    @app.task_endpoint("/photo/{kind}")
    def photo(kind: str, photo: File, more: list[File] | None = None):
        pass

    @app.endpoint("/look", methods=["GET", "POST"])
    def look(q: str, n: int = 3):
        pass

    return app


def operation(app, path, method="post"):
    return app.openapi()["paths"][path][method]


def test_a_task_takes_json_where_it_takes_no_file():
    made = operation(make_app(), "/make-fries")
    assert made["x-farcall"] == {"job": True}
    assert (made["operationId"], made["summary"], made["tags"]) == ("make_fries", "Make fries", ["kitchen"])
    assert made["description"] == "Make fries.\n\nHot ones."
    assert made["requestBody"]["required"] is True
    content = made["requestBody"]["content"]
    assert list(content) == ["application/json", "application/x-www-form-urlencoded"]
    schema = content["application/json"]["schema"]
    assert list(schema["properties"]) == ["name", "amount", "colour"]
    assert schema["required"] == ["name"]
    assert schema["properties"]["amount"] == {"type": "integer", "title": "Amount", "default": 1}
    assert schema["properties"]["colour"]["default"] == "red"
    assert set(made["responses"]) == {"200", "422", "429"}


def test_a_task_takes_multipart_where_it_takes_a_file():
    made = operation(make_app(), "/photo/{kind}")
    (kind,) = made["parameters"]
    assert (kind["name"], kind["in"], kind["required"]) == ("kind", "path", True)
    content = made["requestBody"]["content"]
    assert list(content) == ["multipart/form-data"]
    assert "JSON and a form are taken too" in made["requestBody"]["description"]
    schema = content["multipart/form-data"]["schema"]
    photo = schema["properties"]["photo"]
    assert (photo["type"], photo["format"]) == ("string", "binary")
    assert "kind" not in schema["properties"]


def test_a_plain_endpoint_is_marked_as_no_job_and_takes_a_query_on_get():
    app = make_app()
    get, post = operation(app, "/look", "get"), operation(app, "/look", "post")
    assert "x-farcall" not in get
    assert [(p["name"], p["in"], p["required"]) for p in get["parameters"]] == [
        ("q", "query", True),
        ("n", "query", False),
    ]
    assert "requestBody" not in get
    assert next(iter(post["requestBody"]["content"])) == "application/json"
    assert get["operationId"] != post["operationId"]


def test_the_document_marks_the_server_and_every_reference_leads_somewhere():
    app = make_app()

    class Item(BaseModel):
        a: int

    theirs = Item

    class Item(BaseModel):
        b: str

    @app.post("/fastapi")
    def fastapi(item: theirs) -> theirs:
        pass

    @app.task_endpoint("/ours")
    def ours(item: Item):
        pass

    document = app.openapi()
    assert document["info"]["farcall"] == {"protocol": 1, "version": "0.1.0"}
    schemas = document["components"]["schemas"]

    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    assert {r.rpartition("/")[2] for r in references(document)} <= set(schemas)
    ref = document["paths"]["/ours"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "b" in schemas[ref["properties"]["item"]["$ref"].rpartition("/")[2]]["properties"]
    assert "a" in schemas["Item"]["properties"]


def test_an_endpoint_added_later_is_documented():
    app = make_app()
    before = app.openapi()
    app.task_endpoint("/later")(lambda: 1)
    assert set(app.openapi()["paths"]) - set(before["paths"]) == {"/later"}


def test_two_paths_with_one_last_segment_have_two_operation_ids():
    app = FastTaskAPI()
    for path in ("/a/run", "/b/run"):
        app.task_endpoint(path)(lambda: 1)
    ids = [path["post"]["operationId"] for path in app.openapi()["paths"].values() if "post" in path]
    assert len(set(ids)) == 2


def test_older_clients_know_by_a_mark_and_a_schema_that_jobs_are_made_and_must_be_asked_for_again(app):
    app.task_endpoint("/f")(lambda: 1)
    document = app.openapi()
    assert document["info"]["fast-task-api"]
    assert "JobResult" in document["components"]["schemas"]


def test_several_methods_behind_a_dependency_are_described_without_a_warning():
    app = FastTaskAPI(dependencies=[Depends(lambda: None)])
    app.endpoint("/look", methods=["GET", "POST"])(lambda q: q)
    assert set(app.openapi()["paths"]["/look"]) == {"get", "post"}
