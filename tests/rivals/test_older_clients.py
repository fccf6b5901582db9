"""fastsdk 0.4.26, and 0.1.3 of FastTaskAPI's time, call this project's server as if it were one of theirs.

Each runs once in an environment of its own and tells what came of each call; the tests look at what it told.
"""

import functools
import json
import os
import subprocess

import httpx
import pytest
from rivals import known
from rivals.environments import HERE, python_of
from rivals.kitchen_png import PNG

CLIENTS = ("fastsdk", "fastsdk_old")
AN_UPLOAD = {"size": 20_008, "sum": sum(b"\x89PNG\r\n\x1a\n" + b"\x01\x02\x03\x04" * 5000)}


@pytest.fixture(scope="module")
def url(start):
    return start(known.OURS).url


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a client tells once it was run: `run("fastsdk", url)`."""

    def once(client, *arguments):
        home = str(tmp_path_factory.mktemp(client))
        done = subprocess.run(
            [python_of(client), str(HERE / f"{client}_client.py"), *arguments],
            env={"HOME": home, "TMPDIR": home, "PATH": os.defpath, "LANG": "C.UTF-8"},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return once


@pytest.fixture(scope="module")
def tell(url, run):
    """What a client told, by its name; each runs once."""
    return functools.cache(lambda client: run(client, url))


@pytest.fixture(params=CLIENTS)
def told(request, tell):
    return tell(request.param)


@pytest.fixture
def newest(tell):
    return tell("fastsdk")


def test_a_job_gives_its_result(told):
    assert told["add"] == {"result": 2.25}


def test_twenty_jobs_at_once_each_give_their_own_result(told):
    assert told["many"] == [{"result": float(number)} for number in range(20)]


def test_progress_and_messages_are_seen_while_a_job_runs(told):
    looks = [tuple(look[-2:]) for look in told["fry"]["seen"]]
    steps = [(progress, message) for progress, message in looks if (message or "").startswith("step")]
    assert len(steps) >= 2
    assert steps == sorted(steps)
    assert set(steps) <= {(number / 4, f"step {number}") for number in range(4)}
    assert told["fry"]["result"] == "fried"


def test_the_status_is_a_word_the_client_knows(newest):
    assert {look[0] for look in newest["fry"]["seen"]} - {None} <= {"Queued", "Processing"}


def test_a_job_that_ended_can_be_asked_for_again_under_the_id_the_client_has(told, url):
    assert httpx.post(f"{url}/status", params={"job_id": told["fry"]["id"]}).json()["result"] == "fried"


def test_a_failure_carries_the_functions_sentence(told):
    assert told["burn"]["error"].endswith("toast burnt")


def test_a_file_goes_in(told):
    assert told["size"] == {"result": AN_UPLOAD}


def test_a_file_comes_out_as_the_clients_own_kind(told):
    assert told["paint"] == {"kind": "ImageFile", "name": "p.png", "content": list(PNG)}


def test_what_a_generator_yielded_is_one_result(told):
    assert told["told"] == {"result": "word0 word1 word2 "}


def test_a_plain_endpoint_replies_with_the_result(told):
    assert told["plain"] == {"result": {"hello": "Zoë"}}


def test_an_argument_left_out_has_the_servers_default(newest):
    assert newest["default"] == {"result": 1.5}


def test_a_generators_output_is_streamed_piece_by_piece(newest):
    assert newest["tell"] == ["word0 ", "word1 ", "word2 "]


def test_a_running_job_is_cancelled_on_the_server_too(newest, url):
    assert newest["hold"]["error"].startswith("TaskCancelledException")
    assert httpx.get(f"{url}/status/{newest['hold']['id']}", params={"wait": 20}).json()["status"] == "Cancelled"


def test_a_key_is_shown_as_this_server_asks_for_it(start, run):
    right, wrong = run("fastsdk", start(known.OURS_WITH_A_KEY).url, "the key", "another")
    assert right == {"result": 2.25}
    assert "Unauthorized" in wrong["error"]
