"""What is fixed about each dialect's servers, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from farcall.binding import Binding
from farcall.hookspecs import ProviderFacts
from farcall.wire import FilePolicy

from farcall_fasttaskapi import dialects
from farcall_fasttaskapi.dialects import Dialect

IDEMPOTENCY_HEADER: Final = "idempotency-key"
DRAWN: Final = "once-"
"""How a key begins that was made for one call: what comes under it again is that call, and our servers need not read
its files to know."""

# Source: fast_task_api 1.3.3 and apipod 1.0.33, run 2026-11-23. The first look that sees a job's end deletes
# the job; after a 422 or 500 the server drops the connection without saying so; files come as base64 inside
# the envelope. The 30 minutes are from their source. A look whose reply was lost is taken again: the worst it can
# learn is that the job is gone.
_OLDER: Final = ProviderFacts(
    url="",
    read_once=True,
    poll_per_s=200.0,
    max_envelope_bytes=512 * 1024 * 1024,
    drop_connection_after=frozenset({422, 500}),
    retention_s=1800.0,
)

_FACTS: Final[Mapping[Dialect, ProviderFacts]] = {
    Dialect.FASTTASKAPI: _OLDER,
    # Its stream is called text/event-stream and is none: texts come bare, without `data:`.
    Dialect.APIPOD: replace(_OLDER, stream="raw"),
    # It may turn out to be ours, which holds a look open and keeps results longer; the others answer at once.
    Dialect.UNKNOWN: replace(_OLDER, long_poll_s=25.0, retention_s=None),
    # Source: farcall's own job protocol, version 1. Its servers hold a look for 60 s; proxies cut at 30.
    Dialect.FARCALL: ProviderFacts(
        url="",
        long_poll_s=25.0,
        poll_batch=200,
        poll_per_s=500.0,
        idempotency_header=IDEMPOTENCY_HEADER,
        stream="sse",
    ),
}


def facts(binding: Binding) -> ProviderFacts:
    """The table of the service's dialect."""
    dialect = dialects.of_binding(binding)
    plain = dialect is Dialect.APIPOD and binding.traits.get("compute") == dialects.DEDICATED
    return replace(_FACTS[dialect], url=binding.options.url, result_in_reply=plain)


_PART: Final = FilePolicy(inline="part")
_DATA_URI: Final = FilePolicy(inline="data_uri")
_OLDER_PART: Final = FilePolicy(inline="part", links=True)
_OLDER_DATA_URI: Final = FilePolicy(inline="data_uri", links=True)

# With media-toolkit 0.2.24, a FastTaskAPI job finds its uploaded part already closed; a data URI in a form
# field works in every version (run 2026-11-23). Ours takes both, so an unknown server is sent what all read.
FILES: Final[Mapping[Dialect, FilePolicy]] = {
    Dialect.FASTTASKAPI: _OLDER_DATA_URI,
    Dialect.APIPOD: _OLDER_PART,
    Dialect.UNKNOWN: _DATA_URI,
    Dialect.FARCALL: _PART,
}
IN_JSON: Final = _DATA_URI
