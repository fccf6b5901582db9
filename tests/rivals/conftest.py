"""Rivals' servers, each started once and shared by the tests of its module."""

import contextlib
from pathlib import Path

import farcall
import pytest
from rivals.servers import Rival, Running


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.rivals)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start rivals: `start(Rival(...)).url`; they end with the module."""
    with contextlib.ExitStack() as stack:

        def started(rival: Rival) -> Running:
            running = Running(rival, tmp_path_factory.mktemp(rival.name))
            stack.callback(running.stop)
            running.wait()
            return running

        yield started


@pytest.fixture
def connected():
    """Connect, and close at the end: `connected(url)`."""
    with contextlib.ExitStack() as stack:
        yield lambda *source, **options: stack.enter_context(farcall.connect(*source, **options))
