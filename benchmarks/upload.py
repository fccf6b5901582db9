"""What a large upload adds to the server's memory, at its peak: `python upload.py [MEBIBYTES]` (1024).

Run on 2 cores with Python 3.11 on 2026-11-25: 1 GiB as a file part +1 MiB in 1.3 s, as base64 in a text part +4 MiB
in 3.9 s.
"""

import http.client
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

MEGABYTE = 1024 * 1024
MOST_MIB = 64
BOUNDARY = "farcall-benchmark"
PIECE = bytes(MEGABYTE)
TEXT = b"AAAA" * (MEGABYTE // 4)
WAYS = {
    "a file part": (b'; filename="f.bin"\r\nContent-Type: application/octet-stream', PIECE),
    "base64 in a text part": (b"", TEXT),
}


def serve() -> None:
    from farcall_server import FastTaskAPI, File

    app = FastTaskAPI()

    @app.task_endpoint("/size")
    def size(file: File) -> int | None:
        return file.size

    app.start(port=0)


def post(url: str, disposition: bytes, pieces: Iterator[bytes], length: int) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"'.encode() + disposition + b"\r\n\r\n"
    end = f"\r\n--{BOUNDARY}--\r\n".encode()

    def body() -> Iterator[bytes]:
        yield head
        yield from pieces
        yield end

    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(head) + length + len(end)),
        "Prefer": "wait=60",
    }
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
    connection.request("POST", "/size", body(), headers)
    answer = connection.getresponse().read()
    connection.close()
    return answer


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def measure(megabytes: int) -> None:
    from serving import running

    for name, (disposition, piece) in WAYS.items():
        with running("upload.py", "serve") as program:
            post(program.url, disposition, iter([piece]), len(piece))
            before = peak_mb(program.pid)
            began = time.perf_counter()
            answer = post(program.url, disposition, (piece for _ in range(megabytes)), megabytes * len(piece))
            took = time.perf_counter() - began
            if b'"Finished"' not in answer:
                raise SystemExit(answer.decode())
            growth = peak_mb(program.pid) - before
            print(f"{megabytes} MiB as {name}: +{growth:.0f} MiB, {took:.1f} s")
            if growth > MOST_MIB:
                raise SystemExit(f"it must add {MOST_MIB} MiB at most")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        measure(int(sys.argv[1]) if sys.argv[1:] else 1024)
