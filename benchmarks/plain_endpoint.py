"""A plain endpoint beside the same route in bare FastAPI: requests a second, in turn, and their ratio."""

import statistics
import sys

import load
from serving import running

SECONDS, CLIENTS, ROUNDS = 0.6, 32, 7
BOUND = 0.85
KINDS = {"GET": load.got, "POST": load.posted}


def compare(ours: str, bare: str, kind: load.Kind) -> tuple[float, float, float]:
    """Requests a second of each, and the median ratio of the rounds."""
    rounds = [
        [load.rate(url, kind, seconds=SECONDS, clients=CLIENTS).a_second for url in (ours, bare)]
        for _ in range(ROUNDS + 1)
    ][1:]  # the first only warms them up
    own, other = (statistics.median(side) for side in zip(*rounds, strict=True))
    return own, other, statistics.median(a / b for a, b in rounds)


def main() -> int:
    good = True
    with running("service.py", "memory://") as ours, running("fastapi_service.py") as bare:
        for path, function in (("/plain", "def"), ("/aplain", "async def")):
            for method, kind in KINDS.items():
                own, other, ratio = compare(ours.url + path, bare.url + path, kind)
                good &= ratio >= BOUND
                print(
                    f"{function:9} {method:4} farcall-server {own:.0f}/s, FastAPI {other:.0f}/s; "
                    f"{ratio:.2f}x (at least {BOUND}x)"
                )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
