"""`GET /jobs` lists jobs newest first, page by page, by state, endpoint and time; durable and in memory alike."""

import asyncio
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from farcall.jobs import State
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from farcall_server import FastTaskAPI
from farcall_server.listing import Asked
from farcall_server.reader import paged

OWN = {"accept": MEDIA_TYPE}


@pytest.fixture(params=["memory", "sqlite"])
def place(request, tmp_path):
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def client(serve, place, gate):
    app = FastTaskAPI(queue=place, shutdown_grace_s=0.2)

    @app.task_endpoint("/work")
    def work(n: int):
        if n < 0:
            raise ValueError(n)
        return {"n": n}

    @app.task_endpoint("/hold_on", queue_size=10)
    def hold():
        gate.wait(20)

    return serve(app)


def send(client, path="/work", **arguments):
    return client.post(path, json=arguments, headers={**OWN, "prefer": "wait=20"}).json()["id"]


def hold(client, started=None):
    return client.post("/hold_on", headers=OWN).json()["id"]


def listed(client, **query):
    reply = client.get("/jobs", params=query, headers=OWN)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == MEDIA_TYPE
    return reply.json()


def ids(page):
    return [job["id"] for job in page["jobs"]]


def running(client, job_id):
    job = client.get(f"/status/{job_id}", headers=OWN).json()
    while job["state"] == "queued":
        job = client.get(f"/status/{job_id}?wait=20&seen={job['data']['rev']}", headers=OWN).json()


def test_all_jobs_are_listed_newest_first_also_those_that_have_not_ended(client):
    made = [send(client, n=n) for n in range(3)]
    made += [hold(client), hold(client)]
    running(client, made[3])
    page = listed(client)
    assert ids(page) == made[::-1]
    assert [job["state"] for job in page["jobs"]] == ["queued", "running", "succeeded", "succeeded", "succeeded"]
    assert "cursor" not in page


def test_an_entry_says_what_it_is_but_not_its_result(client):
    send(client, n=-1)
    (job,) = listed(client)["jobs"]
    assert (job["endpoint"], job["error"]) == ("/work", {"message": "-1", "type": "ValueError"})
    assert datetime.fromisoformat(job["created_at"]) <= datetime.fromisoformat(job["finished_at"])
    send(client, n=1)
    assert "result" not in listed(client)["jobs"][0]


def test_pages_follow_each_other_without_gap_or_repetition_while_new_jobs_come(client):
    made = [send(client, n=n) for n in range(7)]
    found, cursor = [], {}
    while True:
        page = listed(client, limit=3, **cursor)
        found += ids(page)
        send(client, n=0)
        if "cursor" not in page:
            break
        cursor = {"cursor": page["cursor"]}
    assert found == made[::-1]


def test_jobs_are_chosen_by_state_endpoint_and_time(client):
    good, bad = send(client, n=1), send(client, n=-1)
    first, second = hold(client), hold(client)
    running(client, first)
    assert ids(listed(client, state="failed")) == [bad]
    assert ids(listed(client, state="succeeded", endpoint="/work")) == [good]
    assert ids(listed(client, state="running")) == [first]
    assert ids(listed(client, state="queued")) == [second]
    assert ids(listed(client, endpoint="/hold-on")) == ids(listed(client, endpoint="/hold_on")) == [second, first]
    assert ids(listed(client, endpoint="/hold-on", state="failed")) == []
    now = datetime.now(UTC)
    assert ids(listed(client, since=(now + timedelta(hours=1)).isoformat())) == []
    assert len(ids(listed(client, since=(now - timedelta(hours=1)).isoformat()))) == 4
    assert len(ids(listed(client, since=str(time.time() - 3600), state="failed"))) == 1


