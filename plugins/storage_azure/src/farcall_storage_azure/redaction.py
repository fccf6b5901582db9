"""Keeps shared access signatures out of urllib3's log, which writes each request's whole query."""

from __future__ import annotations

import logging
import re
from typing import Final

SIGNATURE: Final = re.compile(r"(?<=[?&]sig=)[^&\s\"']+")


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = SIGNATURE.sub("…", record.getMessage()), ()
        return True


_redaction: Final = _Redaction()


def keep_signatures_out_of_logs() -> None:
    """Have the signatures left out; calling it again changes nothing."""
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_redaction)
