"""farcall in a program's life: Ctrl-C, the end of the program, forks, and threads of its own."""

import gc
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time

import farcall
import pytest
from farcall import errors
from farcall.sender_aiohttp import AiohttpSender
from farcall_server import FastTaskAPI, File


def python(program, *args, **options):
    """A fresh interpreter with warnings as errors; its standard output can be read while it runs."""
    command = [sys.executable, "-W", "error", "-u", "-c", textwrap.dedent(program), *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def first_line(process):
    ready, _, _ = select.select([process.stdout], [], [], 30)
    assert ready, "the program said nothing"
    return process.stdout.readline().strip()


def ended(process):
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def test_ctrl_c_ends_a_blocking_call_and_the_program(url):
    process = python(
        """
        import sys, farcall
        svc = farcall.connect(sys.argv[1])
        job = svc.wait_at_gate.submit()
        job.ref()
        print("waiting")
        job.result()
        """,
        url,
    )
    assert first_line(process) == "waiting"
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == -signal.SIGINT
    assert err.strip().endswith("KeyboardInterrupt")
    assert "Warning" not in err


def test_ctrl_c_can_be_caught_and_the_job_goes_on(url, app):
    process = python(
        """
        import sys, farcall
        svc = farcall.connect(sys.argv[1])
        job = svc.wait_at_gate.submit()
        job.ref()
        try:
            print("waiting")
            job.result()
        except KeyboardInterrupt:
            print("caught")
        sys.stdin.readline()
        print(job.result(20))
        """,
        url,
        stdin=subprocess.PIPE,
    )
    assert first_line(process) == "waiting"
    process.send_signal(signal.SIGINT)
    assert first_line(process) == "caught"
    app.gate.set()
    out, err = process.communicate("go on\n", timeout=30)
    assert (process.returncode, out, err) == (0, "through\n", "")


def test_the_program_ends_at_once_with_jobs_in_flight_and_leaves_them_running(url, app, svc):
    process = python(
        """
        import sys, farcall
        svc = farcall.connect(sys.argv[1])
        jobs = [svc.wait_at_gate.submit() for _ in range(20)]
        print(jobs[0].ref())
        """,
        url,
    )
    ref = first_line(process)
    assert ended(process) == (0, "", "")
    app.gate.set()
    assert svc.attach(ref).result(20) == "through"


@pytest.mark.parametrize("end", ["", "svc.close()", "del svc"])
def test_what_was_submitted_is_delivered_before_the_program_or_the_service_ends(url, end):
    process = python(
        """
        import sys, farcall
        svc = farcall.connect(sys.argv[1])
        svc.plain(q="warm")
        for number in range(300):
            svc.add.submit(a=number)
        """
        + end,
        url,
    )
    assert ended(process) == (0, "", "")
    with farcall.connect(url) as after:
        assert after.count(name="add") == 300


def test_a_loop_that_ends_with_jobs_followed_leaves_no_task_behind(url):
    process = python(
        """
        import asyncio, gc, sys, warnings, farcall
        warnings.simplefilter("ignore", ResourceWarning)  # the program closes nothing, and asks for these
        async def main():
            svc = await farcall.connect_async(sys.argv[1])
            jobs = [await svc.wait_at_gate.submit() for _ in range(40)]
            await asyncio.sleep(0.1)
        asyncio.run(main())
        gc.collect()
        """,
        url,
    )
    code, out, err = ended(process)
    assert (code, out) == (0, "")
    assert "Task was destroyed" not in err


def test_an_asynchronous_program_ends_cleanly_with_jobs_in_flight(url):
    process = python(
        """
        import asyncio, sys, farcall
        async def main():
            svc = await farcall.connect_async(sys.argv[1])
            jobs = [await svc.wait_at_gate.submit() for _ in range(5)]
            await svc.close()
        asyncio.run(main())
        print("end")
        """,
        url,
    )
    assert ended(process) == (0, "end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_connects_anew_and_leaves_the_parents_connections_alone(url):
    process = python(
        """
        import os, sys, farcall
        svc = farcall.connect(sys.argv[1])
        job = svc.add.submit(a=1)
        assert job.result() == 2
        child = os.fork()
        if child == 0:
            for use in (lambda: svc.add(a=1), lambda: svc.add.submit(a=1), lambda: svc.wait_at_gate.submit()):
                try:
                    use()
                except farcall.errors.UsageError as error:
                    assert "forked" in str(error), error
                else:
                    os._exit(3)
            try:
                job.cancel()
            except farcall.errors.UsageError:
                pass
            else:
                os._exit(4)
            with farcall.connect(sys.argv[1]) as own:
                code = 0 if own.add(a=5) == 6 else 5
            sys.exit(code)
        _, status = os.waitpid(child, 0)
        many = farcall.gather([svc.add.submit(a=n) for n in range(20)])
        print(os.waitstatus_to_exitcode(status), svc.add(a=2), many[-1])
        """,
        url,
    )
    code, out, err = ended(process)
    assert (code, out) == (0, "0 3 20\n"), err


def test_a_blocking_verb_on_our_own_thread_is_refused_and_not_a_deadlock(url):
    from farcall import background

    svc = farcall.connect(url)

    async def inside():
        return svc.add(a=1)

    with pytest.raises(errors.UsageError, match="own thread"):
        background.run(inside())
    svc.close()


def test_no_signal_handler_is_taken_and_no_thread_is_left_by_importing():
    process = python(
        """
        import signal, threading
        before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
        import farcall
        assert before == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
        print(threading.active_count())
        """
    )
    assert ended(process) == (0, "1\n", "")


def test_threads_share_a_service(svc):
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: svc.add(a=n), range(100))) == list(range(1, 101))


