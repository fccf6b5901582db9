"""Places in real storages, each test with a bucket or container of its own."""

import contextlib
import json
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import farcall
import pytest
from azure.storage.blob import ContentSettings
from farcall_storage_azure.driver import AzureDriver
from farcall_storage_azure.options import Options as AzureOptions
from farcall_storage_s3.driver import S3Driver
from farcall_storage_s3.options import Options as S3Options
from storages import servers
from storages.between import Between


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and {"azure_server", "azure_place"} & set(item.fixturenames):
            item.add_marker(pytest.mark.azurite)


class Place:
    """A bucket or a container, seen from farcall's side and, by the SDK alone, from behind."""

    def __init__(self, server, stack):
        self.server = server
        self.name = f"place-{uuid.uuid4().hex[:12]}"
        self._stack = stack
        self.make()

    @property
    def address(self):
        return f"{self.kind}://{self.name}"

    def open(self, **options):
        """A storage there, closed at the end of the test."""
        return self._stack.enter_context(farcall.open_storage(self.address, **{**self.options, **options}))

    def configured(self, folder, **options):
        """The name under which it stands in the folder's farcall.toml."""
        told = {
            **self.options,
            **options,
            "provider": self.kind,
            "bucket" if self.kind == "s3" else "container": self.name,
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in told.items()]
        (folder / "farcall.toml").write_text("\n".join(["[storages.media]", *lines]))
        return "media"

    def between(self):
        """The options to reach it through a proxy, and the proxy."""
        proxy = Between(urlsplit(self.server.url).port)
        self._stack.callback(proxy.stop)
        return proxy


class S3Place(Place):
    kind = "s3"

    @property
    def options(self):
        return self.server.options

    def through(self, proxy):
        return {"endpoint_url": f"http://127.0.0.1:{proxy.port}"}

    def make(self):
        self._client = self.server.client()
        self._client.create_bucket(Bucket=self.name)
        self._stack.callback(self._client.close)

    def stored(self):
        return [told["Key"] for told in self._client.list_objects_v2(Bucket=self.name).get("Contents", ())]

    def content(self, key):
        return self._client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def replace(self, key, content, encoding=""):
        self._client.put_object(Bucket=self.name, Key=key, Body=content, ContentEncoding=encoding)

    def driver(self):
        return S3Driver(S3Options(bucket=self.name, **self.options))

    def remove(self, key):
        self._client.delete_object(Bucket=self.name, Key=key)

    def unfinished(self):
        return self._client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])

    secrets = (servers.S3_SECRET,)
    wrong_key = {"secret_access_key": "wrongsecret"}


class AzurePlace(Place):
    kind = "azure"

    @property
    def options(self):
        return {"connection_string": self.server.connection_string}

    def through(self, proxy):
        url = f"http://127.0.0.1:{proxy.port}/{servers.AZURE_ACCOUNT}"
        return {"connection_string": self.server.connection_string.replace(self.server.url, url)}

    def make(self):
        service = self._stack.enter_context(self.server.service())
        self._client = self._stack.enter_context(service.create_container(self.name))

    def stored(self):
        return [blob.name for blob in self._client.list_blobs()]

    def content(self, key):
        return self._client.download_blob(key).readall()

    def replace(self, key, content, encoding=None):
        self._client.upload_blob(
            key, content, overwrite=True, content_settings=ContentSettings(content_encoding=encoding)
        )

    def driver(self):
        return AzureDriver(AzureOptions(container=self.name, **self.options))

    def remove(self, key):
        self._client.delete_blob(key)

    def unfinished(self):
        return [blob.name for blob in self._client.list_blobs(include=["uncommittedblobs"]) if blob.size == 0]

    secrets = (servers.AZURE_KEY,)

    @property
    def wrong_key(self):
        return {"connection_string": self.server.connection_string.replace(servers.AZURE_KEY, "d3Jvbmc=")}


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    running = servers.seaweedfs(tmp_path_factory.mktemp("s3"))
    yield running
    running.server.kill()


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory):
    running = servers.azurite(tmp_path_factory.mktemp("azure"))
    yield running
    running.server.kill()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
def s3_place(s3_server, stack):
    return S3Place(s3_server, stack)


@pytest.fixture
def azure_place(azure_server, stack):
    return AzurePlace(azure_server, stack)


@pytest.fixture(params=["s3", pytest.param("azure", marks=pytest.mark.azurite)])
def place(request):
    """The same claims for each kind of storage."""
    return request.getfixturevalue(f"{request.param}_place")


@pytest.fixture(autouse=True)
def own_state(own_home, monkeypatch):
    """No test sees another's journal, or this machine's credentials."""
    monkeypatch.setenv("XDG_STATE_HOME", str(own_home / "state"))
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CONNECTION_STRING", "ACCOUNT", "SAS_TOKEN", "KEY"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return own_home / "state" / "farcall"


MIB = 1024 * 1024


@pytest.fixture
def film(tmp_path):
    """A file of five parts, no two parts alike."""
    path = tmp_path / "film.mp4"
    with path.open("wb") as out:
        for part in range(5):
            out.write(bytes([part]) * (8 * MIB if part < 4 else 1000))
    return path
