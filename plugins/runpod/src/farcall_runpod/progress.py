"""How far a job is: what its worker says while it runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# Source: fast_task_api 1.3.3 and apipod 1.0.33 over Runpod, read 2026-11-23: the number is cut to a whole one, so it
# is 0 until the end.
_FAST_TASK_API: Final = re.compile(r"Progress: \S+ Message: (.*)", re.DOTALL)
_PARTS: Final = re.compile(r"(\d{1,9})\s*/\s*(\d{1,9})")
_PERCENT: Final = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%")
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """What a worker says of a job that runs.

    Args:
        share: 0.0 to 1.0; None if it does not say.
        message: Its words; None if it says none.
    """

    share: float | None = None
    message: str | None = None


def progress(output: Any) -> Progress:
    """What a job's output says while the job runs. Runpod has no form for it, so handlers say what they like.

    A number from 0 to 1 is a share, as are `4/10` and `40 %`; in a mapping it is looked for under `progress`, the
    words under `message` or `status`. Anything else is words.
    """
    if output is None:
        return Progress()
    if isinstance(output, Mapping):
        said = output.get("message", output.get("status"))
        share = _share(output.get("progress", output.get("percent")))
        return Progress(share, said if isinstance(said, str) else _words(output))
    if isinstance(output, str) and (found := _FAST_TASK_API.fullmatch(output)):
        return Progress(None, found[1])
    return Progress(_share(output), _words(output))


def _share(value: Any) -> float | None:
    if isinstance(value, str):
        return _written(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    return None


def _written(text: str) -> float | None:
    if found := _PARTS.search(text):
        done, of = int(found[1]), int(found[2])
        return done / of if of > 0 and done <= of else None
    if found := _PERCENT.search(text):
        percent = float(found[1])
        return percent / 100 if percent <= 100 else None
    return None


def _words(value: Any) -> str:
    return value[:_LONGEST] if isinstance(value, str) else json.dumps(value, default=str)[:_LONGEST]
