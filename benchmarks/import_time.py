"""What `import farcall` costs beyond `from pydantic import BaseModel`. The bound is 60 ms."""

import statistics
import subprocess
import sys

RUNS = 15
BOUND_MS = 60
PROGRAM = "import time; t = time.perf_counter(); {}; print((time.perf_counter() - t) * 1000)"


def once(statement: str) -> float:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(statement)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    pairs = [(once("from pydantic import BaseModel"), once("import farcall")) for _ in range(RUNS)]
    extra = statistics.median(b - a for a, b in pairs)
    pydantic, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    whole = statistics.median(once("import farcall; farcall.connect") for _ in range(RUNS))
    print(f"pydantic's BaseModel {pydantic:.0f} ms, farcall {ours:.0f} ms: {extra:.0f} ms more (bound {BOUND_MS} ms)")
    print(f"with all that connect needs, plugins and aiohttp aside: {whole:.0f} ms")
    return 0 if extra <= BOUND_MS else 1


if __name__ == "__main__":
    sys.exit(main())
