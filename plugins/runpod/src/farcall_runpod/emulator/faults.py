"""What the emulator does wrong on purpose, so that a program can be tried against it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from farcall.errors import UsageError

from farcall_runpod import limits

BUSY: Final = "429"
STALE: Final = "stale-status"
LOST: Final = "lost-response"
DEATH: Final = "worker-death"
COLD: Final = "cold-start"

_SHARES: Final = frozenset({BUSY, LOST, DEATH})
_SECONDS: Final = frozenset({STALE, COLD})
_BY_ROUTE: Final = frozenset({BUSY, LOST})
MEANINGS: Final = {
    BUSY: "this share of requests is answered 429",
    LOST: "this share of requests is carried out, and the connection closed without an answer",
    DEATH: "this share of jobs kill their worker",
    STALE: "/status tells what was true so many seconds ago",
    COLD: "the first job waits so many seconds for a worker",
}
_WRITTEN: Final = re.compile(r"([a-z0-9-]+)(?:@([a-z-]+))?=(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Args:
        name: `429`, `stale-status`, `lost-response`, `worker-death` or `cold-start`.
        value: A share from 0 to 1 (every second one is 0.5, exactly), or seconds.
        route: The one route that is meant, `run`, `status`, …; None: all of them.
    """

    name: str
    value: float
    route: str | None = None

    def __post_init__(self) -> None:
        if self.name not in MEANINGS:
            raise UsageError(f"There is no fault {self.name!r}; there are {', '.join(MEANINGS)}.")
        if self.name in _SHARES and not 0 <= self.value <= 1:
            raise UsageError(f"{self.name} takes a share from 0 to 1, not {self.value:g}.")
        if self.route is not None and (self.name not in _BY_ROUTE or self.route not in limits.RATES):
            routes = ", ".join(limits.RATES)
            raise UsageError(
                f"{' and '.join(sorted(_BY_ROUTE))} may name a route, one of {routes}; not {self.route!r}."
            )

    @classmethod
    def of(cls, text: str) -> Fault:
        """A fault as it is written: `429=0.2`, `lost-response@run=0.5`, `cold-start=3`.

        Raises:
            UsageError: It is none.
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            raise UsageError(f"{text!r} is no fault; write it like 429=0.2, lost-response@run=0.5 or cold-start=3.")
        return cls(found[1], float(found[3]), found[2])


class Faults:
    """The faults that are switched on. A share is dealt out evenly, so that a run can be repeated."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = tuple(faults)
        self._due = [0.0] * len(self._faults)

    def happens(self, name: str, route: str | None = None) -> bool:
        """Whether this fault falls on what comes now."""
        fell = False
        for number, fault in enumerate(self._faults):
            if fault.name == name and fault.route in (None, route):
                self._due[number] += fault.value
                if self._due[number] >= 1 - 1e-9:
                    self._due[number] -= 1
                    fell = True
        return fell

    def seconds(self, name: str) -> float:
        """How many seconds of this fault there are; 0: it is off."""
        return max((fault.value for fault in self._faults if fault.name == name), default=0.0)
