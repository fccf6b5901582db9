"""What a durable queue has accepted outlives `kill -9`, a full disk, a second server and a clock that jumps."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time

import httpx
import pytest
from farcall.errors import ConfigError
from farcall.jobs import State
from farcall_server import FastTaskAPI, File, database
from farcall_server.durable import Unavailable
from farcall_server.job import Job, Outcome, new_id
from farcall_server.ledger import Ledger
from farcall_server.lines import Rules
from farcall_server.marks import Marks
from farcall_server.queue import MOST_RECENT, Store

SERVICE = """
import pathlib, sys, time
from farcall_server import FastTaskAPI, File, JobProgress
from pydantic import BaseModel

app = FastTaskAPI(queue={queue!r}, shutdown_grace_s={grace})
ran, opened = pathlib.Path({ran!r}), pathlib.Path({ran!r} + ".open")

class Point(BaseModel):
    x: int

def work(n):
    with ran.open("a") as out:
        out.write(f"{{n}}\\n")
    while not opened.exists():
        time.sleep(0.01)
    return n

@app.task_endpoint("/once", queue_size=1000)
def once(n: int):
    return work(n)

@app.task_endpoint("/twice", retries=1)
def twice(n: int, job_progress: JobProgress):
    job_progress.set_status(0.5, "at it")
    job_progress.log("begun")
    return work(n)

@app.task_endpoint("/always", idempotent=True)
def always(n: int):
    return work(n)

@app.task_endpoint("/rich")
def rich(point: Point, file: File, texts: list[str]):
    work(point.x)
    return {{"x": point.x, "file": file, "texts": texts, "size": len(file.read())}}

