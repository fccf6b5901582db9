"""What connecting to a service with a document of 2 MB takes. The bounds are 1 s and 100 MB.

Each run has a process of its own. The memory is its peak beyond what connecting with a small document takes.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BOUND_S, BOUND_MB = 1.0, 100
MODELS, OPERATIONS, RUNS = 2000, 800, 3


def model(number: int) -> dict[str, object]:
    text = {"type": "string", "maxLength": 80, "description": "What it is. " * 3}
    following = {"$ref": f"#/components/schemas/Model{(number + 1) % MODELS}"}
    properties = {"id": {"type": "integer"}, "next": following, **{f"field_{k}": text for k in range(8)}}
    return {"type": "object", "required": ["id"], "properties": properties}


def operation(number: int) -> dict[str, object]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/Model{number}"}}}
    return {"post": {"operationId": f"op{number}", "requestBody": {"required": True, "content": content}}}


def document() -> str:
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "big", "version": "1"},
            "paths": {f"/op/{number}": operation(number) for number in range(OPERATIONS)},
            "components": {"schemas": {f"Model{number}": model(number) for number in range(MODELS)}},
        }
    )


def peak_mb() -> float:
    """The most this process had in memory; `ru_maxrss` would be its parent's, if that had more."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


def once(path: str) -> None:
    import farcall
    import farcall_openapi  # noqa: F401

    small = {"openapi": "3.1.0", "paths": {}}
    farcall.connect(small, provider="openapi", url="http://127.0.0.1:9").close()
    before, began = peak_mb(), time.perf_counter()
    with farcall.connect(Path(path), provider="openapi", url="http://127.0.0.1:9") as service:
        print(json.dumps([time.perf_counter() - began, peak_mb() - before, len(service.endpoints)]))


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openapi.json"
        path.write_text(document())
        command = [sys.executable, __file__, str(path)]
        runs = [json.loads(subprocess.check_output(command, text=True)) for _ in range(RUNS)]
        size = path.stat().st_size / 1e6
    took, more = min(run[0] for run in runs), max(run[1] for run in runs)
    print(f"a document of {size:.1f} MB, {runs[0][2]} endpoints: {took:.2f} s, {more:.0f} MB at the peak")
    return 0 if took < BOUND_S and more < BOUND_MB else 1


if __name__ == "__main__":
    sys.exit(once(sys.argv[1]) if sys.argv[1:] else main())
