"""A generator's output takes bounded memory, waits for the disk, and can be read again as long as its job is kept."""

import asyncio
import json
import pathlib
import subprocess
import sys
import threading
import tracemalloc

import httpx
import pytest
from farcall.bodies import BytesBody
from farcall.wire import FileValue
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from farcall_server import FastTaskAPI
from farcall_server import chunks as module
from farcall_server.chunks import IN_MEMORY_BYTES, Chunks, line_of
from farcall_server.uploads import Folder

OWN = {"accept": f"text/event-stream, {MEDIA_TYPE}"}
NOW = {"accept": MEDIA_TYPE, "prefer": "wait=30"}
LARGE = "x" * 1000


async def every(chunks, seen=0):
    found = []
    while seen + len(found) < chunks.count:
        found += [chunks.value(line) for line in await chunks.read(seen + len(found))]
    return found


def filled(folder, count, make=lambda n: [n, LARGE]):
    chunks = Chunks(folder)
    chunks.begin()
    for n in range(count):
        chunks.append(line_of(make(n), folder))
        if chunks.heavy:
            chunks.spill()
    return chunks


@pytest.mark.parametrize("count", [0, 1, 10, 1000])
@pytest.mark.parametrize("where", ["", "job"])
def test_all_pieces_are_read_in_order_from_any_place(tmp_path, count, where):
    folder = Folder(tmp_path / where) if where else Folder()
    chunks = filled(folder, count)
    chunks.close()
    assert [n for n, _ in asyncio.run(every(chunks))] == list(range(count))
    for seen in {0, count // 3, max(count - 1, 0), count}:
        assert [n for n, _ in asyncio.run(every(chunks, seen))] == list(range(seen, count))
    assert [n for n, _ in chunks.whole()] == list(range(count))


def test_what_is_in_memory_is_bounded(tmp_path):
    folder = Folder(tmp_path / "job")
    tracemalloc.start()
    chunks = filled(folder, 20_000)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert chunks.path.stat().st_size > 19_000_000
    assert held < 3 * IN_MEMORY_BYTES


def test_a_reader_is_given_a_little_at_a_time(tmp_path):
    chunks = filled(Folder(tmp_path / "job"), 5000)
    lines = asyncio.run(chunks.read(0))
    assert 0 < sum(map(len, lines)) < 2 * module.READ_BYTES


def test_pieces_are_found_again_by_the_next_server_but_for_one_that_was_half_written(tmp_path):
    filled(Folder(tmp_path / "job"), 700).close()
    with (tmp_path / "job" / "chunks").open("ab") as target:
        target.write(b'V[700,"xx')
    found = Chunks.left(Folder(tmp_path / "job"))
    assert found.count == 700
    assert [n for n, _ in asyncio.run(every(found, 650))] == list(range(650, 700))
    assert Chunks.left(Folder(tmp_path / "nothing")) is None


def test_a_long_output_is_not_read_through_to_be_found_again(tmp_path, monkeypatch):
    filled(Folder(tmp_path / "job"), 700).close()
    monkeypatch.setattr(Chunks, "_index", None)  # what notes a line as it is read
    found = Chunks.left(Folder(tmp_path / "job"))
    assert found.count == 700
    assert [n for n, _ in asyncio.run(every(found, 500))] == list(range(500, 700))


@pytest.mark.parametrize("wrong", [b"", b"x" * 15, b"\x07" * 48])
def test_an_index_that_does_not_fit_is_made_anew(tmp_path, wrong):
    filled(Folder(tmp_path / "job"), 300).close()
    (tmp_path / "job" / "chunks.index").write_bytes(wrong)
    assert len(asyncio.run(every(Chunks.left(Folder(tmp_path / "job"))))) == 300


def test_a_new_run_forgets_what_a_killed_server_has_left(tmp_path):
    filled(Folder(tmp_path / "job"), 700).close()
    again = filled(Folder(tmp_path / "job"), 2)
    again.close()
    assert [n for n, _ in asyncio.run(every(Chunks.left(Folder(tmp_path / "job"))))] == [0, 1]


def test_the_result_is_the_last_runs_alone():
    chunks = filled(Folder(), 3)
    chunks.begin()
    chunks.append(line_of("a", Folder()))
    chunks.append(line_of("b", Folder()))
    assert chunks.whole() == "ab"
    assert chunks.count == 5


@pytest.mark.parametrize("spilled", [False, True])
def test_the_result_is_put_together_across_memory_and_disk(tmp_path, spilled):
    folder = Folder(tmp_path / "job")
    chunks = Chunks(folder)
    chunks.begin()
    for n in range(4):
        if n == 2 and spilled:
            chunks.spill()
        chunks.append(line_of(str(n), folder))
    assert chunks.whole() == "0123"


def test_an_output_that_is_too_large_is_streamed_only(monkeypatch):
    monkeypatch.setattr(module, "MOST_WHOLE_BYTES", 100)
    assert filled(Folder(), 1).whole() is None


def test_the_files_of_pieces_are_kept_with_them(tmp_path):
    folder = Folder(tmp_path / "job")
    big, small = b"b" * 100_000, b"s"
    chunks = filled(folder, 1, lambda _: [FileValue(name="n", body=BytesBody(body)) for body in (big, small)])
    chunks.close()
    folder.keep(chunks.paths)
    (found,) = asyncio.run(every(Chunks.left(Folder(tmp_path / "job"))))
    assert pathlib.Path(found[0].body.path).read_bytes() == big
    assert found[1].body.content == small


# --- through the server


def pieces(client, job, **headers):
    text = client.get(f"/stream/{job['id']}", headers={**OWN, **headers}).text
    found, name = [], ""
    for line in text.split("\n"):
        name = line.partition(": ")[2] if line.startswith("event: ") else name if line else ""
        if line.startswith("data: ") and not name:
            found.append(json.loads(line.removeprefix("data: ")))
    return found


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("count", [3, 2000])
def test_output_is_replayed_after_a_restart_until_the_result_is_over(serve, tmp_path, asynchronous, count):
    def make():
        app = FastTaskAPI(queue=f"sqlite:///{tmp_path}/jobs.db")

        def gen():
            for n in range(count):
                yield {"n": n, "text": LARGE}
            if count == 3:
                raise ValueError("after three")

        async def agen():
            for piece in gen():
                yield piece

        app.task_endpoint("/gen")(agen if asynchronous else gen)
        return serve(app)

    first = make()
    job = first.post("/gen", headers=NOW).json()
    assert job["state"] == ("failed" if count == 3 else "succeeded")
    assert [piece["n"] for piece in pieces(first, job)] == list(range(count))
    first.server.stop()
    second = make()
    assert [piece["n"] for piece in pieces(second, job)] == list(range(count))
    last = {"last-event-id": f"{count - 2}.0"}
    assert [piece["n"] for piece in pieces(second, job, **last)] == [count - 2, count - 1]
    assert len(pieces(second, {"id": second.post("/gen", headers=NOW).json()["id"]})) == count


def test_a_retried_generator_streams_all_its_runs_and_returns_the_last(serve, app):
    runs = []

    @app.task_endpoint("/gen", retries=1, backoff_s=0)
    def gen():
        runs.append(1)
        yield f"{len(runs)}a"
        if len(runs) == 1:
            raise ValueError
        yield f"{len(runs)}b"

    client = serve(app)
    job = client.post("/gen", headers=NOW).json()
    assert job["result"] == "2a2b"
    assert pieces(client, job) == ["1a", "2a", "2b"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_tight_generator_without_a_reader_neither_fills_the_memory_nor_holds_up_the_server(
    serve, app, asynchronous, monkeypatch
):
    monkeypatch.setattr(module, "MOST_WHOLE_BYTES", 1_000_000)
    stop, held = threading.Event(), []

    def pieces_of():
        while not stop.is_set():
            yield LARGE

    async def pieces_of_async():
        for piece in pieces_of():
            yield piece

    app.task_endpoint("/tight")(pieces_of_async if asynchronous else pieces_of)
    client = serve(app)
    job = client.post("/tight", headers={"accept": MEDIA_TYPE}).json()
    while (chunks := app.store._jobs[job["id"]].chunks).count < 20_000:
        assert client.get("/health").status_code == 200
        held.append(chunks._tail_bytes)
    stop.set()
    while job["state"] in {"queued", "running"}:
        job = client.get(f"/status/{job['id']}?wait=20", headers={"accept": MEDIA_TYPE}).json()
    assert (job["state"], job.get("result")) == ("succeeded", None)
    assert max(held) < 2 * IN_MEMORY_BYTES


def test_output_of_a_killed_server_is_not_mixed_with_that_of_the_next_run(tmp_path):
    script = tmp_path / "service.py"
    script.write_text(
        "import os, pathlib\nfrom farcall_server import FastTaskAPI\n"
        f"place = pathlib.Path({str(tmp_path)!r})\n"
        f"app = FastTaskAPI(queue='sqlite:///{tmp_path}/jobs.db')\n"
        "@app.task_endpoint('/gen', idempotent=True)\n"
        "def gen():\n"
        "    second = (place / 'killed').exists()\n"
        "    for n in range(2000):\n"
        "        yield [second, n, 'x' * 1000]\n"
        "    while not (place / 'killed').exists():\n"
        "        (place / 'reached').touch()\n"
        "app.start(port=0)\n"
    )

    def start():
        process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
        url = process.stdout.readline().split(" serves at ")[1].split()[0]
        return process, httpx.Client(base_url=url, timeout=40)

    process, client = start()
    job = client.post("/gen", headers={"accept": MEDIA_TYPE}).json()
    while not (tmp_path / "reached").exists():
        client.get(f"/status/{job['id']}")
    process.kill()
    (tmp_path / "killed").touch()
    process.communicate()
    client.close()
    process, client = start()
    try:
        client.get(f"/status/{job['id']}?wait=20")
        found, begun = pieces(client, job), [pieces(client, job, **{"last-event-id": f"{n}.0"})[0] for n in (500, 1999)]
        on = [pieces(client, job, **{"last-event-id": f"{n}.0.1"}) for n in (1998, 2000)]
    finally:
        client.close()
        process.kill()
        process.communicate()
    assert [(second, n) for second, n, _ in found] == [(True, n) for n in range(2000)]
    assert begun == [found[0]] * 2, "an event of the killed server's is none of this run"
    assert on == [found[1998:], []]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_full_disk_fails_the_job_with_the_reason_and_the_server_goes_on(serve, app, gate, asynchronous):
    def gen():
        yield "first"
        gate.wait(20)
        while True:
            yield LARGE

    async def agen():
        yield "first"
        await asyncio.to_thread(gate.wait, 20)
        while True:
            yield LARGE

    app.task_endpoint("/gen")(agen if asynchronous else gen)
    client = serve(app)
    job = client.post("/gen", headers={"accept": MEDIA_TYPE}).json()
    with client.stream("GET", f"/stream/{job['id']}", headers=OWN) as reply:
        assert any(line == 'data: "first"' for line in reply.iter_lines())
    app.store._jobs[job["id"]].chunks.path.symlink_to("/dev/full")
    gate.set()
    while job["state"] in {"queued", "running"}:
        job = client.get(f"/status/{job['id']}?wait=20", headers={"accept": MEDIA_TYPE}).json()
    assert (job["state"], job["error"]["type"]) == ("failed", "OSError")
    assert "No space left on device" in job["error"]["message"]
    assert client.get("/health").status_code == 200
