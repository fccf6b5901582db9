"""A server on the loopback is not reached by a foreign page or under a foreign name."""

import asyncio
import socket

import httpx
import pytest
import uvicorn
from farcall_server import FastTaskAPI


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:80", "[::1]:8000", "app.localhost", "LOCALHOST.", "127.1.2.3"]
)
def test_the_loopbacks_own_names_are_known(serve, app, host):
    assert serve(app).get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("header", ["host", "origin"])
@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "10.0.0.1", "", "null"])
def test_a_foreign_name_is_refused_with_a_sentence(serve, app, header, name):
    value = f"http://{name}" if header == "origin" and name != "null" else name
    reply = serve(app).get("/health", headers={header: value})
    assert reply.status_code == 403
    assert "allowed_hosts" in reply.json()["detail"]


def test_named_hosts_are_allowed(serve, monkeypatch):
    monkeypatch.setenv("FTAPI_ALLOWED_HOSTS", "one.example, two.example")
    client = serve(FastTaskAPI())
    assert (
        client.get("/health", headers={"host": "One.example:443", "origin": "https://two.example"}).status_code == 200
    )
    assert client.get("/health", headers={"host": "three.example"}).status_code == 403
    everyone = serve(FastTaskAPI(allowed_hosts=["*"]))
    assert everyone.get("/health", headers={"host": "three.example"}).status_code == 200


def own_address():
    """An address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return probe.getsockname()[0]


@pytest.mark.parametrize(("keys", "warned"), [([], 1), (["k"], 0)])
def test_an_open_server_that_others_reach_says_so_once_however_it_was_started(capsys, keys, warned):
    app = FastTaskAPI(api_keys=keys)
    server = uvicorn.Server(uvicorn.Config(app, host="0.0.0.0", port=0, log_level="warning"))

    async def run():
        serving = asyncio.ensure_future(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient() as client:
            for host in ("127.0.0.1", own_address(), own_address()):
                await client.get(f"http://{host}:{port}/health")
        server.should_exit = True
        await serving

    asyncio.run(run())
    assert capsys.readouterr().err.count("everybody who reaches it may run its functions") == warned
