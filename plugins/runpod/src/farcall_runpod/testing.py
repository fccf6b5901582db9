"""A pytest fixture that emulates Runpod: `pytest_plugins = ["farcall_runpod.testing"]` in the topmost `conftest.py`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from farcall_runpod.emulator import Emulator, Endpoint, Fault

Emulate = Callable[..., Emulator]
"""`runpod_emulator(program, *, faults=("429=0.2",), **options)`, the options as `Endpoint` takes them."""


@pytest.fixture
def runpod_emulator(tmp_path: Path) -> Iterator[Emulate]:
    """Makes emulated endpoints, which end with the test; what their workers print is in `workers.log` of `tmp_path`."""
    with contextlib.ExitStack() as running:

        def emulate(program: str | os.PathLike[str], *, faults: tuple[str, ...] = (), **options: Any) -> Emulator:
            endpoint = Endpoint(
                program=program,
                faults=[Fault.of(text) for text in faults],
                **{"log_file": tmp_path / "workers.log", **options},
            )
            return running.enter_context(Emulator(endpoint))

        yield emulate
