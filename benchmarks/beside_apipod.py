"""No-op jobs a second through this server's queue, durable and in memory, and through APIPod's, in memory, in turn.

Each is asked in the way in which it gets most done: this one in one request a job (`Prefer: wait`), APIPod by looking
at a job again and again, at the best of several paces. APIPod is installed into an environment of its own under
.rivals, as for `make rivals`.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import load
from serving import Program, running

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from rivals import known
from rivals.servers import Running

CLIENTS = (1, 8, 32, 128)
ROUNDS, SECONDS, TRY_SECONDS = 4, 1.0, 0.3
PAUSES_S = (0.002, 0.01, 0.02, 0.05)
BOUND = 10
"""By which both queues must be ahead; APIPod's is in memory."""


@dataclass(frozen=True)
class Side:
    """One of the servers, and how it is asked."""

    name: str
    program: Program
    path: str
    kind: load.Kind

    def rate(self, clients: int, seconds: float = SECONDS) -> Measured:
        before = self.program.cpu_s
        rate = load.rate(self.program.url + self.path, self.kind, seconds=seconds, clients=clients)
        return Measured(rate.a_second, (self.program.cpu_s - before) / (rate.a_second * seconds) * 1e6)


@dataclass(frozen=True)
class Measured:
    """Jobs a second, and microseconds of the server's processor a job."""

    a_second: float
    cpu_us: float


@contextlib.contextmanager
def apipod() -> Iterator[Program]:
    """An APIPod server with a queue."""
    with tempfile.TemporaryDirectory() as folder:
        server = Running(known.APIPOD, Path(folder))
        try:
            server.wait()
            yield Program(server.url, server.process.pid)
        finally:
            server.stop()


def at_its_best(rival: Program, clients: int) -> Side:
    """APIPod, asked at the pace with which it gets most done."""
    sides = [Side("APIPod", rival, "/add", load.polling(pause)) for pause in PAUSES_S]
    return max(sides, key=lambda side: side.rate(clients, TRY_SECONDS).a_second)


def compare(ours: Sequence[Side], theirs: Side, clients: int) -> float:
    """So many clients, each with one job at a time, in turn; how many times as much the slowest of ours does."""
    rounds = [[side.rate(clients) for side in (*ours, theirs)] for _ in range(ROUNDS)]
    best = [max(side, key=lambda each: each.a_second) for side in zip(*rounds, strict=True)]
    for side, measured in zip((*ours, theirs), best, strict=True):
        print(
            f"{clients:3} clients: {side.name:6} {measured.a_second:5.0f} jobs/s, {measured.cpu_us:5.0f} µs of its "
            f"processor a job; {measured.a_second / best[-1].a_second:.1f}x"
        )
    return min(measured.a_second for measured in best[:-1]) / best[-1].a_second


def main() -> int:
    with running("service.py") as durable, running("service.py", "memory://") as memory, apipod() as rival:
        ours = [
            Side(name, program, "/noop", load.waiting) for name, program in (("sqlite", durable), ("memory", memory))
        ]
        ratios = [compare(ours, at_its_best(rival, clients), clients) for clients in CLIENTS]
    print(f"(at least {BOUND}x)")
    return 0 if min(ratios) >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