class Watched:
    """A sender that tells when it is closed, and can break then."""

    def __init__(self, fails=False):
        self.closed = threading.Event()
        self.fails = fails
        self._inner = AiohttpSender()

    async def send(self, request):
        return await self._inner.send(request)

    async def close(self):
        await self._inner.close()
        self.closed.set()
        if self.fails:
            raise RuntimeError("close broke")


def test_a_service_that_is_dropped_gives_its_connections_up_and_not_before(url):
    sender = Watched()
    job = farcall.connect(url, sender=sender).add.submit(a=1)
    gc.collect()
    assert job.result(20) == 2
    assert not sender.closed.is_set()
    del job
    end = time.monotonic() + 20
    while not sender.closed.wait(0.05):  # a follower may look after it for a moment
        gc.collect()
        assert time.monotonic() < end, "the dropped service was kept"


def test_a_service_whose_close_breaks_keeps_no_other_open_at_the_end(url):
    process = python(
        """
        import sys, farcall
        from farcall.sender_aiohttp import AiohttpSender

        class Watched(AiohttpSender):
            async def close(self):
                await super().close()
                print("closed")
                raise RuntimeError("close broke")

        kept = [farcall.connect(sys.argv[1], sender=Watched()) for _ in range(3)]
        print([svc.add(a=1) for svc in kept])
        """,
        url,
    )
    code, out, err = ended(process)
    assert (code, out.split("\n")[1:4], err) == (0, ["closed"] * 3, "")


def test_a_result_file_is_not_fetched_from_a_closed_service(serve):
    app = FastTaskAPI()

    @app.task_endpoint("/pic")
    def pic() -> File:
        return File.from_bytes(b"p" * 2_000_000, name="p.bin")

    svc = farcall.connect(serve(app).url)
    file = svc.pic()
    assert len(file.read()) == 2_000_000
    svc.close()
    with pytest.raises(errors.UsageError, match="closed"):
        file.read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_result_file_is_not_fetched_in_a_forked_child(serve):
    app = FastTaskAPI()

    @app.task_endpoint("/pic")
    def pic() -> File:
        return File.from_bytes(b"p" * 2_000_000, name="p.bin")

    process = python(
        """
        import os, sys, farcall
        svc = farcall.connect(sys.argv[1])
        file = svc.pic()
        child = os.fork()
        if child == 0:
            try:
                file.read()
            except farcall.errors.UsageError as error:
                os._exit(0 if "forked" in str(error) else 3)
            os._exit(4)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), len(file.read()))
        """,
        serve(app).url,
    )
    code, out, err = ended(process)
    assert (code, out) == (0, "0 2000000\n"), err
