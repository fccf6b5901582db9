"""A model on LitServe, called by nothing but its address."""

import pytest
from farcall import errors
from rivals import known


@pytest.fixture(scope="module")
def running(start):
    return start(known.LITSERVE)


@pytest.fixture
def model(running, connected):
    return connected(running.url)


def test_every_operation_is_an_endpoint(model):
    assert {"/predict", "/health", "/info"} <= {endpoint.spec.path for endpoint in model.endpoints.values()}
    assert model.problems == ()


def test_a_body_of_a_model_is_arguments(model):
    assert model["/predict"](number=1.5) == {"label": "square", "number": 2.25}
    assert model["/predict"](number=2, label="four") == {"label": "four", "number": 4}


def test_a_reply_without_a_media_type_is_a_file(model):
    assert model.health().read() == b"ok"


def test_an_argument_of_a_wrong_type_is_refused_before_it_is_sent(model):
    with pytest.raises(errors.InputError, match="number"):
        model["/predict"](number="many")


def test_not_found_carries_the_models_sentence(model):
    with pytest.raises(errors.Refused, match="There is no 13") as caught:
        model["/predict"](number=13)
    assert caught.value.response.status == 404


def test_a_crash_in_the_model_is_its_fault(model):
    with pytest.raises(errors.ServerFault, match="500"):
        model["/predict"](number=-1)
