"""Which way an endpoint's jobs take to their function."""

from __future__ import annotations

from farcall_server import isolation
from farcall_server.isolation import Isolation, Origin
from farcall_server.process_lane import ProcessLane
from farcall_server.worker import Lane, LoopLane, ThreadLane, Work


def lane(work: Work, where: Isolation, *, path: str, cancel_grace_s: float) -> Lane:
    """The lane to where an endpoint's function runs.

    Args:
        work: What is run.
        where: Where it runs.
        path: The endpoint's, as it was written.
        cancel_grace_s: Seconds a function in a process has to end once it was asked to.

    Raises:
        UsageError: No process could find the function.
    """
    isolation.note(work.signature.function, path, work.signature)
    if where == "async":
        return LoopLane(work)
    if where == "thread":
        return ThreadLane(work)
    origin = Origin.of(work.signature.function, path)
    return ProcessLane(work, origin=origin, cancel_grace_s=cancel_grace_s)
