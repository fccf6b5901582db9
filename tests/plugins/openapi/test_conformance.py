"""The provider keeps the rules, for a host that has no jobs."""

from farcall.jobs import Recognition, State, Step
from farcall.testing import Answer, ProviderConformance, reply

TEXT = {"type": "string"}
OPERATION = {
    "operationId": "make_item",
    "parameters": [
        {"name": "item_id", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "q", "in": "query", "schema": TEXT},
        {"name": "x-mark", "in": "header", "schema": TEXT},
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "properties": {"text": TEXT}}}},
    },
    "responses": {"200": {"description": "", "content": {"application/json": {"schema": {}}}}},
}


class TestOpenAPI(ProviderConformance):
    provider = "openapi"
    options = {"url": "http://items.test/v1"}
    endpoints = ()
    arguments = {"item_id": 7, "q": "a b", "x_mark": "m", "text": "hello"}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Items", "version": "1"},
        "paths": {"/items/{item_id}": {"post": OPERATION}},
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "key"}}},
    }
    recognition = Recognition.GENERIC
    has_jobs = False
    words = {}
    answers = [
        Answer(Step.SUBMIT, reply({"count": 3}), State.SUCCEEDED),
        Answer(Step.SUBMIT, reply(b"", status=204), State.SUCCEEDED),
        Answer(Step.SUBMIT, reply(b"\x89PNG", headers={"content-type": "image/png"}), State.SUCCEEDED),
        Answer(Step.SUBMIT, reply({"detail": "no such item"}, status=404), None),
        Answer(Step.SUBMIT, reply({"detail": "oh"}, status=500), None),
    ]
