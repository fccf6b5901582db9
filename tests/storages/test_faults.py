"""What goes wrong between here and a storage: said in a sentence, without a secret, and nothing is lost by it."""

import json
import logging
import ssl
import sys
import threading
from datetime import UTC, datetime, timedelta

import boto3
import farcall
import httpx
import pytest
from botocore.exceptions import SSLError
from farcall import errors
from farcall.storage_faults import cause
from fastapi import FastAPI, Response
from storages import servers
from storages.between import Reply

MIB = 1024 * 1024


def busy(status):
    """A storage's answer that it cannot now; asking again at once is allowed."""
    code = {503: "SlowDown", 500: "InternalError", 507: "InsufficientStorage"}[status]
    return Reply(status, {"x-ms-error-code": code, "Retry-After": "0"}, f"<Error><Code>{code}</Code></Error>".encode())


def refused():
    code = {"x-ms-error-code": "AuthenticationFailed"}
    return Reply(403, code, b"<Error><Code>ExpiredToken</Code><Message>The token has expired</Message></Error>")


# --- keys -------------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_said_and_not_shown(place, caplog):
    caplog.set_level(logging.DEBUG)
    storage = place.open(**place.wrong_key)
    with pytest.raises(errors.AuthRefused, match="wrong") as raised:
        storage.upload(b"chips")
    said = (
        f"{raised.value!r} {raised.value} {storage!r} {raised.value.__cause__} {raised.value.__context__} {caplog.text}"
    )
    assert [secret for secret in ("wrongsecret", "d3Jvbmc=", *place.secrets) if secret in said] == []
    assert place.stored() == []


def test_a_missing_bucket_or_container_is_named(place):
    with (
        farcall.open_storage(f"{place.kind}://no-such-place", **place.options) as storage,
        pytest.raises(errors.Refused, match=r"there is no (bucket|container) 'no-such-place'; make it first"),
    ):
        storage.upload(b"chips")


def test_a_key_that_is_refused_in_mid_upload_stops_it_and_the_next_try_goes_on(place, film):
    proxy = place.between()
    three = threading.Event()
    proxy.rule = lambda asked: refused() if (asked.part or 0) > 3 and three.wait(30) else None
    storage = place.open(**place.through(proxy))
    with pytest.raises(errors.AuthRefused, match="expired"):
        storage.upload(film, progress=lambda done, total: three.set() if done == 24 * MIB else None)
    assert place.stored() == []
    proxy.rule = lambda asked: None
    stored = len(proxy.asked)
    url = place.open(**place.through(proxy)).upload(film)
    assert {asked.part for asked in proxy.asked[stored:] if asked.part} == {4, 5}
    assert httpx.get(url).content == film.read_bytes()


