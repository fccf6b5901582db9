"""Runpod's own client works against the emulator, unchanged."""

import pytest
from farcall_runpod.emulator import Emulator, Endpoint
from plugins.runpod.conftest import KEY, STREAMER


@pytest.fixture(scope="module")
def runpod():
    import runpod

    return runpod


@pytest.fixture
def endpoint(runpod, worker, monkeypatch):
    monkeypatch.setattr(runpod, "endpoint_url_base", worker.base_url)
    return runpod.Endpoint("voice", api_key=KEY)


def test_run_then_output(endpoint):
    job = endpoint.run({"input": {"give": {"a": 1}}})
    assert job.output(timeout=30) == {"a": 1}
    assert job.status() == "COMPLETED"


def test_run_sync(endpoint):
    assert endpoint.run_sync({"give": [1, 2]}) == [1, 2]


def test_health_purge_and_cancel(endpoint):
    job = endpoint.run({"input": {"takes_s": 600}})
    assert job.cancel()["status"] == "CANCELLED"
    assert job.status() == "CANCELLED"
    assert endpoint.purge_queue() == {"removed": 0, "status": "completed"}
    assert endpoint.health()["workers"]["idle"] == 1


def test_a_wrong_key_is_refused(runpod, endpoint):
    with pytest.raises(RuntimeError, match="401"):
        runpod.Endpoint("voice", api_key="rpa_other").health()


def test_stream(runpod, monkeypatch, tmp_path):
    with Emulator(Endpoint(program=STREAMER, id="tokens", log_file=tmp_path / "log")) as emulator:
        monkeypatch.setattr(runpod, "endpoint_url_base", emulator.base_url)
        job = runpod.Endpoint("tokens", api_key="any").run({"input": {"n": 3}})
        assert list(job.stream()) == [{"number": 0}, {"number": 1}, {"number": 2}]


def test_its_asynchronous_client(runpod, worker, monkeypatch):
    import asyncio

    import aiohttp
    from runpod.endpoint.asyncio import asyncio_runner

    monkeypatch.setattr(runpod, "endpoint_url_base", worker.base_url)
    monkeypatch.setattr(asyncio_runner, "endpoint_url_base", worker.base_url, raising=False)
    monkeypatch.setattr(runpod, "api_key", KEY)

    async def call():
        async with aiohttp.ClientSession() as session:
            endpoint = asyncio_runner.Endpoint("voice", session)
            job = await endpoint.run({"give": 3})
            return await job.output(timeout=30)

    assert asyncio.run(call()) == 3
