"""A server on the loopback is not reached by a foreign page or under a foreign name."""

import pytest
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
