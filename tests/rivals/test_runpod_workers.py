"""Workers that run FastTaskAPI and APIPod apps on the emulated Runpod: their envelopes are read, their gaps filled."""

import contextlib

import pytest
from farcall import EndpointSpec, File, Parameter, errors
from farcall_runpod.emulator import Emulator, Endpoint
from rivals.environments import HERE, python_of
from rivals.kitchen_png import PNG

DECLARED = [
    EndpointSpec(path="/add", parameters={"a": int, "b": Parameter(float, default=0.5)}),
    EndpointSpec(
        path="/greet",
        parameters={"name": str, "loud": Parameter(bool, default=False), "guests": Parameter(list[str], default=[])},
    ),
    EndpointSpec(path="/size", parameters={"photo": File}),
    EndpointSpec(path="/paint"),
    EndpointSpec(path="/fry", parameters={"steps": Parameter(int, default=4)}),
    EndpointSpec(path="/burn", parameters={"what": str}),
    EndpointSpec(path="/nowhere"),
]


@contextlib.contextmanager
def emulated(rival, folder):
    endpoint = Endpoint(
        program=HERE / f"{rival}_app.py", id="kitchen", python=python_of(rival), log_file=folder / f"{rival}.log"
    )
    with Emulator(endpoint) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def fast_task_api(tmp_path_factory):
    with emulated("fast_task_api_runpod", tmp_path_factory.mktemp("workers")) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def apipod(tmp_path_factory):
    with emulated("apipod_runpod", tmp_path_factory.mktemp("workers")) as emulator:
        yield emulator


@pytest.fixture(params=["fast_task_api", "apipod"])
def worker(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def service(worker, connected):
    return connected(worker.url, provider="runpod", api_key="any", endpoints=DECLARED)


def test_a_result_comes_out_of_its_envelope_and_what_is_left_out_has_its_default(service):
    assert service.add(a=1) == 1.5
    assert service.add(a="1", b=2) == 3


def test_lists_and_nothing_come_through(service):
    assert service.greet(name="Ann", guests=["Bo"]) == {"greeting": "Hi Ann", "guests": ["Bo"], "nothing": None}


def test_a_file_in_a_result_is_a_file(service):
    painted = service.paint()
    assert painted["count"] == 1
    assert painted["picture"].name == "p.png"
    assert painted["picture"].read() == PNG


def test_a_failure_inside_is_a_failure(service):
    with pytest.raises(errors.JobFailed, match="toast burnt"):
        service.burn(what="toast")


def test_a_route_that_is_not_there_fails_the_job(service):
    with pytest.raises(errors.JobFailed):
        service.nowhere()


def test_progress_is_told_in_words(service):
    job = service.fry.submit()
    told = {look.message for look in job.events()}
    assert job.result() == "fried"
    assert told & {"step 1", "step 2", "step 3"}


def test_a_file_goes_into_fast_task_api(fast_task_api, connected):
    """apipod 1.0.33 hands its function a dict where a file is declared."""
    service = connected(fast_task_api.url, provider="runpod", api_key="any", endpoints=DECLARED)
    assert service.size(photo=File.from_bytes(PNG, name="p.png"))["size"] == len(PNG)


def test_an_apipod_worker_describes_itself(apipod, connected):
    """fast_task_api 1.3.3, asked for its description, breaks its endpoints with files."""
    service = connected(apipod.url, provider="runpod", api_key="any", worker="apipod")
    assert {"add", "greet", "paint", "fry", "burn"} <= service.endpoints.keys()
    assert service.add(a=1) == 1.5
