"""What Runpod offers of every endpoint beside its functions: its health, its queue, another try of a job."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from farcall.spec import EndpointSpec, Parameter

RUN: Final = EndpointSpec(
    path="/run",
    open=True,
    job=True,
    doc="Run the endpoint's handler; the arguments are its `input`.",
)
"""The endpoint of which nothing else is known."""

HEALTH: Final = EndpointSpec(
    path="/health",
    method="GET",
    job=False,
    traits={"verb": "health"},
    doc="How many jobs are in which state, and how many workers there are.",
)
PURGE_QUEUE: Final = EndpointSpec(
    path="/purge-queue",
    job=False,
    traits={"verb": "purge-queue"},
    doc="Drop every job that waits; those that run go on. Returns how many were dropped.",
)
RETRY: Final = EndpointSpec(
    path="/retry/{job_id}",
    name="retry",
    job=True,
    parameters={"job_id": Parameter(str, doc="The id of a job that failed or timed out: `job.id`.")},
    traits={"verb": "retry"},
    doc="Run a failed job again, under its id and with its input.",
)
VERBS: Final = (HEALTH, PURGE_QUEUE, RETRY)


def beside(endpoints: Iterable[EndpointSpec]) -> tuple[EndpointSpec, ...]:
    """The endpoints, and after them the verbs; where the service has such a name itself, ours is `runpod_health`."""
    own = tuple(endpoints)
    taken = {endpoint.name for endpoint in own}
    ours = (v.model_copy(update={"name": f"runpod_{v.name}"}) if v.name in taken else v for v in VERBS)
    return (*own, *ours)
