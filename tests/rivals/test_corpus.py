"""Public documents bind: every operation is an endpoint, or is listed with the reason why not."""

import inspect

import pytest
import yaml
from farcall import connect
from rivals.corpus import sources

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# What these documents hold that does not bind; each reason was compared with the document.
UNBOUND = {
    "@readme/oas-examples@8.2.2:3.1/json/security.json": {
        "securitySchemes mutualTLS": (
            "the type 'mutualTLS' is not supported; apiKey, http, oauth2 and openIdConnect are"
        ),
    },
    "@readme/oas-examples@8.2.2:3.0/json/security-multiple.json": {
        "security apiKey_header + basic + oauth2": (
            "they are wanted at once, and one key is sent; give the others with each call: .options(headers={…})"
        ),
    },
    "prance==26.7.19.0:tests/specs/with_externals.yaml": {
        "http://finkhaeuser.de/projects/prance/petstore.yaml": (
            "it is at another place than the document; ref_origins=['http://finkhaeuser.de'] allows it"
        ),
        "python://tests/specs/petstore.yaml": "it is neither beside the document nor an address",
        "GET /pets/{petId}": (
            "the reference 'http://finkhaeuser.de/projects/prance/petstore.yaml#/definitions/Pet' leaves the document"
        ),
    },
    "@directus/specs@15.2.0:dist/openapi.json": {
        "POST /items/{collection}": "the request body's schema is no object",  # it is null
    },
}


def operations(document):
    """Every operation, as GET /path, read without farcall."""
    root = parsed(document)
    return {
        f"{method.upper()} {path}"
        for path, item in (root.get("paths") or {}).items()
        for method in METHODS
        if method in resolved(item, root, document)
    }


def parsed(document):
    return yaml.load(document.read_bytes(), Loader=yaml.CSafeLoader)  # JSON is YAML, too


def resolved(item, root, document):
    while "$ref" in item:
        file, _, pointer = item["$ref"].partition("#")
        if file:
            document = document.parent / file
            root = parsed(document)
        item = root
        for step in filter(None, pointer.split("/")):
            item = item[step.replace("~1", "/").replace("~0", "~")]
    return item


@pytest.fixture(scope="module")
def table(request):
    """What bound, printed at the end."""
    rows = []
    yield rows
    capturing = request.config.pluginmanager.getplugin("capturemanager")
    with capturing.global_and_fixture_disabled():
        print(f"\n{'operations':>10} {'endpoints':>9}  document")  # noqa: T201
        for operations, endpoints, source, problems in rows:
            print(f"{operations:>10} {endpoints:>9}  {source}")  # noqa: T201
            for problem in problems:
                print(f"{'':>20}  {problem.where}: {problem.why}")  # noqa: T201


@pytest.fixture(params=sources(), ids=str)
def source(request):
    return request.param


def test_every_operation_is_an_endpoint_or_a_problem_with_its_reason(source, table, tmp_path):
    document = source.unpacked(tmp_path)
    expected = operations(document)
    with connect("http://127.0.0.1:9", provider="openapi", spec=str(document)) as service:
        bound = {f"{endpoint.spec.method} {endpoint.spec.path}" for endpoint in service.endpoints.values()}
        table.append((len(expected), len(service.endpoints), source, service.problems))
        unbound = {problem.where: problem.why for problem in service.problems}
        assert len(unbound) == len(service.problems)  # none hides another
        assert expected <= bound | set(unbound)
        assert bound <= expected
        assert unbound == UNBOUND.get(str(source), {})
        for name, endpoint in service.endpoints.items():
            assert name.isidentifier()
            assert all(parameter.isidentifier() for parameter in inspect.signature(endpoint).parameters)


def test_the_corpus_is_wide():
    found = sources()
    assert len(found) >= 40
    assert len({source.package for source in found}) >= 8
