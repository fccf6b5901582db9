"""How many no-op jobs a second go through, submitted at once by the blocking face, results gathered."""

import statistics
import sys
import time

import farcall
from serving import service

JOBS = 1000
ROUNDS = 5


def main() -> int:
    with service() as url, farcall.connect(url) as svc:
        rates = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            results = farcall.gather([svc.add.submit(a=n) for n in range(JOBS)])
            rates.append(JOBS / (time.perf_counter() - began))
            if results != [n + 1 for n in range(JOBS)]:
                raise RuntimeError("a wrong result")
        alone = []
        for n in range(200):
            began = time.perf_counter()
            svc.add(a=n)
            alone.append((time.perf_counter() - began) * 1000)
    print(f"{JOBS} jobs at once: {statistics.median(rates):.0f} jobs/s; one alone: {statistics.median(alone):.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