app.start(port=0)
"""

QUICK = Outcome(state=State.SUCCEEDED, result=1)


@pytest.fixture
def service(tmp_path):  # noqa: C901 - a handful of one-line verbs
    """`service()` starts a server in a process of its own, always on the same queue; `.kill()` is `kill -9`."""
    started = []
    ran = tmp_path / "ran"

    class Service:
        def __init__(self, grace=10):
            script = tmp_path / "service.py"
            script.write_text(SERVICE.format(queue=f"sqlite:///{tmp_path}/q/jobs.db", ran=str(ran), grace=grace))
            self.process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
            started.append(self)
            url = self.process.stdout.readline().split(" serves at ")[1].split()[0]
            self.client = httpx.Client(base_url=url, timeout=40)

        def kill(self, how=signal.SIGKILL):
            self.client.close()
            self.process.send_signal(how)
            self.process.stdout.read()
            self.process.stdout.close()
            return self.process.wait(30)

        def submit(self, path, **request):
            reply = self.client.post(path, **request)
            assert reply.status_code == 200, reply.text
            return reply.json()["id"]

        def job(self, job_id, wait=20):
            return self.client.get(f"/status/{job_id}?wait={wait}").json()

        def ended(self, job_id):
            while (job := self.job(job_id))["status"] not in {"Finished", "Failed", "Cancelled"}:
                pass
            return job

        def begun(self, job_id):
            while self.job(job_id, wait=0.05)["status"] != "Processing":
                pass

        ran_so_far = staticmethod(lambda: [int(n) for n in ran.read_text().split()])
        open_up = staticmethod(ran.with_name("ran.open").touch)

    yield Service
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.mark.parametrize("rows", [0, 1, 499, 500, 1501])
def test_any_number_of_rows_is_inserted_in_their_order(rows):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE pairs (a, b)")
    written = [(n, f"{n}") for n in range(rows)]

    database.Insert("INTO pairs", "a, b").write(connection, written)

    assert connection.execute("SELECT a, b FROM pairs ORDER BY rowid").fetchall() == written
    connection.close()


def test_new_ids_are_all_different_and_lie_together_in_an_index():
    ids = [new_id() for _ in range(2000)]

    assert len(set(ids)) == 2000
    assert {len(bytes.fromhex(made)) for made in ids} == {16}
    assert len({made[:12] for made in ids}) <= 2000 // 256 + 2
    assert len({made[12:] for made in ids}) == 2000  # what cannot be guessed


def test_a_waiting_job_runs_after_a_kill_and_the_running_one_fails_with_the_reason(service):
    first = service()
    running, waiting = first.submit("/once", json={"n": 1}), first.submit("/once", json={"n": 2})
    first.begun(running)
    first.kill()
    service.open_up()
    second = service()
    assert second.ended(running)["error"] == "server stopped while running"
    assert second.ended(waiting)["result"] == 2
    assert service.ran_so_far().count(1) <= 1
    assert service.ran_so_far().count(2) == 1


def test_a_running_job_is_run_again_as_often_as_its_retries_allow(service):
    server = service()
    job = server.submit("/twice", json={"n": 1})
    for _ in range(2):
        server.begun(job)
        server.kill()
        server = service()
    ended = server.ended(job)
    assert ended["error"] == "server stopped while running"
    assert service.ran_so_far() in ([1, 1], [1])


def test_an_idempotent_job_is_run_again_until_it_ends(service):
    server = service()
    job = server.submit("/always", json={"n": 1})
    for _ in range(3):
        server.begun(job)
        server.kill()
        server = service()
    service.open_up()
    assert server.ended(job)["result"] == 1


def test_results_and_their_files_outlive_a_kill(service):
    service.open_up()
    first = service()
    parts = {"point": (None, '{"x": 7}'), "texts": (None, '["a", "b"]'), "file": ("f.bin", b"z" * 300_000)}
    job = first.submit("/rich", files=parts)
    before = first.ended(job)
    first.kill()
    after = service().ended(job)
    assert after["result"] == before["result"]
    assert (after["result"]["x"], after["result"]["size"]) == (7, 300_000)
    assert after["created_at"] == before["created_at"]


def test_arguments_and_uploads_of_a_waiting_job_outlive_a_kill(service):
    first = service()
    parts = [("point", (None, '{"x": 1}')), ("texts", (None, "a")), ("texts", (None, "b"))]
    jobs = [first.submit("/rich", files=[*parts, ("file", ("f.bin", b"z" * size))]) for size in (10, 10, 300_000)]
    first.begun(jobs[0])
    first.kill()
    service.open_up()
    second = service()
    assert [second.ended(job)["status"] for job in jobs] == ["Failed", "Finished", "Finished"]
    for job, size in zip(jobs[1:], (10, 300_000), strict=True):
        result = second.ended(job)["result"]
        assert (result["size"], result["texts"], result["file"]["file_name"]) == (size, ["a", "b"], "f.bin")


def test_sigterm_lets_running_jobs_end_keeps_the_waiting_and_exits_with_zero(service):
    first = service()
    running, waiting = first.submit("/once", json={"n": 1}), first.submit("/once", json={"n": 2})
    first.begun(running)
    first.process.send_signal(signal.SIGTERM)
    service.open_up()
    assert first.kill(signal.SIGTERM) == 0
    second = service()
    assert second.ended(running)["result"] == 1
    assert second.ended(waiting)["result"] == 2
    assert service.ran_so_far() == [1, 2]


def test_sigterm_hands_a_job_back_that_does_not_end_within_the_grace(service):
    first = service(grace=0.1)
    job = first.submit("/twice", json={"n": 1})
    first.begun(job)
    assert first.kill(signal.SIGTERM) == 0
    service.open_up()
    assert service().ended(job)["result"] == 1


def test_a_second_server_on_the_same_queue_is_refused_with_a_sentence(tmp_path):
    first, second = Ledger(tmp_path / "jobs.db"), Ledger(tmp_path / "jobs.db")

    async def both():
        first.open()
        first.begin([], [], most=1)
        with pytest.raises(ConfigError, match=rf"belongs to another server \(process {os.getpid()}\)\. Stop that one"):
            second.open()
        first.close()
        second.open()
        second.begin([], [], most=1)
        second.close()

    asyncio.run(both())


def test_a_server_that_cannot_start_says_why_in_a_sentence_and_nothing_else(tmp_path):
    script = tmp_path / "service.py"
    script.write_text(SERVICE.format(queue=f"sqlite:///{tmp_path}/jobs.db", ran=str(tmp_path / "ran"), grace=1))
    owner = Ledger(tmp_path / "jobs.db")
    owner.open()
    said = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    owner.close()
    assert (said.returncode, said.stdout) == (3, "")
    first, last = said.stderr.splitlines()
    assert f"belongs to another server (process {os.getpid()})" in first
    assert last.endswith("Application startup failed. Exiting.")


def test_a_server_that_was_fenced_off_writes_nothing_more(tmp_path):
    async def fenced():
        store, _ = await opened(tmp_path)
        with sqlite3.connect(tmp_path / "jobs.db") as other:
            other.execute("UPDATE fence SET number = number + 1")
        other.close()
        with pytest.raises(Unavailable, match="taken the store over"):
            await store.accept(job())
        assert store.waiting() == [("/f", 0)]
        await store.close("")

    asyncio.run(fenced())


def job(**options):
    made = Job("/f", {}, ttl_s=60)
    made.given = options
    return made


async def opened(folder, **rules):
    ledger = Ledger(folder / "jobs.db")
    store = Store(ledger)
    store.open("/f", Rules(**{"queue_size": 1000, "concurrency": 1, **rules}))
    await store.begin()
    return store, ledger


def test_a_full_disk_refuses_the_new_job_with_507_and_loses_none_of_the_accepted(serve, tmp_path, gate):
    app = FastTaskAPI(queue=f"sqlite:///{tmp_path}/jobs.db")

    @app.task_endpoint("/f")
    def f(text: str):
        gate.wait(20)
        return len(text)

    client = serve(app)
    accepted = client.post("/f", json={"text": "first"}).json()["id"]
    writer = app.store.durable._writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count={pages}")
    refused = client.post("/f", json={"text": "x" * 30_000})
    assert refused.status_code == 507
    assert refused.json() == {"detail": "The job could not be stored: database or disk is full."}
    gate.set()
    writer.execute("PRAGMA max_page_count=100000")
    assert client.get(f"/status/{accepted}?wait=20").json()["result"] == len("first")
    assert client.post("/f", json={"text": "x" * 30_000}, headers={"prefer": "wait=20"}).json()["result"] == 30_000


def test_an_end_that_the_disk_refuses_is_written_as_soon_as_there_is_room(tmp_path, caplog):
    async def full():
        store, ledger = await opened(tmp_path)
        one = job()
        await store.accept(one)
        store.start("/f")
        pages = ledger._writer.execute("PRAGMA page_count").fetchone()[0]
        ledger._writer.execute(f"PRAGMA max_page_count={pages}")
        store.finish(one, Outcome(state=State.SUCCEEDED, result="x" * 40_000))
        with pytest.raises(Unavailable):
            await store.accept(job(text="y" * 40_000))
        assert one.state is State.RUNNING
        ledger._writer.execute("PRAGMA max_page_count=100000")
        await store.ended(one, 20)
        await store.close("")
        return one.state

    assert asyncio.run(full()) is State.SUCCEEDED
    assert "cannot be written and is tried again: database or disk is full" in caplog.text


def test_a_clock_that_jumps_neither_drops_results_nor_keeps_them_for_ever(tmp_path, monkeypatch):
    async def jump(by_s):
        store, _ = await opened(tmp_path)
        one = job()
        await store.accept(one)
        store.finish(store.start("/f"), QUICK)
        await store.ended(one, 20)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + by_s)
        assert (await store.get(one.id)).outcome.result == 1
        await store.close("")
        again, _ = await opened(tmp_path)
        rest = max(at for at, name in again.expiry.moments if name == one.id) - time.monotonic()
        monkeypatch.undo()
        await again.close("")
        return rest

    assert asyncio.run(jump(-1_000_000)) <= 60
    assert asyncio.run(jump(30)) <= 31


def test_expired_jobs_leave_the_disk_with_their_files(tmp_path):
    async def expire():
        store, ledger = await opened(tmp_path)
        one = Job("/f", {}, ttl_s=0.05, folder=store.folder())
        one.given = {"file": File.from_bytes(b"x" * 100_000, name="a")}
        await store.accept(one)
        assert list(ledger.files.iterdir())
        store.finish(store.start("/f"), QUICK)
        await store.ended(one, 20)
        while len(store):  # noqa: ASYNC110 - nobody is told when a result expires
            await asyncio.sleep(0.01)
        assert await store.get(one.id) is None
        await store.close("")
        assert not list(ledger.files.iterdir())

    asyncio.run(expire())


def test_a_job_whose_endpoint_or_arguments_are_no_more_ends_with_the_reason(tmp_path):
    def refuse(given, _):
        raise ValueError(f"no {given['n']}")

    async def renew():
        store, _ = await opened(tmp_path)
        store.open("/gone", Rules(queue_size=1, concurrency=1))
        gone, wrong = Job("/gone", {}, ttl_s=60), job(n=1)
        await store.accept(gone)
        await store.accept(wrong)
        await store.close("")
        again, _ = await opened(tmp_path, revive=refuse)
        errors = [(await again.get(one.id)).outcome.error for one in (gone, wrong)]
        await again.close("")
        return errors

    assert asyncio.run(renew()) == [
        "The server was started anew without /gone.",
        "The server was started anew, and /f does not take the arguments any more: no 1",
    ]


def test_a_cancelled_waiting_job_stays_cancelled_after_a_restart(tmp_path):
    async def cancel():
        store, _ = await opened(tmp_path)
        one = job()
        await store.accept(one)
        store.cancel(one)
        await store.settled(one)
        await store.close("")
        again, _ = await opened(tmp_path)
        found = (await again.get(one.id)).state, again.start("/f")
        await again.close("")
        return found

    assert asyncio.run(cancel()) == (State.CANCELLED, None)


def test_progress_and_log_outlive_a_restart_and_the_revision_is_new(tmp_path):
    async def note():
        store, _ = await opened(tmp_path, idempotent=True)
        one = job()
        await store.accept(one)
        store.start("/f")
        store.update(one, progress=0.25, message="at it", line="begun")
        seen = one.revision
        await store.close("")
        again, _ = await opened(tmp_path, idempotent=True)
        found = (await again.get(one.id)).snapshot()
        await again.close("")
        assert int(found.data["rev"]) > seen
        return found.progress, found.message, found.logs

    assert asyncio.run(note()) == (0.25, "at it", ("begun",))


def test_marks_are_read_by_the_next_owner_and_places_are_used_again(tmp_path):
    marks = Marks(tmp_path / "m", 2)
    first, second, third = (f"{n:032x}" for n in (1, 2, 3))
    marks.put(first, 1)
    marks.put(second, 4)
    marks.remove(first)
    marks.put(third, 2)
    assert Marks.left(tmp_path / "m") == {second: 4, third: 2}
    marks.close()
    assert Marks.left(tmp_path / "nowhere") == {}


def test_ended_jobs_leave_the_memory(tmp_path):
    async def many():
        store, _ = await opened(tmp_path)
        for _ in range(MOST_RECENT + 50):
            await store.accept(job())
            one = store.start("/f")
            store.finish(one, QUICK)
            await store.ended(one, 20)
        sizes = len(store._jobs), len(store)
        await store.close("")
        return sizes

    assert asyncio.run(many()) == (MOST_RECENT, MOST_RECENT + 50)


def test_a_server_that_is_killed_while_it_makes_its_tables_leaves_a_queue_that_opens(tmp_path):
    path = tmp_path / "jobs.db"
    half_made = database.connect(path)
    script, committed, _ = database._SCHEMA.rpartition("COMMIT;")
    assert committed
    half_made.executescript(script)
    half_made.close()  # as the end of a process does
    connection = database.connect(path)
    assert database.prepare(connection) == 1
    connection.close()


def test_what_is_left_of_a_job_that_was_never_stored_is_not_taken_for_the_end_of_another(tmp_path):
    async def lose_one():
        store, ledger = await opened(tmp_path)
        lost = Job("/f", {}, ttl_s=60, folder=store.folder())
        lost.given = b'"' + b"x" * 100_000 + b'"'
        ledger.files.rmdir()  # it cannot be written, as on a full disk
        arriving = asyncio.create_task(store.accept(lost))
        await asyncio.sleep(0)
        arriving.cancel()  # its client has gone
        await asyncio.wait([arriving])
        assert arriving.cancelled()
        await store.settled(lost)
        await store.close("")

    async def run_another():
        store, _ = await opened(tmp_path)
        one = job()
        await store.accept(one)
        store.finish(store.start("/f"), QUICK)
        await store.ended(one, 20)
        await store.close("")
        again, _ = await opened(tmp_path)
        found = (await again.get(one.id)).outcome
        await again.close("")
        return found

    asyncio.run(lose_one())
    assert asyncio.run(run_another()) == QUICK


def test_progress_of_a_forgotten_job_is_not_taken_for_that_of_another(tmp_path, monkeypatch):
    monkeypatch.setattr("farcall_server.ledger.NOTE_S", 60)  # its result goes before its progress is written

    async def forget_one():
        store, _ = await opened(tmp_path, concurrency=2)
        kept, forgotten = job(), Job("/f", {}, ttl_s=0)
        await store.accept(kept)
        await store.accept(forgotten)
        store.start("/f")
        store.start("/f")
        store.update(forgotten, message="of the forgotten one")
        store.finish(forgotten, QUICK)
        while len(store) > 1:  # noqa: ASYNC110 - nobody is told when a result expires
            await asyncio.sleep(0.01)
        store.finish(kept, QUICK)
        await store.ended(kept, 20)
        await store.close("")

    async def wait_with_another():
        store, _ = await opened(tmp_path)
        one = job()
        await store.accept(one)
        await store.close("")
        again, _ = await opened(tmp_path)
        found = (await again.get(one.id)).message
        await again.close("")
        return found

    asyncio.run(forget_one())
    assert asyncio.run(wait_with_another()) is None
