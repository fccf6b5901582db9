"""One upload with fastsdk, in an environment of its own; benchmarks/files.py runs it. Prints seconds and MiB grown."""

import json
import sys
import time
from pathlib import Path

import fastsdk


def status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def main(url: str, warm: str, big: str) -> None:
    service = fastsdk.connect(url)
    service.submit_job("/size", f=warm).get_result()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    began = time.perf_counter()
    service.submit_job("/size", f=big).get_result()
    print(json.dumps({"s": time.perf_counter() - began, "grown": status("VmHWM") - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
