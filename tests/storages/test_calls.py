"""A service's large files go through a real storage, and the service fetches them by their addresses alone."""

import hashlib
import time
from datetime import UTC, datetime

import farcall
import httpx
import pytest
from farcall import signed
from farcall_server import FastTaskAPI
from fastapi import FastAPI, HTTPException, Request

MIB = 1024 * 1024


def service():
    """A plain service: the SHA-256 of the file it is sent or given the address of."""
    app = FastAPI()

    @app.post("/digest")
    async def digest(request: Request) -> dict:
        async with request.form() as form:
            given = form["film"]
            if not isinstance(given, str):
                return {"way": "inline", "sha256": hashlib.sha256(await given.read()).hexdigest()}
            async with httpx.AsyncClient() as client:
                reply = await client.get(given)
            if reply.status_code != 200:
                raise HTTPException(422, f"the film's address answered {reply.status_code}")
            return {"way": "link", "sha256": hashlib.sha256(reply.content).hexdigest()}

    return app


ENDPOINTS = [farcall.EndpointSpec(path="/digest", parameters={"film": farcall.File})]


@pytest.fixture
def connected(serve, stack):
    """Connect to a service: `connected(app, storage)`."""

    def connect(app, storage):
        binding = farcall.Binding(
            provider="openapi", url=serve(app).url, endpoints=ENDPOINTS, storage=storage, upload_threshold_bytes=MIB
        )
        return stack.enter_context(farcall.connect(binding))

    return connect


def test_a_film_goes_through_the_configured_storage_and_a_small_one_inline(place, film, own_home, connected):
    svc = connected(service(), place.configured(own_home))
    assert svc.digest(film=film) == {"way": "link", "sha256": hashlib.sha256(film.read_bytes()).hexdigest()}
    assert svc.digest(film=b"short") == {"way": "inline", "sha256": hashlib.sha256(b"short").hexdigest()}
    assert len(place.stored()) == 1


def test_many_jobs_with_the_same_film_store_it_once(place, film, connected):
    svc = connected(service(), place.open())
    results = farcall.gather([svc.digest.submit(film=film) for _ in range(5)])
    assert {result["sha256"] for result in results} == {hashlib.sha256(film.read_bytes()).hexdigest()}
    assert len(place.stored()) == 1


def test_an_address_that_ended_before_the_job_fetched_it_is_named_in_the_error(s3_place, film, own_home, serve, stack):
    app = FastTaskAPI()

    @app.task_endpoint("/digest")
    def digest(film: str) -> str:
        while datetime.now(UTC) < signed.ends(film):
            time.sleep(0.02)
        assert httpx.get(film).status_code == 403
        raise ValueError("the film cannot be fetched")

    kept = {"storage": s3_place.configured(own_home, link_s=1), "upload_threshold_bytes": MIB}
    binding = farcall.Binding(provider="fasttaskapi", url=serve(app).url, endpoints=ENDPOINTS, **kept)
    svc = stack.enter_context(farcall.connect(binding))
    with pytest.raises(farcall.errors.JobFailed, match=r"cannot be fetched.*signed address of 'film\.mp4' had run out"):
        svc.digest(film=film)
