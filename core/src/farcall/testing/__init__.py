"""For those who write plugins: the conformance kit, a service in memory, and a clock that does not wait.

Needs pytest: `pip install "./core[testing]"`. What the rules are is in docs/conformance.md.
"""

from __future__ import annotations

from farcall.testing.conformance import ProviderConformance
from farcall.testing.memory import MemorySender
from farcall.testing.recorded import Answer, reply
from farcall.testing.virtual import VirtualLoop, run

__all__ = ["Answer", "MemorySender", "ProviderConformance", "VirtualLoop", "reply", "run"]