class Keys:
    """A user of SeaweedFS's, whose keys come and go."""

    POLICY = json.dumps({"Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}]})

    def __init__(self, place, home):
        told = {"aws_access_key_id": servers.S3_KEY, "aws_secret_access_key": servers.S3_SECRET}
        self._iam = boto3.client("iam", endpoint_url=place.server.url, region_name="us-east-1", **told)
        self._place = place
        self._file = home / "credentials"
        self._iam.create_user(UserName=place.name)
        self._iam.put_user_policy(UserName=place.name, PolicyName="all", PolicyDocument=self.POLICY)

    def new(self):
        """Make a key, wait until it is good, and write it where boto3 finds it."""
        key = self._iam.create_access_key(UserName=self._place.name)["AccessKey"]
        told = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        lines = "".join(f"{name} = {value}\n" for name, value in told.items())
        client = boto3.client("s3", endpoint_url=self._place.server.url, region_name="us-east-1", **told)
        while True:
            try:
                client.list_objects_v2(Bucket=self._place.name)
                break
            except client.exceptions.ClientError:
                continue
        client.close()
        self._file.write_text(f"[default]\n{lines}")
        return key["AccessKeyId"]

    def revoke(self, key):
        self._iam.delete_access_key(UserName=self._place.name, AccessKeyId=key)

    def close(self):
        self._iam.close()


def test_credentials_that_expire_in_mid_upload_are_looked_for_anew(s3_place, film, own_home, monkeypatch, stack):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(own_home / "credentials"))
    keys = Keys(s3_place, own_home)
    stack.callback(keys.close)
    first = keys.new()
    proxy = s3_place.between()
    turning = threading.Lock()
    used = set()

    def revoke(asked):
        used.add(asked.headers["authorization"].split("Credential=")[1].split("/")[0])
        if asked.part == 4:
            with turning:
                if len(used) == 1:
                    keys.new()
                    keys.revoke(first)
                    used.add("revoked")

    proxy.rule = revoke
    storage = stack.enter_context(farcall.open_storage(s3_place.address, **s3_place.through(proxy)))
    url = storage.upload(film)
    assert storage.download(url).read() == film.read_bytes()
    assert len(used - {"revoked", first}) == 1


def test_a_sas_that_expires_in_mid_upload_is_asked_for_anew(azure_place, film, stack):
    proxy = azure_place.between()
    given = []

    def sas():
        given.append(
            azure_place.server.sas(azure_place.name, read=True, write=True, create=True, add=bool(given)).strip()
        )
        return given[-1]

    def expire(asked):
        old = asked.query.get("sp") != ["racw"]
        return refused() if old and (asked.part or 0) > 2 else None

    proxy.rule = expire
    account = f"http://127.0.0.1:{proxy.port}/{servers.AZURE_ACCOUNT}"
    storage = stack.enter_context(
        farcall.open_storage(azure_place.address, account_url=account, sas=sas, share_sas=True)
    )
    url = storage.upload(film)
    assert httpx.get(url).content == film.read_bytes()
    assert given[-1] in url


def test_no_credentials_says_where_was_looked(s3_place, monkeypatch):
    with pytest.raises(errors.KeyMissing, match="AWS_ACCESS_KEY_ID"):
        farcall.open_storage("s3://bucket", region="eu-central-1")
    with pytest.raises(errors.ConfigError, match="AWS_REGION"):
        farcall.open_storage("s3://bucket")
    monkeypatch.setitem(sys.modules, "azure.identity", None)  # as where it is not installed
    with pytest.raises(errors.KeyMissing, match="AZURE_STORAGE_CONNECTION_STRING"):
        farcall.open_storage("azure://container", account_url="https://kitchen.blob.core.windows.net")
    with pytest.raises(errors.ConfigError, match="AZURE_STORAGE_ACCOUNT"):
        farcall.open_storage("azure://container", sas="sv=1&sig=x")


def test_a_clock_that_is_wrong_is_told_as_such(s3_place, monkeypatch):
    from botocore import auth

    late = datetime.now(UTC) - timedelta(hours=1)
    monkeypatch.setattr(auth, "get_current_datetime", lambda remove_tzinfo=True: late.replace(tzinfo=None))
    with pytest.raises(errors.AuthRefused, match="clock is wrong"):
        s3_place.open().upload(b"chips")


# --- addresses --------------------------------------------------------------------------------------------------


def test_a_signed_address_ends_when_it_was_said_to(place):
    storage = place.open()
    url = storage.upload(b"chips", expires_s=1)
    over = datetime.now(UTC) + timedelta(seconds=20)
    while httpx.get(url).status_code == 200:
        assert datetime.now(UTC) < over
    assert httpx.get(url).status_code == 403
    with pytest.raises(errors.FileError, match=r"answered 403 .* signed until 20\d\d-.* which is past") as refused:
        farcall.File.from_url(url).read()
    assert "ignature" not in str(refused.value)
    assert storage.download(url).read() == b"chips"
    assert httpx.get(storage.signed_url(url)).content == b"chips"


@pytest.mark.parametrize("seconds", [0, -1, True, "600", float("nan"), float("inf"), 1e12])
def test_a_time_that_is_none_signs_nothing(place, seconds):
    storage = place.open()
    for use in (storage.signed_url, lambda key, seconds: storage.upload(b"chips", expires_s=seconds)):
        with pytest.raises(errors.UsageError, match="a signed address lasts more than 0 s"):
            use("a", seconds)
    with pytest.raises(errors.UsageError, match="link_s"):
        place.open(link_s=seconds)
    assert place.stored() == []


@pytest.mark.parametrize("method", ["POST", "get", None])
def test_an_address_is_signed_for_getting_and_storing_alone(place, method):
    with pytest.raises(errors.UsageError, match="for GET or for PUT"):
        place.open().signed_url("a", method=method)


def test_a_bucket_cannot_be_opened_for_longer_addresses_than_it_signs(s3_place):
    with pytest.raises(errors.UsageError, match=r"link_s is 691,200; .* at most 604,800"):
        s3_place.open(link_s=8 * 24 * 3600)


@pytest.mark.parametrize("seconds", [0, -1, 8 * 24 * 3600])
def test_an_address_cannot_last_longer_than_the_storage_can_sign_for(s3_place, seconds):
    with pytest.raises(errors.UsageError, match=r"at most 604,800"):
        s3_place.open().upload(b"chips", expires_s=seconds)
    assert s3_place.stored() == []


# --- the link, and the other side -------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    """The SDKs wait between their tries as they please; here they need not."""
    from azure.core.pipeline.policies import RetryPolicy
    from azure.storage.blob._shared import policies
    from botocore.retries import standard

    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0)
    monkeypatch.setattr(policies.StorageRetryPolicy, "_sleep", lambda *_: None, raising=False)
    monkeypatch.setattr(policies.ExponentialRetry, "get_backoff_time", lambda *_: 0)
    monkeypatch.setattr(RetryPolicy, "sleep", lambda *_: None)


