"""Azure reached with a token, as azure-identity gives one: over TLS, and with addresses that Azure's own key signs."""

import base64
import ipaddress
import json
import ssl
import time
from datetime import UTC, datetime, timedelta

import farcall
import httpx
import pytest
from azure.core.credentials import AccessToken
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from farcall import errors
from fastapi import FastAPI, Request
from storages import servers

pytestmark = pytest.mark.azurite


def certificate(folder):
    """A certificate for this machine, and its key, as files."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "azurite")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(plain)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """Azurite that takes tokens: its address, and its certificate."""
    folder = tmp_path_factory.mktemp("tokens")
    cert, key = certificate(folder)
    running = servers.azurite(folder, "--oauth", "basic", "--cert", cert, "--key", key)
    yield running.url, cert
    running.server.kill()


class Tokens:
    """A token credential; Azurite looks at a token's claims and not at its signature."""

    def __init__(self, lasts_s=3600):
        self._lasts_s = lasts_s

    def get_token(self, *scopes, **options):
        now = int(time.time())
        claims = {
            "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
            "aud": "https://storage.azure.com",
            "oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1",
            "tid": "dd0d0df1-06c3-436c-8034-4b9a153097ce",
            "iat": now - 7200,
            "nbf": now - 7200,
            "exp": now + self._lasts_s,
        }
        parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
        text = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"signature")]
        return AccessToken(".".join(text), now + 3600)


@pytest.fixture
def opened(account, stack, monkeypatch):
    """Open a container there: `opened(credential)`."""
    url, cert = account
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
    options = {"account_url": url, "create": True}
    return lambda credential=None: stack.enter_context(
        farcall.open_storage("azure://tokens", credential=credential, **options)
    )


def test_without_any_secret_the_machines_own_identity_is_asked_for_a_token(opened, serve, monkeypatch):
    asked = []
    host = FastAPI()

    @host.get("/token")
    def token(request: Request):
        asked.append((request.query_params["resource"], request.headers["x-identity-header"]))
        given = Tokens().get_token()
        return {"access_token": given.token, "expires_on": str(given.expires_on), "token_type": "Bearer"}

    for name in ("CONNECTION_STRING", "SAS_TOKEN", "KEY"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{serve(host).url}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "this-machine")
    storage = opened()
    assert storage.download(storage.upload(b"chips")).read() == b"chips"
    assert asked == [("https://storage.azure.com", "this-machine")]


def test_an_address_is_signed_by_the_key_that_azure_gives_to_a_token(opened, account):
    url = opened(Tokens()).upload(b"chips")
    trusted = ssl.create_default_context(cafile=str(account[1]))
    assert httpx.get(url, verify=trusted).content == b"chips"
    assert httpx.put(url, verify=trusted, content=b"x", headers={"x-ms-blob-type": "BlockBlob"}).status_code == 403


def test_one_key_signs_many_addresses_and_none_lasts_longer_than_it(opened):
    storage = opened(Tokens())
    first, second = (storage.signed_url(name, 60) for name in ("a", "b"))
    assert first.partition("skt=")[2].partition("&")[0] == second.partition("skt=")[2].partition("&")[0]
    with pytest.raises(errors.UsageError, match=r"at most 604,800"):
        storage.signed_url("a", 8 * 24 * 3600)


def test_a_token_that_has_expired_is_refused_and_not_shown(opened, caplog):
    with pytest.raises(errors.AuthRefused) as raised:
        opened(Tokens(lasts_s=-3600))
    token = Tokens(lasts_s=-3600).get_token().token
    assert token.split(".")[0] not in f"{raised.value} {caplog.text}"
