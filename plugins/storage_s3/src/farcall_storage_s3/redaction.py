"""Keeps signatures and session tokens out of botocore's log, which writes both at level DEBUG."""

from __future__ import annotations

import logging
import re
from typing import Final

SECRET: Final = re.compile(
    r"(?P<head>(?:Signature[:=]\s*)|(?:X-Amz-Security-Token['\"]?\s*[:=]\s*(?:b?['\"])?))[^\s'\",&]+", re.IGNORECASE
)


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = SECRET.sub(r"\g<head>…", record.getMessage()), ()
        return True


_redaction: Final = _Redaction()


def keep_signatures_out_of_logs() -> None:
    """Have them left out; calling it again changes nothing."""
    for name in ("botocore.auth", "botocore.endpoint", "urllib3.connectionpool"):
        logging.getLogger(name).addFilter(_redaction)
