"""One sends a large file, the others wait: as long as it is worth it, and never for what cannot end."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import textwrap

import pytest
from farcall import storage_turns
from farcall.errors import UsageError
from farcall.storage_turns import turn


def nothing():
    """Wait on."""


def closed():
    raise UsageError("This storage was closed; open it again.")


async def two(folder, still=nothing):
    """The same turn twice."""
    async with turn(folder, "film", "film.mp4", nothing), turn(folder, "film", "film.mp4", still):
        pass


def test_who_waits_has_the_turn_when_the_other_ends(tmp_path):
    async def follow():
        async with contextlib.AsyncExitStack() as first:
            await first.enter_async_context(turn(tmp_path, "film", "film.mp4", nothing))
            waits = asyncio.Event()
            second = asyncio.ensure_future(wait(waits))
            await waits.wait()
            assert not second.done()
        await second

    async def wait(waits):
        async with turn(tmp_path, "film", "film.mp4", waits.set):
            pass

    asyncio.run(asyncio.wait_for(follow(), 60))


def test_who_need_not_wait_any_more_hears_why(tmp_path):
    with pytest.raises(UsageError, match="was closed"):
        asyncio.run(asyncio.wait_for(two(tmp_path, closed), 60))


def test_who_has_waited_for_long_enough_sends_too_and_warns(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(storage_turns, "WAIT_S", 0.0)
    asyncio.run(asyncio.wait_for(two(tmp_path), 60))
    (warned,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "film.mp4 is sent now" in warned


def test_nobody_waits_where_no_lock_can_be_kept():
    asyncio.run(asyncio.wait_for(two(None, closed), 60))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_waits_for_no_turn_that_its_parent_had(tmp_path):
    program = """
        import asyncio, os, sys, threading
        from pathlib import Path
        from farcall.storage_turns import turn

        async def have(then, still):
            async with turn(Path(sys.argv[1]), "film", "film.mp4", still):
                then()

        def fork():
            child = os.fork()
            if child == 0:
                own = threading.Thread(target=asyncio.run, args=(have(lambda: None, lambda: os._exit(3)),))
                own.start()
                own.join()
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        asyncio.run(have(fork, lambda: None))
        """
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")