def test_a_storage_that_is_down_is_unreachable(place, impatient):
    (nobody,) = servers.free_ports(1)
    nowhere = type("Nowhere", (), {"port": nobody})
    with pytest.raises(errors.Unreachable, match="failed or broke") as raised:
        place.open(**place.through(nowhere)).upload(b"chips")
    assert "sig=" not in f"{raised.value.__cause__} {raised.value.__context__}"


@pytest.fixture
def raw(serve):
    app = FastAPI()
    app.add_api_route("/{path:path}", lambda path: Response(status_code=400), methods=["HEAD"])
    return serve(app).url


KEYS = {
    "s3": {"access_key_id": "k", "secret_access_key": "wrongsecret"},
    "azure": {"account_key": "d3Jvbmc="},
}


def open_at(kind, url):
    place = {"s3": {"endpoint_url": url}, "azure": {"account_url": url}}[kind]
    return farcall.open_storage(f"{kind}://kitchen", **place, **KEYS[kind])


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_what_cannot_be_reached_is_named_with_the_cause(kind, impatient):
    (nobody,) = servers.free_ports(1)
    url = f"http://127.0.0.1:{nobody}"
    said = f"connection to {url} for the (bucket|container) 'kitchen' failed or broke: Connection refused"
    with open_at(kind, url) as storage, pytest.raises(errors.Unreachable, match=said):
        storage.upload(b"chips")


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_https_to_a_server_that_speaks_http_is_not_called_a_matter_of_trust(kind, serve, impatient):
    url = serve(FastAPI()).url.replace("http://", "https://")
    with open_at(kind, url) as storage, pytest.raises(errors.Unreachable, match="perhaps it speaks http") as raised:
        storage.upload(b"chips")
    assert "trusted" not in str(raised.value)


def test_a_certificate_that_is_not_trusted_is_told_as_such():
    inner = ssl.SSLCertVerificationError("unable to get local issuer certificate")
    inner.verify_message = "unable to get local issuer certificate"
    error = SSLError(endpoint_url="https://h/?secret", error=Exception(inner))
    assert cause(error) == "its certificate is not trusted (unable to get local issuer certificate)"


