"""Runpod's limits, as its documentation states them."""

from __future__ import annotations

from typing import Final

# Source: runpod/docs, serverless/endpoints/send-requests.mdx and job-states.mdx, 2026-08-20.
MIB: Final = 1024 * 1024
RUN_BYTES: Final = 10 * MIB
"""The largest body of `/run`."""
RUNSYNC_BYTES: Final = 20 * MIB
"""The largest body of `/runsync`."""
STREAM_BYTES: Final = MIB
"""The largest piece of a stream."""
RUN_KEPT_S: Final = 30 * 60.0
"""How long the end of a job of `/run` is kept."""
RUNSYNC_KEPT_S: Final = 60.0
"""How long the end of a job of `/runsync` is kept."""
EXECUTION_S: Final = 600.0
"""How long a job may run, unless its policy says otherwise."""
TTL_S: Final = 86400.0
"""How long after its submission a job is dropped, unless its policy says otherwise."""
RUNSYNC_WAIT_S: Final = 90.0
"""How long `/runsync` is held open, unless `wait` says otherwise."""
RUNSYNC_MOST_S: Final = 300.0
WEBHOOK_TRIES: Final = 3
WEBHOOK_PAUSE_S: Final = 10.0
RATE_WINDOW_S: Final = 10.0
RATES: Final = {
    "run": (1000, 200),
    "runsync": (2000, 400),
    "status": (2000, 400),
    "stream": (2000, 400),
    "cancel": (100, 20),
    "purge-queue": (2, 1),
    "retry": (1000, 200),
    "health": (2000, 400),
}
"""Requests in ten seconds, and at one time, for one endpoint; more of them are answered 429.

Of `retry` and `health` the documentation says nothing; they are taken for a submission and for a look.
"""
