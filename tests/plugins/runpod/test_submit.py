"""What is sent to Runpod."""

import json

import pytest
from farcall import EndpointSpec, Parameter, errors
from farcall.hookspecs import Call
from farcall.wire import FileValue
from farcall_runpod import verbs
from plugins.runpod.asking import URL, bound, job, runpod, sent, submit

MIB = 1024 * 1024


def test_the_arguments_of_run_are_the_handlers_input():
    assert submit({"prompt": "hi"}).url == f"{URL}/run"
    assert sent({"prompt": "hi", "n": 2}) == {"input": {"prompt": "hi", "n": 2}}


def test_any_other_path_is_a_route_of_the_worker():
    assert sent({"a": 1}, path="/add", parameters={"a": int}) == {"input": {"path": "/add", "a": 1}}


def test_defaults_are_sent_to_workers_that_have_none_and_not_to_ours():
    parameters = {"a": int, "b": Parameter(int, default=2), "c": Parameter(str, default=None)}
    routed = {"path": "/add", "parameters": parameters}
    assert sent({"a": 1}, **routed)["input"] == {"path": "/add", "a": 1, "b": 2, "c": None}
    assert sent({"a": 1, "b": 5}, **routed)["input"] == {"path": "/add", "a": 1, "b": 5, "c": None}
    assert sent({"a": 1}, **routed, traits={"dialect": "farcall"})["input"] == {"path": "/add", "a": 1}


def test_a_parameter_goes_by_its_name_on_the_wire():
    parameters = {"max_tokens": Parameter(int, alias="max-tokens"), "n": Parameter(int, default=1, alias="N")}
    assert sent({"max_tokens": 3}, path="/a", parameters=parameters)["input"] == {"path": "/a", "max-tokens": 3, "N": 1}


def test_a_parameter_called_path_is_refused_where_path_says_the_route():
    with pytest.raises(errors.InputError, match="give the parameter another name"):
        submit({"path": "x"}, path="/add", parameters={"path": str})
    assert sent({"path": "x"}) == {"input": {"path": "x"}}


def test_a_calls_policy_wins_over_the_bindings_and_seconds_become_milliseconds():
    binding = bound(endpoint_id="abc123", execution_timeout_s=60, ttl_s=90.5, webhook="https://a.test/hook")
    assert sent({}, binding=binding) == {
        "input": {},
        "policy": {"executionTimeout": 60000, "ttl": 90500},
        "webhook": "https://a.test/hook",
    }
    call = {"execution_timeout_s": 5, "low_priority": True, "webhook": "https://b.test/"}
    assert sent({}, binding=binding, call=call) == {
        "input": {},
        "policy": {"executionTimeout": 5000, "ttl": 90500, "lowPriority": True},
        "webhook": "https://b.test/",
    }


def test_sync_mode_lets_runpod_hold_the_submission_open():
    request = submit({}, call={"mode": "sync"})
    assert request.url == f"{URL}/runsync?wait=90000"
    assert request.silence_s > 90


def test_the_local_test_server_knows_no_wait():
    binding = bound({"host": "local"}, url="http://127.0.0.1:8000")
    assert submit({}, binding=binding, call={"mode": "sync"}).url == "http://127.0.0.1:8000/runsync"


def test_no_submission_is_repeatable():
    assert not submit({}).repeatable
    assert not submit({}, call={"mode": "sync"}).repeatable


def test_an_input_over_ten_megabytes_is_refused_with_what_to_do():
    text = "x" * (10 * MIB)
    with pytest.raises(errors.InputError, match=r"run: the input has 10,\d+,\d+ bytes.*configure a storage"):
        submit({"text": text})
    assert submit({"text": text}, call={"mode": "sync"}).url.startswith(f"{URL}/runsync")


def test_an_input_over_twenty_megabytes_is_refused_in_sync_mode_too():
    with pytest.raises(errors.InputError, match="takes at most 20,971,520"):
        submit({"text": "x" * (20 * MIB)}, call={"mode": "sync"})


@pytest.mark.parametrize(("mode", "most"), [("async", 10 * MIB), ("sync", 20 * MIB)])
def test_a_file_travels_as_a_data_address_or_a_link_and_only_as_large_as_the_input_may_be(mode, most):
    said = runpod().call_options()(mode=mode)
    policy = runpod().file_transport(bound(), EndpointSpec(path="/run"), "image", FileValue(name="a.png"), said)
    assert (policy.inline, policy.links) == ("data_uri", True)
    image = "data:image/png;base64," + "A" * (policy.max_inline_bytes * 4 // 3)
    assert 0.99 * most < len(submit({"image": image}, call={"mode": mode}).body) <= most


@pytest.mark.parametrize(
    ("verb", "method", "path"),
    [
        (verbs.HEALTH, "GET", "/health"),
        (verbs.PURGE_QUEUE, "POST", "/purge-queue"),
        (verbs.RETRY, "POST", "/retry/a%2Fb"),
    ],
)
def test_verbs_of_runpod_are_requests_of_their_own(verb, method, path):
    arguments = {"job_id": "a/b"} if verb is verbs.RETRY else {}
    request = runpod().submit(bound(), Call(endpoint=verb, arguments=arguments))
    assert (request.method, request.url, request.body) == (method, URL + path, b"")


def test_a_look_is_a_get_and_of_a_local_test_job_a_post():
    assert (runpod().status(bound(), [job()], None).method) == "GET"
    local = job("test-1", host="local")
    assert runpod().status(bound(url="http://127.0.0.1:8000"), [local], None).method == "POST"
    assert runpod().cancel(bound(url="http://127.0.0.1:8000"), local) is None


def test_pieces_of_output_are_handed_out_once_so_asking_is_not_repeatable():
    request = runpod().stream(bound(), job("a b"), None)
    assert (request.method, request.url, request.repeatable) == ("GET", f"{URL}/stream/a%20b", False)


def test_json_cannot_say_nan():
    with pytest.raises(errors.InputError):
        submit({"x": float("nan")})
    assert json.loads(submit({"x": "NaN"}).body) == {"input": {"x": "NaN"}}