def test_what_is_no_s3_is_told_its_status_once(raw):
    with open_at("s3", raw) as storage, pytest.raises(errors.Refused, match=r"with 400: Bad Request$"):
        storage.exists("menu.txt")


def test_certificates_that_are_not_there_are_told_when_it_is_opened():
    told = {"endpoint_url": "https://127.0.0.1:1", "ca_bundle": "nope.pem", **KEYS["s3"]}
    with pytest.raises(errors.ConfigError, match=r"ca_bundle= names 'nope\.pem'"):
        farcall.open_storage("s3://kitchen", **told)


@pytest.mark.parametrize("status", [500, 503])
def test_a_storage_that_cannot_for_a_moment_is_asked_again(place, film, impatient, status):
    proxy = place.between()
    failed = set()
    proxy.rule = lambda asked: (
        busy(status) if asked.part and not (asked.part in failed or failed.add(asked.part)) else None
    )
    url = place.open(**place.through(proxy)).upload(film)
    assert httpx.get(url).content == film.read_bytes()
    assert proxy.parts == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_a_storage_that_takes_no_more_is_busy(place, impatient):
    proxy = place.between()
    proxy.rule = lambda asked: busy(503) if asked.stores else None
    with pytest.raises((errors.Busy, errors.ServerFault), match=r"503|SlowDown|no more"):
        place.open(**place.through(proxy)).upload(b"chips")


def test_a_storage_that_is_full_says_so_and_what_arrived_is_kept_for_later(place, film, impatient):
    proxy = place.between()
    four = threading.Event()
    proxy.rule = lambda asked: busy(507) if asked.part == 5 and four.wait(30) else None
    storage = place.open(**place.through(proxy))
    with pytest.raises(errors.ServerFault, match="507"):
        storage.upload(film, progress=lambda done, total: four.set() if done == 32 * MIB else None)
    proxy.rule = lambda asked: None
    stored = len(proxy.asked)
    place.open(**place.through(proxy)).upload(film)
    assert {asked.part for asked in proxy.asked[stored:] if asked.part} == {5}


def test_a_slow_storage_is_given_no_more_than_four_parts_at_once(place, tmp_path):
    path = tmp_path / "long.bin"
    with path.open("wb") as out:
        out.truncate(80 * MIB)
    proxy = place.between()
    gate = threading.Barrier(4, timeout=30)

    def wait_for_four(asked):
        if asked.part and asked.part <= 8:
            gate.wait()

    proxy.rule = wait_for_four
    place.open(**place.through(proxy)).upload(path)
    assert proxy.most_at_once == 4


def test_a_download_is_taken_up_where_its_link_broke(place, film):
    place.open().upload(film, key="film.mp4")
    proxy = place.between()
    proxy.cut_after = MIB
    storage = place.open(**place.through(proxy))
    assert storage.download("film.mp4").read() == film.read_bytes()
    asked = [asked.headers for asked in proxy.asked if asked.method == "GET"]
    starts = {int((told.get("range") or told["x-ms-range"]).partition("=")[2].partition("-")[0]) for told in asked}
    assert len(asked) > 2 * len(range(0, 32 * MIB, 8 * MIB))
    assert starts >= set(range(0, 33 * MIB, 8 * MIB))


def test_a_file_that_is_replaced_while_it_is_fetched_is_not_mixed_up(place, film):
    storage = place.open()
    storage.upload(film, key="film.mp4")
    fetched = storage.download("film.mp4")
    place.replace("film.mp4", b"another")
    with pytest.raises(errors.FileError, match="gone or was replaced"):
        fetched.read()


