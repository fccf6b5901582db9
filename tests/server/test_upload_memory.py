"""Hundreds of megabytes go through the server, whichever way they come, and little of them through its memory."""

import asyncio
import base64
import http.client
import subprocess
import sys
from pathlib import Path

import pytest

MEGABYTE = 1024 * 1024
SIZE = 300 * MEGABYTE
MOST_GROWTH = 64 * MEGABYTE

SERVICE = """
from farcall_server import FastTaskAPI, File

app = FastTaskAPI(fetch_hosts=["127.0.0.1"])

@app.task_endpoint("/size")
def size(file: File):
    with file.open() as handle:
        return sum(len(piece) for piece in iter(lambda: handle.read(1 << 20), b""))

app.start(port=0)
"""


class Service:
    """A server in a process of its own, whose memory can be read."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-u", "-c", SERVICE], stdout=subprocess.PIPE, text=True)
        self.port = next(int(line.rpartition(":")[2].split()[0].strip("/)")) for line in self.lines())

    def lines(self):
        for line in self.process.stdout:
            if " serves at " in line:
                yield line.partition(" (")[0]
        raise AssertionError("the server did not start")

    def memory(self, name):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1]) * 1024

    def forget_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def post(self, kind, pieces, length):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Content-Type": kind, "Content-Length": str(length), "Prefer": "wait=60"}
        connection.request("POST", "/size", iter(pieces), headers)
        answer = connection.getresponse().read()
        connection.close()
        return answer

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        service = Service()
        service.post("application/json", [b'{"file": "QUJD"}'], 16)  # what is imported at the first call
        yield service
        service.stop()


def multipart(head, piece):
    """A body with one part of `SIZE` bytes in it."""
    start = b'--x\r\nContent-Disposition: form-data; name="file"' + head
    end = b"\r\n--x--\r\n"
    count = SIZE // len(piece)
    body = [start, *([piece] * count), end]
    return "multipart/form-data; boundary=x", body, len(start) + count * len(piece) + len(end)


FILE = multipart(b'; filename="f.bin"\r\n\r\n', bytes(MEGABYTE))
TEXT = multipart(b"\r\n\r\ndata:application/x-y;base64,", base64.b64encode(bytes(MEGABYTE // 4 * 3)))


@pytest.mark.parametrize(("body", "size"), [(FILE, SIZE), (TEXT, SIZE // 4 * 3)], ids=["file part", "data address"])
def test_a_large_part_does_not_go_through_memory(service, body, size):
    service.forget_peak()
    before = service.memory("VmRSS")
    answer = service.post(*body)
    assert f'"result":{size}'.encode() in answer.replace(b" ", b"")
    assert service.memory("VmHWM") - before < MOST_GROWTH


def test_a_large_file_that_is_fetched_does_not_go_through_memory(service, raw_server):
    async def handler(request, writer):
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        for _ in range(SIZE // MEGABYTE):
            writer.write(bytes(MEGABYTE))
            await writer.drain()
        await asyncio.sleep(0)
        return False

    service.forget_peak()
    before = service.memory("VmRSS")
    body = f'{{"file": "{raw_server(handler).url}/f"}}'.encode()
    answer = service.post("application/json", [body], len(body))
    assert f'"result":{SIZE}'.encode() in answer.replace(b" ", b"")
    assert service.memory("VmHWM") - before < MOST_GROWTH
