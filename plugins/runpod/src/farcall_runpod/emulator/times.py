"""How long the emulated Runpod keeps, holds and waits; shorter in tests."""

from __future__ import annotations

from dataclasses import dataclass

from farcall_runpod import limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds; the defaults are Runpod's own, where its documentation states them.

    Args:
        kept_s: How long the end of a job of `/run` is kept.
        sync_kept_s: How long the end of a job of `/runsync` is kept.
        execution_s: How long a job may run whose policy does not say.
        ttl_s: After how long a job is dropped whose policy does not say.
        sync_wait_s: How long `/runsync` is held open where the request does not say.
        webhook_pause_s: Between two tries of a webhook.
        take_s: How long a worker that asks for work is held, ours.
    """

    kept_s: float = limits.RUN_KEPT_S
    sync_kept_s: float = limits.RUNSYNC_KEPT_S
    execution_s: float = limits.EXECUTION_S
    ttl_s: float = limits.TTL_S
    sync_wait_s: float = limits.RUNSYNC_WAIT_S
    webhook_pause_s: float = limits.WEBHOOK_PAUSE_S
    take_s: float = 5.0
