"""What an endpoint offers, and how a service is known as Runpod's."""

import farcall
import pytest
from farcall import EndpointSpec, errors
from farcall.jobs import Recognition
from farcall.testing import MemorySender, reply
from farcall.wire import Document
from plugins.runpod.asking import runpod
from plugins.runpod.test_conformance import OURS

ADD = {
    "operationId": "add",
    "x-farcall": {"job": True},
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {
                    "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}},
                    "required": ["a"],
                }
            }
        }
    },
    "responses": {},
}
APP = {
    "openapi": "3.1.0",
    "info": {"title": "kitchen", "farcall": {"protocol": 1}},
    "paths": {"/add": {"post": ADD}, "/status/{job_id}": {"get": {"responses": {}}}},
}
TEST_SERVER = {
    "info": {"title": "Runpod | Development Worker API", "version": "1.12.0"},
    "paths": {
        path: {"post": {"responses": {}}} for path in ("/run", "/runsync", "/status/{job_id}", "/stream/{job_id}")
    },
}
NOTHING = reply({"detail": "Not Found"}, status=404)


class Host:
    """Answers by the end of the address; what came is in `asked`."""

    def __init__(self, **answers):
        self.answers = {key.replace("__", "/").replace("_json", ".json"): value for key, value in answers.items()}
        self.asked = []

    def __call__(self, request):
        self.asked.append((request.method, request.url))
        place = request.url.partition("?")[0]
        return next((reply(v) for k, v in self.answers.items() if place.endswith(k)), NOTHING)


def connected(host, source=None, **options):
    return farcall.connect(source, sender=MemorySender(host), api_key="rpa_x", **options)


def test_an_endpoint_of_which_nothing_is_known_can_be_run_and_asked_for_its_health_without_any_request():
    host = Host()
    with connected(host, "runpod:abc123") as service:
        assert list(service.endpoints) == ["run", "health", "purge_queue", "retry"]
        assert repr(service.run) == "run(**arguments)"
    assert host.asked == []


def test_declared_endpoints_are_the_ones_there_are():
    with connected(Host(), "runpod:abc123", endpoints=[EndpointSpec(path="/add", parameters={"a": int})]) as service:
        assert list(service.endpoints) == ["add"]


def test_a_services_own_description_serves_for_its_runpod_endpoint_too():
    host = Host(openapi_json=APP)
    with connected(host, "runpod:abc123", spec="http://127.0.0.1:8000") as service:
        assert list(service.endpoints) == ["add", "health", "purge_queue", "retry"]
        assert repr(service.add) == "add(a: int, b: int = 2)"
        assert service.add.spec.job
    assert host.asked == [("GET", "http://127.0.0.1:8000/openapi.json")]


def test_a_description_may_be_handed_over():
    with connected(Host(), provider="runpod", endpoint_id="abc123", spec=APP) as service:
        assert "add" in service.endpoints


def test_a_function_called_health_wins_over_runpods():
    paths = {"/v1/health": {"get": {"operationId": "health", "responses": {}}}}
    with connected(Host(), provider="runpod", endpoint_id="abc123", spec={**APP, "paths": paths}) as service:
        assert list(service.endpoints) == ["health", "runpod_health", "purge_queue", "retry"]
        assert service.health.spec.path == "/v1/health"


def test_a_worker_that_can_describe_itself_is_asked_in_a_job_where_the_binding_says_so():
    host = Host(runsync={"id": "sync-1", "status": "COMPLETED", "output": {**OURS, "result": APP}})
    with connected(host, "runpod:abc123", worker="farcall") as service:
        assert "add" in service.endpoints
    assert host.asked == [("POST", "https://api.runpod.ai/v2/abc123/runsync?wait=300000")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"id": "sync-1", "status": "FAILED", "error": "no such route"}, "no such route"),
        ({"id": "sync-1", "status": "COMPLETED", "output": "hi"}, "is succeeded"),
        ({"id": "sync-1", "status": "IN_PROGRESS"}, "is running"),
    ],
)
def test_a_worker_that_does_not_describe_itself_is_an_error_that_says_what_to_do(answer, said):
    with pytest.raises(errors.ConfigError, match=f"{said}.*give the description with spec="):
        connected(Host(runsync=answer), "runpod:abc123", worker="apipod")


def test_a_worker_that_is_asked_behind_a_missing_key_is_a_missing_key(monkeypatch):
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    sender = MemorySender(lambda _: reply({"error": "no key"}, status=401))
    with pytest.raises(errors.KeyMissing, match="Set RUNPOD_API_KEY"):
        farcall.connect("runpod:abc123", worker="farcall", sender=sender)


def test_a_wrong_id_is_named_where_the_worker_would_be_asked():
    with pytest.raises(errors.ConfigError, match=r"no endpoint at https://api\.runpod\.ai/v2/abd123; is its id right"):
        connected(Host(), "runpod:abd123", worker="farcall")


def test_a_busy_endpoint_is_asked_for_its_description_again():
    answers = iter(
        [reply({}, status=429), reply({"id": "sync-1", "status": "COMPLETED", "output": {**OURS, "result": APP}})]
    )
    with farcall.connect("runpod:abc123", worker="farcall", sender=MemorySender(lambda _: next(answers))) as service:
        assert "add" in service.endpoints


def test_runpods_own_address_is_known_without_a_name():
    assert runpod().recognise("https://api.runpod.ai/v2/abc123", None) is Recognition.CERTAIN
    with connected(Host(), "https://api.runpod.ai/v2/abc123/run") as service:
        assert service.binding.provider == "runpod"
        assert service.binding.options.url == "https://api.runpod.ai/v2/abc123"


@pytest.mark.parametrize(
    "url", ["https://api.runpod.ai.evil.test/v2/abc", "https://api.runpod.ai/graphql", "http://127.0.0.1:8000", None]
)
def test_other_addresses_are_not(url):
    assert runpod().recognise(url, None) is Recognition.NO


def test_the_local_test_server_is_known_by_its_description():
    host = Host(openapi_json=TEST_SERVER)
    with connected(host, "http://127.0.0.1:8000") as service:
        assert service.binding.provider == "runpod"
        assert list(service.endpoints) == ["run"]


@pytest.mark.parametrize("mark", ["fast-task-api", "apipod"])
def test_an_apps_own_description_on_the_local_test_server_gives_its_functions(mark):
    document = {
        "info": {"title": "kitchen", mark: {"version": "1"}, "runpod": "1.12.0"},
        "paths": {**TEST_SERVER["paths"], "/add": {"post": ADD}},
    }
    with connected(Host(openapi_json=document), "http://127.0.0.1:8000") as service:
        assert service.binding.provider == "runpod"
        assert list(service.endpoints) == ["add"]


def test_an_address_that_wants_another_key_says_so_at_connect():
    def refuse(_):
        return reply({"error": "who are you"}, status=401)

    with pytest.raises(errors.AuthRefused, match="who are you"):
        connected(refuse, provider="runpod", url="https://proxy.test/v2/voice")


def test_our_own_mark_for_an_endpoint_without_description_is_nobodys():
    with connected(Host(), "runpod:abc123") as service:
        assert service.problems == ()
    from farcall_runpod.description import UNDESCRIBED

    document = Document(content={"info": {"title": UNDESCRIBED}, "paths": {}})
    assert runpod().recognise("http://127.0.0.1:8000", document) is Recognition.NO
