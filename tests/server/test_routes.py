"""The job routes speak to old clients and to ours; what is unknown is a 404."""

import pytest
from farcall.jobs import Snapshot, State
from farcall_fasttaskapi.envelope import MEDIA_TYPE, read


@pytest.fixture
def client(serve, app):
    @app.task_endpoint("/add")
    def add(a: int, b: int = 1) -> int:
        return a + b

    return serve(app)


def test_an_old_client_gets_the_form_it_knows(client):
    reply = client.post("/add", data={"a": 1}, headers={"prefer": "wait=20"})
    assert reply.headers["content-type"] == "application/json"
    job = reply.json()
    assert job["id"] == job["job_id"]
    assert (job["status"], job["result"], job["error"]) == ("Finished", 2, None)
    assert job["progress"] == {"progress": 1.0, "message": None}
    assert job["refresh_job_url"] == f"/status?job_id={job['id']}"
    assert job["links"]["status"] == f"/status/{job['id']}"
    moments = [job[k] for k in ("created_at", "queued_at", "execution_started_at", "execution_finished_at")]
    assert moments == sorted(moments)
    assert client.post(job["refresh_job_url"]).json() == job
    assert client.get(job["links"]["status"]).json() == job


def test_our_client_gets_our_form_which_reads_back_as_the_snapshot(client, own):
    reply = client.post("/add", json={"a": 1}, headers={**own, "prefer": "wait=20"})
    assert reply.headers["content-type"] == MEDIA_TYPE
    job_id = reply.json()["id"]
    assert read(reply.json()) == Snapshot(
        state=State.SUCCEEDED, job_id=job_id, progress=1.0, result=2, data={"rev": reply.json()["data"]["rev"]}
    )


def test_a_submit_is_answered_at_once_as_queued_or_later(client, own):
    job = client.post("/add", json={"a": 1}, headers=own).json()
    assert job["farcall"] == 1
    assert job["state"] in {"queued", "running", "succeeded"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/status/nope"),
        ("GET", "/status?job_id=nope"),
        ("POST", "/status?job_id=nope"),
        ("POST", "/cancel/nope"),
        ("GET", "/status/nope?wait=60"),
    ],
)
def test_an_unknown_job_is_a_404_at_once(client, own, method, path):
    assert client.request(method, path, headers=own).json() == {"detail": "Job not found."}
    reply = client.request(method, path)
    assert reply.status_code == 404
    assert reply.json()["status"] == "not_found"
    assert reply.json()["job_id"] == "nope"
    assert reply.json()["error"] == "Job not found."


def test_a_job_id_in_the_query_may_be_quoted_as_old_clients_do(client):
    job = client.post("/add", data={"a": 1}, headers={"prefer": "wait=20"}).json()
    assert client.post("/status", params={"job_id": f'"{job["id"]}" '}).json() == job


def test_the_address_under_which_a_job_is_asked_for_again_opens_in_a_browser(client):
    job = client.post("/add", data={"a": 1}, headers={"prefer": "wait=20"}).json()
    assert client.get(job["refresh_job_url"]).json() == job
    assert client.get("/status").status_code == 404


def test_cancelling_an_ended_job_leaves_it(client):
    job = client.post("/add", data={"a": 1}, headers={"prefer": "wait=20"}).json()
    assert client.post(f"/cancel/{job['id']}").json() == job


def test_a_waiting_job_is_cancelled_at_once(serve, app, gate, own):
    @app.task_endpoint("/slow")
    def slow():
        gate.wait(20)

    client = serve(app)
    client.post("/slow")
    job = client.post("/slow", headers=own).json()
    assert client.post(f"/cancel/{job['id']}", headers=own).json()["state"] == "cancelled"


def test_a_wrong_method_is_a_405(client):
    assert client.get("/add").status_code == 405
    assert client.get("/cancel/x").status_code == 405


def test_under_a_mount_links_carry_its_prefix_and_files_do_not(serve, app):
    from fastapi import FastAPI

    @app.task_endpoint("/f")
    def f():
        return b"abc"

    outer = FastAPI()
    outer.mount("/svc", app)
    outer.docs_url, outer.title, outer.release = None, "outer", app.release
    client = serve(outer)
    job = client.post("/svc/f", headers={"prefer": "wait=20"}).json()
    assert job["links"]["status"] == f"/svc/status/{job['id']}"
    ours = client.get(job["links"]["status"], headers={"accept": MEDIA_TYPE}).json()
    assert ours["files"][0]["url"] == f"/jobs/{job['id']}/files/0"
    assert client.get("/svc" + ours["files"][0]["url"]).content == b"abc"


def test_a_server_that_stops_is_alive_and_not_ready(serve, app):
    client = serve(app)
    assert client.get("/health/ready").json() == {"status": "ready"}
    app.release()
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200
