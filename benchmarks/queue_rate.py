"""No-op jobs a second through a server's queue, durable and in memory, and one job alone, with a raw HTTP load."""

import sys
import tempfile

import load
from serving import Program, running

SECONDS, CLIENTS, ROUNDS = 1.5, 32, 3
KINDS = {"in one request": load.waiting, "with long polls": load.long_polling}
BOUNDS = {"sqlite": (2000, 1000), "memory": (3000, 1500)}
ALONE_MS = 3


def measure(program: Program, store: str) -> bool:
    """Both kinds of load on a function in threads and a coroutine; whether each did what it must."""
    good = True
    for path in ("/noop", "/add"):
        url = program.url + path
        load.rate(url, load.waiting, seconds=0.5, clients=CLIENTS)
        for (name, kind), bound in zip(KINDS.items(), BOUNDS[store], strict=True):
            rounds = [load.rate(url, kind, seconds=SECONDS, clients=CLIENTS) for _ in range(ROUNDS)]
            many = max(rounds, key=lambda each: each.a_second)  # other programs can only slow it down
            alone = load.rate(url, kind, seconds=0.5, clients=1)
            good &= many.a_second >= bound and alone.median_ms < ALONE_MS
            print(
                f"{store:6} {path:5} {name:15} {many.a_second:6.0f} jobs/s (at least {bound}); "
                f"one alone {alone.median_ms:.2f} ms (under {ALONE_MS})"
            )
    return good


def main() -> int:
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for store, queue in (("sqlite", f"sqlite:///{folder}/jobs.db"), ("memory", "memory://")):
            with running("service.py", queue, "1") as program:
                good &= measure(program, store)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
