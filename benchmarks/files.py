"""What a large file costs each way: memory on both sides, and bytes a second beside curl's; and many small ones.

Args: how many MiB the large file has (1024); then, if wanted, the interpreter of an environment with fastsdk 0.4.26,
which sends 200 MB beside us. Linux, with curl. Each transfer begins when all that was written before is on the
disk, and with no older copy to replace.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import farcall
from serving import running

MIB = 1 << 20
WARM_UP_MIB = 16
ROUNDS = 5
RIVAL_MIB = 191
SMALL_FILES = 2000
SMALL_BYTES = 10_000
MOST_CLIENT_MIB, MOST_SERVER_MIB, LEAST_OF_CURL, LEAST_SPEEDUP = 48, 64, 0.8, 5.0


def main() -> int:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    with tempfile.TemporaryDirectory() as folder:
        big, warm = made(Path(folder, "big.bin"), size), made(Path(folder, "warm.bin"), WARM_UP_MIB)
        with running("file_service.py", str(big)) as served:
            url, server = served.url, served.pid
            measured(url, str(warm), folder, server)  # the server's own warm-up
            faults = [*upload(url, big, warm, server, size), *download(url, folder, server, size)]
        with running("file_service.py", str(big)) as served:
            faults += many(served.url, Path(folder))
            if len(sys.argv) > 2:
                beside_fastsdk(sys.argv[2], served.url, str(warm), made(Path(folder, "rival.bin"), RIVAL_MIB))
    for fault in faults:
        print("MISSED:", fault)
    return bool(faults)


def made(path: Path, mib: int) -> Path:
    block = os.urandom(MIB)
    with path.open("wb") as stream:
        for _ in range(mib):
            stream.write(block)
    return path


def upload(url: str, big: Path, warm: Path, server: int, size: int) -> list[str]:
    ours, grown, theirs = [], [], []
    reset(server)
    before = resident(server)
    for _ in range(ROUNDS):
        said = child("up", url, str(warm), str(big))
        ours.append(size / said["s"])
        grown.append(said["grown"])
        os.sync()
        began = time.perf_counter()
        subprocess.run(["curl", "-sf", "-o", os.devnull, "-F", f"f=@{big}", f"{url}/size"], check=True)
        theirs.append(size / (time.perf_counter() - began))
    return told("upload", ours, theirs, max(grown), peak(server) - before)


def download(url: str, folder: str, server: int, size: int) -> list[str]:
    ours, grown, theirs = [], [], []
    reset(server)
    before = resident(server)
    for _ in range(ROUNDS):
        said = child("down", url, folder)
        ours.append(size / said["s"])
        grown.append(said["grown"])
        target = Path(folder, "curl.bin")
        os.sync()
        began = time.perf_counter()
        subprocess.run(["curl", "-sf", "-o", str(target), said["url"]], check=True)
        theirs.append(size / (time.perf_counter() - began))
        target.unlink()
    return told("download", ours, theirs, max(grown), peak(server) - before)


def told(way: str, ours: list[float], theirs: list[float], client: float, server: float) -> list[str]:
    mine, curl = max(ours), max(theirs)  # the least disturbed round of each
    print(
        f"{way}: {mine:.0f} MiB/s, curl {curl:.0f} ({mine / curl:.2f}x); "
        f"grown by at most {client:.0f} MiB (client), {server:.0f} MiB (server)"
    )
    held = {
        f"{way}: client {client:.0f} MiB": client < MOST_CLIENT_MIB,
        f"{way}: server {server:.0f} MiB": server < MOST_SERVER_MIB,
        f"{way}: {mine / curl:.2f} of curl": mine / curl >= LEAST_OF_CURL,
    }
    return [what for what, right in held.items() if not right]


def many(url: str, folder: Path) -> list[str]:
    paths = []
    for n in range(SMALL_FILES):
        paths.append(folder / f"{n}.bin")
        paths[-1].write_bytes(os.urandom(SMALL_BYTES))
    with farcall.connect(url) as svc:
        compared(svc.size, paths, "jobs that do nothing")
        times = compared(svc.look_at, paths, "jobs that take 5 ms")
    return [] if times >= LEAST_SPEEDUP else [f"many small files: {times:.1f}x"]


def compared(endpoint: farcall.Endpoint, paths: list[Path], what: str) -> float:
    """How many times faster all files go at once than one after the other."""
    farcall.gather([endpoint.submit(f=path) for path in paths[:200]])  # warm
    began = time.perf_counter()
    for path in paths:
        endpoint(f=path)
    alone = time.perf_counter() - began
    together = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        sizes = farcall.gather([endpoint.submit(f=path) for path in paths])
        together.append(time.perf_counter() - began)
        if sizes != [SMALL_BYTES] * SMALL_FILES:
            raise RuntimeError("a wrong size")
    took = statistics.median(together)
    print(
        f"{SMALL_FILES} files of {SMALL_BYTES:,} bytes, {what}: {took:.2f} s together, {alone:.2f} s one after the "
        f"other ({alone / took:.1f}x)"
    )
    return alone / took


def beside_fastsdk(python: str, url: str, warm: str, big: Path) -> None:
    script = str(Path(__file__).with_name("files_fastsdk.py"))
    for _ in range(ROUNDS):
        done = subprocess.run([python, script, url, warm, str(big)], check=True, capture_output=True, text=True)
        theirs = json.loads(done.stdout.splitlines()[-1])
        ours = child("up", url, warm, str(big))
        print(
            f"{RIVAL_MIB} MiB: {ours['s']:.2f} s and {ours['grown']:.0f} MiB; fastsdk {theirs['s']:.2f} s and "
            f"{theirs['grown']:.0f} MiB"
        )


# --- one transfer in a process of its own ----------------------------------------------------------------------------


def child(*args: str) -> dict:
    done = subprocess.run([sys.executable, __file__, "child", *args], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def transfer(way: str, url: str, *places: str) -> None:
    with farcall.connect(url) as svc:
        if way == "up":
            warm, big = places
            svc.size(f=warm)
            work = lambda: svc.size(f=big)  # noqa: E731 - one of two
            link = ""
        else:
            film, copy = svc.film(), Path(places[0], "ours.bin")
            link = film.url
            with urllib.request.urlopen(link) as first:
                first.read(MIB)
            farcall.File.from_path(__file__).save(Path(places[0], "warm.copy"))
            work = lambda: film.save(copy)  # noqa: E731
        reset(os.getpid())
        before = resident(os.getpid())
        os.sync()
        began = time.perf_counter()
        work()
        took, grown = time.perf_counter() - began, peak(os.getpid()) - before
        if way == "down":
            copy.unlink()
    print(json.dumps({"s": took, "grown": grown, "url": link}))


def measured(url: str, warm: str, folder: str, server: int) -> None:
    child("up", url, warm, warm)
    child("down", url, folder)
    reset(server)


# --- memory, in MiB --------------------------------------------------------------------------------------------------


def reset(process: int) -> None:
    """Forget the peak so far."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def resident(process: int) -> float:
    return _status(process, "VmRSS")


def peak(process: int) -> float:
    return _status(process, "VmHWM")


def _status(process: int, name: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        transfer(*sys.argv[2:])
    else:
        sys.exit(main())