def test_a_file_that_vanishes_before_it_is_fetched_is_missed(place):
    storage = place.open()
    storage.upload(b"chips", key="menu.txt")
    fetched = storage.download("menu.txt")
    place.remove("menu.txt")
    with pytest.raises(errors.FileError, match="gone"):
        fetched.read()


def test_no_signature_reaches_the_log(place, film, caplog):
    caplog.set_level(logging.DEBUG)
    storage = place.open()
    url = storage.upload(film)
    storage.download(url).read()
    signature = url.rpartition("ignature=")[2] if place.kind == "s3" else url.rpartition("sig=")[2]
    assert signature
    assert signature not in caplog.text
    assert [secret for secret in place.secrets if secret in caplog.text] == []


def test_a_sas_reaches_neither_log_nor_error_nor_repr(azure_place, caplog, stack, impatient):
    caplog.set_level(logging.DEBUG)
    sas = azure_place.server.sas(azure_place.name, read=True, write=True, create=True)
    signature = sas.rpartition("sig=")[2]
    for url in (azure_place.server.url, f"http://127.0.0.1:{servers.free_ports(1)[0]}/kitchen"):
        storage = stack.enter_context(farcall.open_storage(azure_place.address, account_url=url, sas=sas))
        with pytest.raises((errors.UsageError, errors.Unreachable)) as raised:
            storage.upload(b"chips")
        said = f"{storage!r} {raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r}"
        assert signature not in said + caplog.text


# --- Azure's ways in --------------------------------------------------------------------------------------------


def test_a_container_is_reached_by_each_form_of_sas_and_by_a_key(azure_place, stack):
    server, name = azure_place.server, azure_place.name
    sas = server.sas(name, read=True, write=True, create=True, list=True, delete=True)
    forms = [
        (f"azure://{name}", {"account_url": server.url, "sas": sas}),
        (f"azure://{name}", {"account_url": server.url, "sas": f"?{sas}"}),
        (f"azure://{name}", {"sas": f"{server.url}/{name}?{sas}"}),
        (f"azure://{name}", {"account_url": server.url, "account_key": servers.AZURE_KEY}),
        (f"azure://{name}", {"connection_string": f"BlobEndpoint={server.url};SharedAccessSignature={sas}"}),
    ]
    for place, options in forms:
        storage = stack.enter_context(farcall.open_storage(place, share_sas=True, **options))
        url = storage.upload(b"chips", key="menu.txt")
        assert httpx.get(url).content == b"chips"
        storage.delete(url)


def test_a_sas_is_given_away_only_where_the_user_said_so(azure_place, stack):
    server, name = azure_place.server, azure_place.name
    told = {"account_url": server.url, "sas": server.sas(name, read=True, write=True, create=True)}
    storage = stack.enter_context(farcall.open_storage(azure_place.address, **told))
    with pytest.raises(errors.UsageError, match="read_sas="):
        storage.upload(b"chips")
    reading = server.sas(name, read=True)
    storage = stack.enter_context(farcall.open_storage(azure_place.address, read_sas=reading, **told))
    url = storage.upload(b"chips")
    assert url.endswith(reading)
    assert httpx.get(url).content == b"chips"
    assert httpx.put(url, content=b"x", headers={"x-ms-blob-type": "BlockBlob"}).status_code == 403


def test_an_expired_sas_is_told_as_such(azure_place, stack):
    sas = azure_place.server.sas(azure_place.name, write=True, create=True, lasts_s=-60)
    told = {"account_url": azure_place.server.url, "sas": sas, "share_sas": True}
    with pytest.raises(errors.AuthRefused, match="expired"):
        stack.enter_context(farcall.open_storage(azure_place.address, **told)).upload(b"chips")


def test_a_container_is_made_where_that_was_asked_for(azure_server, stack):
    options = {"connection_string": azure_server.connection_string, "create": True}
    for _ in range(2):
        storage = stack.enter_context(farcall.open_storage("azure://made-for-this", **options))
        assert httpx.get(storage.upload(b"chips")).content == b"chips"
