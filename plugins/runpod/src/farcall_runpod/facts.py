"""What is fixed about Runpod, and about the local test server of its SDK."""

from __future__ import annotations

from typing import Final

from farcall.binding import Binding
from farcall.hookspecs import ProviderFacts
from farcall.jobs import JobRef

from farcall_runpod import limits

ORIGIN: Final = "https://api.runpod.ai"
KEY_NAMES: Final = ("RUNPOD_API_KEY",)

LOCAL: Final = "local"
"""The trait's value of the SDK's local test server: it runs a job within the look at it, and forgets it."""

EXECUTION_MOST_S: Final = 3600.0
"""How long the local test server may be silent while it runs a job."""


def facts(binding: Binding) -> ProviderFacts:
    """The table the engine reads."""
    if is_local(binding):
        return ProviderFacts(
            url=binding.options.url,
            origins=(ORIGIN,),
            key_names=KEY_NAMES,
            read_once=True,
            poll_repeatable=False,
            drop_connection_after=frozenset({500}),  # runpod 1.12.0, run 2026-11-24
        )
    return ProviderFacts(
        url=binding.options.url,
        origins=(ORIGIN,),
        key_names=KEY_NAMES,
        poll_min_s=0.05,
        poll_max_s=1.0,  # what the SDK of Runpod waits, so that no end is seen later
        # a little less than an endpoint may be asked
        poll_per_s=0.9 * limits.RATES["status"][0] / limits.RATE_WINDOW_S,
        stream="polled",
        submits_at_once=limits.RATES["run"][1] // 2,
        submit_rate=(limits.RATES["run"][0], limits.RATE_WINDOW_S),
        retention_s=limits.RUN_KEPT_S,
    )


def is_local(binding: Binding) -> bool:
    """Whether the service is the SDK's local test server."""
    return binding.traits.get("host") == LOCAL


def is_local_job(binding: Binding, job: JobRef) -> bool:
    """Whether a job is the local test server's: its ids tell, where no description did."""
    return is_local(binding) or job.data.get("host") == LOCAL
