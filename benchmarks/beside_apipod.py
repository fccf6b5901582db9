"""No-op jobs a second through this server's queue, durable and in memory, and through APIPod's, in memory, in turn.

Each is asked in the way in which it gets most done: this one in one request a job (`Prefer: wait`), APIPod by looking
at a job again and again, at the best of several paces. APIPod is installed into an environment of its own under
.rivals, as for `make rivals`.
"""

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import load
from serving import running

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from rivals import known
from rivals.servers import Running

CLIENTS = (1, 8, 32)
ROUNDS, SECONDS, TRY_SECONDS = 3, 1.5, 0.3
PAUSES_S = (0.002, 0.01, 0.02, 0.05)
BOUND = 10
"""By which the queue in memory must be ahead: APIPod's is there too."""


@contextlib.contextmanager
def apipod() -> Iterator[str]:
    """The address of an APIPod server with a queue."""
    with tempfile.TemporaryDirectory() as folder:
        server = Running(known.APIPOD, Path(folder))
        try:
            server.wait()
            yield server.url
        finally:
            server.stop()


def best_pace(url: str, clients: int) -> load.Kind:
    """The pace of looking at a job with which a server gets most done."""
    kinds = [load.polling(pause) for pause in PAUSES_S]
    return max(kinds, key=lambda kind: load.rate(url, kind, seconds=TRY_SECONDS, clients=clients).a_second)


def compare(urls: Mapping[str, str], theirs: str, clients: int) -> bool:
    """So many clients, each with one job at a time; the median of the rounds. Whether the bound holds."""
    kinds = [(url, load.waiting) for url in urls.values()] + [(theirs, best_pace(theirs, clients))]
    rounds = [[load.rate(*kind, seconds=SECONDS, clients=clients) for kind in kinds] for _ in range(ROUNDS)]
    other = f"APIPod {_median(rounds, -1):.0f} jobs/s"
    for side, queue in enumerate(urls):
        ratio = statistics.median(each[side].a_second / each[-1].a_second for each in rounds)
        print(f"{clients:2} clients: {queue:6} {_median(rounds, side):.0f} jobs/s, {other}; {ratio:.1f}x")
    return ratio >= BOUND


def _median(rounds: Sequence[Sequence[load.Rate]], side: int) -> float:
    return statistics.median(each[side].a_second for each in rounds)


def main() -> int:
    with running("service.py") as durable, running("service.py", "memory://") as memory, apipod() as rival:
        urls = {"sqlite": f"{durable.url}/noop", "memory": f"{memory.url}/noop"}
        good = [compare(urls, f"{rival}/add", clients) for clients in CLIENTS]
    print(f"(in memory at least {BOUND}x)")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
