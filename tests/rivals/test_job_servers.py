"""APIPod 1.0.33 and FastTaskAPI 1.3.3 as job servers, called by nothing but their address."""

import json
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from farcall import Binding, EndpointSpec, as_completed, errors, gather
from rivals import known
from rivals.kitchen_png import PNG


@pytest.fixture(scope="module", params=[known.APIPOD, known.FAST_TASK_API], ids=lambda rival: rival.name)
def running(request, start):
    return start(request.param)


@pytest.fixture
def kitchen(running, connected):
    return connected(running.url)


def test_it_is_recognised_as_a_job_server(kitchen):
    assert {"add", "greet", "size", "paint", "fry", "burn", "narrow", "hold"} == set(kitchen.endpoints)
    assert "fasttaskapi" in repr(kitchen)


def test_a_job_gives_its_result_and_its_result_again(kitchen):
    job = kitchen.add.submit(a=2, b=0.25)
    assert job.result(timeout_s=20) == 2.25
    assert job.result() == 2.25
    assert (job.state, job.progress) == ("succeeded", 1.0)
    assert job.id


def test_texts_lists_truth_and_nothing_arrive(kitchen):
    expected = {"greeting": "Hi Zoë & Bob!", "guests": ["a", "b,c"], "nothing": None}
    assert kitchen.greet(name="Zoë & Bob", loud=True, guests=["a", "b,c"]) == expected


def test_an_argument_left_out_has_the_servers_default(kitchen):
    assert kitchen.add(a=1) == 1.5


def test_a_file_goes_in(kitchen, tmp_path):
    photo = tmp_path / "photo.bin"
    photo.write_bytes(b"\x00\x01\x02\x03" * 5000)
    assert kitchen.size(photo=photo) == {"size": 20_000, "start": [0, 1, 2, 3]}


def test_a_file_comes_out_where_it_stands_in_the_result(kitchen):
    painted = kitchen.paint()
    assert painted["count"] == 1
    assert (painted["picture"].name, painted["picture"].read()) == ("p.png", PNG)


def test_progress_and_messages_arrive_while_it_runs(kitchen):
    looks = list(kitchen.fry.submit(steps=4).events())
    seen = [(look.progress, look.message) for look in looks if look.state == "running" and look.message]
    assert len(seen) >= 2
    assert [progress for progress, _ in seen] == sorted(progress for progress, _ in seen)
    assert {message for _, message in seen} <= {f"step {step}" for step in range(4)}
    assert looks[-1].state == "succeeded"


def test_a_failure_carries_the_functions_sentence(kitchen):
    job = kitchen.burn.submit(what="toast")
    with pytest.raises(errors.JobFailed, match="toast burnt"):
        job.result(timeout_s=20)
    assert job.state == "failed"


def test_an_argument_of_a_wrong_type_is_refused_before_it_is_sent(kitchen):
    with pytest.raises(errors.InputError, match="a"):
        kitchen.add(a="many")


def submitted_bare(url, number):
    """The server's own reply, read without farcall."""
    with urllib.request.urlopen(f"{url}/narrow", urllib.parse.urlencode({"number": number}).encode()) as reply:
        return json.load(reply)


def test_a_full_queue_is_absorbed(kitchen, running):
    with ThreadPoolExecutor(20) as threads:
        replies = list(threads.map(lambda number: submitted_bare(running.url, number), range(40)))
    assert any("Queue size limit" in (reply.get("error") or "") for reply in replies)  # forty are too many for it
    jobs = [kitchen.narrow.submit(number=number) for number in range(40)]
    assert gather(jobs) == list(range(40))


def test_a_job_whose_end_somebody_else_read_is_lost_not_failed(kitchen, running):
    job = kitchen.hold.submit(seconds=0.05)
    note = job.ref()
    assert job.result(timeout_s=20) == 0.05  # this look at the end deletes it
    with pytest.raises(errors.JobLost):
        kitchen.attach(note).result(timeout_s=20)


def test_it_cannot_cancel_and_the_job_goes_on(kitchen):
    job = kitchen.hold.submit(seconds=1.0)
    with pytest.raises(errors.CancelUnsupported):
        job.cancel()
    assert job.result(timeout_s=20) == 1.0


def test_an_endpoint_that_its_server_does_not_have_is_refused(running, connected):
    binding = Binding(provider="fasttaskapi", url=running.url, endpoints=[EndpointSpec(path="/roast")])
    with pytest.raises(errors.Refused, match="Not Found") as caught:
        connected(binding).roast()
    assert caught.value.response.status == 404


def test_the_servers_own_validation_says_what_is_wrong(running, connected):
    add = EndpointSpec(path="/add", parameters={"a": str})
    with pytest.raises(errors.Refused, match="valid integer") as caught:
        connected(Binding(provider="fasttaskapi", url=running.url, endpoints=[add])).add(a="many")
    assert caught.value.response.status == 422


def test_five_hundred_jobs_at_once_all_end_and_none_is_lost(kitchen):
    jobs = [kitchen.add.submit(a=number, b=0) for number in range(500)]
    done = list(as_completed(jobs))
    assert len(done) == 500
    assert [job.result() for job in jobs] == list(range(500))
