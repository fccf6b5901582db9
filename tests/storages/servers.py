"""Real storages on free ports: SeaweedFS for S3, Azurite for Azure; each ends with the tests that started it."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEED = Path(sys.executable).parent / "weed"
AZURITE = ROOT / ".rivals" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
S3_KEY, S3_SECRET = "testkey", "testsecret"
AZURE_ACCOUNT = "kitchen"
AZURE_KEY = "a2l0Y2hlbi1rZXktZm9yLXRlc3RzLW9ubHktYW5kLW5vdGhpbmctZWxzZQ=="  # gitleaks:allow
READY_S = 60.0


def free_ports(count):
    """Ports that nobody had a moment ago, all at once so that none comes twice."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Server:
    """A program of its own session, ended with us even if we are killed."""

    def __init__(self, command, folder, env=None):
        self._command = [str(part) for part in command]
        self._log = folder / f"{Path(self._command[0]).name}.log"
        self._env = {**os.environ, **(env or {}), "HOME": str(folder)}
        self.start()

    def start(self):
        if not (Path(self._command[0]).exists() or shutil.which(self._command[0])):
            raise FileNotFoundError(f"{self._command[0]} is not there: run `make install` and `make system-deps`")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._env,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call of prctl, no lock
            )

    def wait(self, ready):
        try:
            self._wait(ready)
        except BaseException:  # also whoever is told to end meanwhile leaves no server
            self.kill()
            raise
        return self

    def _wait(self, ready):
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError):
                if ready():
                    return
            time.sleep(0.02)
        raise RuntimeError(f"{self._command[0]} did not start:\n{self._log.read_text(errors='replace')[-3000:]}")

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def answers(url):
    """Whether a server answers at all, an error too."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as error:
        error.close()
    return True


def listens(port):
    """Whether somebody takes connections there."""
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True


@dataclass
class S3:
    """A SeaweedFS server."""

    url: str
    server: Server

    @property
    def options(self):
        return {"endpoint_url": self.url, "access_key_id": S3_KEY, "secret_access_key": S3_SECRET}

    def client(self):
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=S3_KEY,
            aws_secret_access_key=S3_SECRET,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=20),
        )


@dataclass
class Azure:
    """An Azurite server."""

    url: str
    server: Server

    @property
    def connection_string(self):
        return (
            f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};BlobEndpoint={self.url};"
        )

    def service(self):
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient.from_connection_string(self.connection_string)

    def sas(self, container, **permissions):
        from datetime import UTC, datetime, timedelta

        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        lasts = timedelta(seconds=permissions.pop("lasts_s", 3600))
        return generate_container_sas(
            AZURE_ACCOUNT,
            container,
            AZURE_KEY,
            permission=ContainerSasPermissions(**permissions),
            expiry=datetime.now(UTC) + lasts,
        )


def seaweedfs(folder):
    """SeaweedFS, with one key."""
    names = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
    names += ("filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    data = folder / "seaweedfs"
    data.mkdir()
    fixed = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.ui=false")
    quiet = ("-webdav=false", "-master.telemetry=false", "-s3.iam.readOnly=false", "-s3.autoCreateBucket=false")
    command = [WEED, f"-logdir={folder}", "mini", f"-dir={data}", *fixed, *quiet]
    command += ["-volume.max=4000"]  # else as many as the disk has room for now, and each bucket takes several
    command += [f"-{name}={port}" for name, port in ports.items()]
    env = {"AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET, "GOMEMLIMIT": "400MiB", "GOGC": "50"}
    url = f"http://127.0.0.1:{ports['s3.port']}"
    server = Server(command, folder, env).wait(lambda: answers(f"{url}/healthz"))
    return S3(url, server)


def azurite(folder, *options):
    """Azurite, with an account of its own; with `--cert` among the options, over TLS."""
    (port,) = free_ports(1)
    data = folder / "azurite"
    data.mkdir()
    # Azurite 3.37.0 knows no API version as new as the one azure-storage-blob 12.31.1 speaks
    told = ("--disableTelemetry", "--silent", "--skipApiVersionCheck")
    command = [AZURITE, "--blobHost", "127.0.0.1", "--blobPort", port, "--location", data, *told, *options]
    server = Server(command, folder, {"AZURITE_ACCOUNTS": f"{AZURE_ACCOUNT}:{AZURE_KEY}"})
    server.wait(lambda: listens(port))
    scheme = "https" if "--cert" in options else "http"
    return Azure(f"{scheme}://127.0.0.1:{port}/{AZURE_ACCOUNT}", server)