def test_a_client_that_asks_for_plain_json_gets_the_keys_of_the_older_servers(client):
    job_id = send(client, n=1)
    reply = client.get("/jobs", params={"limit": 1})
    assert reply.headers["content-type"] == "application/json"
    (job,) = reply.json()["jobs"]
    assert (job["job_id"], job["status"], job["endpoint"], job["result"]) == (job_id, "Finished", "/work", None)
    assert client.get("/jobs", params={"cursor": reply.json()["cursor"]}).json() == {"jobs": [], "cursor": None}


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"state": "odd"}, "state"),
        ({"since": "yesterday"}, "since"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"cursor": "-1"}, "cursor"),
        ({"cursor": "9" * 30}, "cursor"),
    ],
)
def test_a_wrong_query_is_refused_with_the_place(client, query, where):
    reply = client.get("/jobs", params=query)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == ["query", where]


def test_jobs_of_before_a_restart_are_listed(serve, tmp_path):
    def make():
        app = FastTaskAPI(queue=f"sqlite:///{tmp_path}/jobs.db")
        app.task_endpoint("/work")(lambda: 1)
        return serve(app)

    first = make()
    before = first.post("/work", headers={**OWN, "prefer": "wait=20"}).json()["id"]
    first.server.stop()
    second = make()
    after = second.post("/work", headers={**OWN, "prefer": "wait=20"}).json()["id"]
    assert ids(listed(second)) == [after, before]
    assert ids(listed(second, state="succeeded")) == [after, before]


def test_a_key_is_wanted_where_the_server_has_keys(serve):
    client = serve(FastTaskAPI(api_keys=["k"]))
    assert client.get("/jobs").status_code == 401
    assert client.get("/jobs", headers={"authorization": "Bearer k"}).status_code == 200


def test_the_document_says_what_may_be_asked(app):
    app.task_endpoint("/f")(lambda: 1)
    operation = app.openapi()["paths"]["/jobs"]["get"]
    assert [p["name"] for p in operation["parameters"]] == ["state", "endpoint", "since", "limit", "cursor"]


@pytest.mark.parametrize("state", [None, State.FAILED])
@pytest.mark.parametrize("endpoint", [None, "/f"])
def test_a_page_is_read_along_an_index_and_never_sorted(tmp_path, state, endpoint):
    from farcall_server import database

    connection = database.connect(tmp_path / "jobs.db")
    database.prepare(connection)
    query, values = paged(Asked(state=state, endpoint=endpoint, since=1.0))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    connection.close()
    assert not [step for step in plan if "TEMP B-TREE" in step]
    assert "INDEX" in plan[0] or "PRIMARY KEY" in plan[0]


def test_a_database_of_another_version_is_refused_with_a_sentence(tmp_path):
    from farcall.errors import ConfigError
    from farcall_server.ledger import Ledger

    connection = sqlite3.connect(tmp_path / "jobs.db")
    connection.execute("CREATE TABLE jobs (id TEXT)")
    connection.close()
    with pytest.raises(ConfigError, match=rf"The queue {tmp_path}/jobs\.db was made by another version of the server"):
        Ledger(tmp_path / "jobs.db").open()


def test_ended_jobs_are_read_off_the_event_loop(tmp_path):
    """A disk that is slow holds up the one who asks, and nobody else."""
    from farcall_server.job import Job, Outcome
    from farcall_server.ledger import Ledger
    from farcall_server.lines import Rules
    from farcall_server.queue import MOST_WEIGHT, Store

    async def read():
        ledger = Ledger(tmp_path / "jobs.db")
        store = Store(ledger)
        store.open("/f", Rules(queue_size=10, concurrency=1))
        await store.begin()
        job = Job("/f", {}, ttl_s=60, folder=store.folder())
        await store.accept(job)
        store.finish(store.start("/f"), Outcome(state=State.SUCCEEDED, result="x" * (MOST_WEIGHT + 1)))
        await store.ended(job, 20)
        where = []
        find = ledger.find
        ledger.find = lambda job_id: (where.append(threading.current_thread()), find(job_id))[1]
        found = await store.get(job.id)
        await store.close("")
        return found.outcome.result, where

    result, where = asyncio.run(read())
    assert len(result) == MOST_WEIGHT + 1
    assert where
    assert threading.main_thread() not in where
