"""A service on BentoML, called by nothing but its address."""

import pytest
from farcall import errors
from rivals import known


@pytest.fixture(scope="module")
def running(start):
    return start(known.BENTOML)


@pytest.fixture
def press(running, connected):
    return connected(running.url)


def test_every_operation_is_an_endpoint(press):
    paths = {endpoint.spec.path for endpoint in press.endpoints.values()}
    assert {"/repeat", "/count", "/press", "/letters", "/find", "/boom", "/slow", "/slow/submit"} <= paths
    assert press.problems == ()


def test_arguments_go_in_and_text_comes_out(press):
    assert press["/repeat"](text="ab") == "abab"
    assert press["/repeat"](text="ü", times=3) == "üüü"


def test_lists_go_in_and_dicts_come_out(press):
    assert press["/count"](words=["a", "b", "a"]) == {"a": 2, "b": 1}


def test_a_file_goes_in_and_comes_out(press):
    assert press["/press"](photo=b"\x00abc").read() == b"cba\x00"


def test_bare_text_sent_as_an_event_stream_is_not_dropped(press):
    assert "".join(press["/letters"].submit(text="abc").stream()) == "abc"


def test_events_stream(press):
    assert list(press["/events"].submit(words=["a b", "c"]).stream()) == ["a b", "c"]


def test_a_task_is_a_job(press):
    job = press.slow.submit(number=7)
    assert job.result(timeout_s=20) == 49
    assert job.state == "succeeded"


def test_a_task_is_taken_up_again_by_its_reference(press, running, connected):
    note = press.slow.submit(number=8).ref()
    assert connected(running.url).attach(note).result(timeout_s=20) == 64


def test_a_refused_cancel_carries_the_services_sentence(press):
    # 1.4.39 then calls the task canceled until it completes all the same, so what follows is not asked.
    job = press.slow.submit(number=1, seconds=1.0)
    with pytest.raises(errors.CancelFailed, match="not supported in local development server"):
        job.cancel()


def test_fifty_tasks_at_once_all_end(press):
    jobs = [press.slow.submit(number=number, seconds=0.02) for number in range(50)]
    assert [job.result(timeout_s=60) for job in jobs] == [number**2 for number in range(50)]


def test_a_refusal_carries_the_services_sentence(press):
    with pytest.raises(errors.Refused, match="There is no king") as caught:
        press["/find"](name="king")
    assert caught.value.response.status == 404


def test_the_services_own_validation_says_what_is_wrong(press):
    with pytest.raises((errors.Refused, errors.InputError), match="100"):
        press["/repeat"](text="a", times=101)


def test_a_crash_in_the_service_is_its_fault(press):
    with pytest.raises(errors.ServerFault, match="500"):
        press["/boom"]()
