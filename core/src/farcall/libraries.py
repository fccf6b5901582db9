"""Libraries that are there only if the user has installed them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from farcall.errors import UsageError


def needed(module: str) -> Any:
    """A module of the extra `farcall[media]`, imported now.

    Raises:
        UsageError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise UsageError(f'This needs {name}, which comes with farcall[media]: pip install "./core[media]".') from error
