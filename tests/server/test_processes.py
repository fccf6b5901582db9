"""A function in a process of its own: it can be killed, may crash, and takes nothing else along."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest
from farcall.errors import UsageError
from farcall_fasttaskapi.envelope import MEDIA_TYPE
from farcall_server import FastTaskAPI

OWN = {"accept": MEDIA_TYPE}
NOW = {**OWN, "prefer": "wait=30"}

SERVICE = """
import asyncio, os, pathlib, signal, subprocess, sys, time
from farcall_server import FastTaskAPI, File, JobProgress
from pydantic import BaseModel

app = FastTaskAPI(queue={queue!r}, shutdown_grace_s=0.2)
place = pathlib.Path({place!r})
with (place / "loaded").open("a") as out:
    out.write(f"{{__name__}}\\n")

class Point(BaseModel):
    x: int

def until(name):
    while not (place / name).exists():
        time.sleep(0.005)

@app.task_endpoint("/pid", isolation="process")
def pid() -> int:
    return os.getpid()

@app.task_endpoint("/both", isolation="process", concurrency=2)
def both(n: int) -> int:
    (place / f"both{{n}}").touch()
    until(f"both{{1 - n}}")
    return os.getpid()

@app.task_endpoint("/told", isolation="process")
def told(job_progress: JobProgress):
    job_progress.set_status(0.5, "half")
    job_progress.log("a line")
    until("told")

@app.task_endpoint("/many", isolation="process")
def many(job_progress: JobProgress):
    for i in range(10_000):
        job_progress.set_status(i / 10_000)

@app.task_endpoint("/die", isolation="process")
def die(how: str):
    if how == "exit":
        os._exit(3)
    if how == "sys.exit":
        sys.exit(4)
    if how == "raise":
        raise ValueError("kaput")
    if how == "odd":
        return object()
    if how != "not":
        os.kill(os.getpid(), getattr(signal, how))
    return os.getpid()

@app.task_endpoint("/again", isolation="process", retries=1, backoff_s=0)
def again():
    if not (place / "again").exists():
        (place / "again").touch()
        os._exit(1)
    return "second"

@app.task_endpoint("/polite", isolation="process", cancel_grace_s=60)
def polite(job_progress: JobProgress):
    job_progress.set_status(0.1, str(os.getpid()))
    while True:
        job_progress.raise_if_cancelled()

@app.task_endpoint("/deaf", isolation="process", cancel_grace_s=0.1)
def deaf(job_progress: JobProgress, stop: bool = False):
    if stop:
        return os.getpid()
    sleeper = subprocess.Popen(["sleep", "1000"])
    job_progress.set_status(0.1, f"{{os.getpid()}} {{sleeper.pid}}")
    while True:
        pass

@app.task_endpoint("/late", isolation="process", cancel_grace_s=0.1, timeout_s=3)
def late(stop: bool = False):
    while not stop:
        pass
    return os.getpid()

@app.task_endpoint("/waits", isolation="process", cancel_grace_s=60)
async def waits(job_progress: JobProgress):
    job_progress.set_status(0.1, "waiting")
    await asyncio.sleep(1000)

@app.task_endpoint("/adds", isolation="process")
async def adds(a: int, point: Point):
    await asyncio.sleep(0)
    return a + point.x

@app.task_endpoint("/count", isolation="process")
def count(n: int):
    for i in range(n):
        until("go") if i == 1 else None
        yield i

@app.task_endpoint("/acount", isolation="process")
async def acount(n: int):
    for i in range(n):
        yield {{"piece": str(i).encode()}}

@app.task_endpoint("/endless", isolation="process", cancel_grace_s=60)
def endless():
    while True:
        yield 0

@app.task_endpoint("/file", isolation="process")
def file(photo: File, times: int = 2) -> File:
    return File.from_bytes(photo.read() * times, name="out.bin")

app.start(port=0)
"""


class Service:
    """A server whose program calls `app.start()` unguarded, in a process of its own."""

    def __init__(self, place, queue="memory://"):
        self.place = place
        script = place / "service.py"
        script.write_text(SERVICE.format(place=str(place), queue=queue))
        self.start([sys.executable, str(script)])

    def start(self, command, **options):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
        said = self.process.stdout.readline()
        self.client = httpx.Client(base_url=re.search(r"http://\S+?:\d+", said)[0], timeout=60)

    def now(self, path, **arguments):
        return self.client.post(path, json=arguments, headers=NOW).json()

    def begun(self, path, **arguments):
        """A job that has said something of itself."""
        job = self.client.post(path, json=arguments, headers=OWN).json()
        while "message" not in job:
            job = self.look(job, seen=job["data"]["rev"])
        return job

    def look(self, job, seen=""):
        return self.client.get(
            f"/status/{job['id']}", params={"wait": 30, "seen": seen} if seen else {}, headers=OWN
        ).json()

    def end(self, job):
        while job["state"] in {"queued", "running"}:
            job = self.look(job, seen=job["data"]["rev"])
        return job

    def stop(self):
        self.client.close()
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = Service(tmp_path_factory.mktemp("shared"))
    yield made
    made.stop()


@pytest.fixture
def own(tmp_path):
    made = Service(tmp_path, queue=f"sqlite:///{tmp_path}/jobs.db")
    yield made
    made.stop()


def gone(pid):
    """Return once there is no such process, or only its remains."""
    for _ in range(2000):
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


def test_it_runs_in_another_process_which_loads_the_module_once_and_stays(shared):
    pids = {shared.now("/pid")["result"] for _ in range(3)}
    assert len(pids) == 1
    assert not pids & {shared.process.pid, os.getpid()}
    before = (shared.place / "loaded").read_text()
    shared.now("/pid")
    assert (shared.place / "loaded").read_text() == before
    assert before.split().count("__main__") == 1


def test_as_many_processes_as_may_run_at_once_run_at_once(shared):
    jobs = [shared.client.post("/both", json={"n": n}, headers=OWN).json() for n in (0, 1)]
    assert len({shared.end(job)["result"] for job in jobs}) == 2


def test_progress_and_log_arrive_while_it_runs(shared):
    job = shared.begun("/told")
    assert (job["state"], job["progress"], job["message"]) == ("running", 0.5, "half")
    (shared.place / "told").touch()
    assert shared.end(job)["logs"] == ["a line"]


def test_ten_thousand_updates_are_told_and_the_end_wins(shared):
    job = shared.now("/many")
    assert (job["state"], job["progress"]) == ("succeeded", 1.0)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", "The worker process ended with exit code 3 while it ran the function."),
        ("SIGKILL", "The worker process was killed by SIGKILL while it ran the function."),
        ("SIGSEGV", "The worker process was killed by SIGSEGV while it ran the function."),
        ("sys.exit", "The function ended with SystemExit(4)."),
        ("raise", "kaput"),
        ("odd", "The result cannot be sent: result is a object, which JSON cannot say."),
    ],
)
def test_a_function_that_crashes_its_process_fails_its_job_with_the_reason_and_the_next_one_runs(shared, how, said):
    job = shared.now("/die", how=how)
    assert (job["state"], job["error"]["message"]) == ("failed", said)
    assert shared.now("/die", how="not")["state"] == "succeeded"


def test_the_traceback_begins_in_the_users_function(shared):
    shown = shared.now("/die", how="raise")["error"]["traceback"]
    assert "service.py" in shown
    assert "farcall_server" not in shown


def test_a_process_that_crashed_is_tried_again_as_often_as_retries_allow(shared):
    assert shared.now("/again")["result"] == "second"


def test_a_function_that_looks_ends_as_cancelled_and_its_process_stays(shared):
    jobs = []
    for _ in range(2):
        jobs.append(shared.begun("/polite"))
        shared.client.post(f"/cancel/{jobs[-1]['id']}")
        assert shared.end(jobs[-1])["state"] == "cancelled"
    assert jobs[0]["message"] == jobs[1]["message"]


def test_a_function_that_does_not_look_is_killed_with_what_it_has_started(shared):
    job = shared.begun("/deaf")
    child, sleeper = job["message"].split()
    shared.client.post(f"/cancel/{job['id']}")
    assert shared.end(job)["state"] == "cancelled"
    assert gone(child)
    assert gone(sleeper)
    assert shared.now("/deaf", stop=True)["result"] != int(child)


def test_a_function_that_runs_too_long_is_killed_and_its_place_is_free_again(shared):
    assert shared.now("/late")["state"] == "timed_out"
    assert shared.now("/late", stop=True)["state"] == "succeeded"


def test_an_asynchronous_function_is_cancelled_where_it_waits(shared):
    assert shared.now("/adds", a=1, point={"x": 2})["result"] == 3
    job = shared.begun("/waits")
    shared.client.post(f"/cancel/{job['id']}")
    assert shared.end(job)["state"] == "cancelled"


def test_wrong_arguments_are_refused_before_a_process_sees_them(shared):
    assert shared.client.post("/adds", json={"a": "x", "point": {}}).status_code == 422


def test_a_generators_pieces_arrive_one_by_one(shared):
    job = shared.client.post("/count", json={"n": 3}, headers=OWN).json()
    seen = []
    with shared.client.stream("GET", f"/stream/{job['id']}") as reply:
        name = ""
        for line in reply.iter_lines():
            name = line.partition(": ")[2] if line.startswith("event: ") else name if line else ""
            if line.startswith("data: ") and not name:
                seen.append(line.removeprefix("data: "))
                (shared.place / "go").touch()
    assert seen == ["0", "1", "2"]
    assert shared.end(job)["result"] == [0, 1, 2]


def test_an_asynchronous_generators_pieces_may_hold_files(shared):
    job = shared.now("/acount", n=2)
    assert [shared.client.get(file["url"]).content for file in job["files"]] == [b"0", b"1"]


def test_a_tight_endless_generator_is_stopped_at_its_next_piece(shared):
    job = shared.client.post("/endless", headers=OWN).json()
    with shared.client.stream("GET", f"/stream/{job['id']}") as reply:
        assert any(line == "data: 0" for line in reply.iter_lines())
    shared.client.post(f"/cancel/{job['id']}")
    assert shared.end(job)["state"] == "cancelled"


@pytest.mark.parametrize("size", [10, 200_000])
def test_files_go_in_and_come_out(own, size):
    job = own.client.post("/file", files={"photo": ("a", b"x" * size)}, data={"times": 3}, headers=NOW).json()
    assert own.client.get(job["files"][0]["url"]).content == b"x" * size * 3


def test_a_killed_servers_processes_die_with_it(own):
    job = own.begun("/deaf")
    own.process.kill()
    assert gone(job["message"].split()[0])


def test_a_call_that_waited_for_a_process_runs_after_a_kill_and_the_running_one_fails_with_the_reason(own):
    running = own.begun("/deaf")
    waiting = own.client.post("/deaf", json={"stop": True}, headers=OWN).json()
    own.stop()
    own.start([sys.executable, str(own.place / "service.py")])
    assert own.end(own.look(running))["error"]["message"] == "server stopped while running"
    assert own.end(own.look(waiting))["state"] == "succeeded"


def test_a_server_that_stops_leaves_no_process_behind(own):
    idle, busy = own.now("/pid")["result"], own.begun("/deaf")["message"].split()
    own.process.send_signal(signal.SIGTERM)
    assert own.process.wait(30) == 0
    assert gone(idle)
    assert [gone(pid) for pid in busy] == [True, True]


def test_a_module_that_cannot_be_loaded_there_fails_the_job_with_the_reason(tmp_path):
    broken = Service.__new__(Service)
    script = tmp_path / "broken.py"
    script.write_text(
        "from farcall_server import FastTaskAPI\n"
        "if __name__ != '__main__':\n    raise ImportError('no such device')\n"
        "app = FastTaskAPI(queue='memory://')\n"
        "@app.task_endpoint('/f', isolation='process')\ndef f(): pass\n"
        "app.start(port=0)\n"
    )
    broken.start([sys.executable, str(script)])
    try:
        error = broken.now("/f")["error"]
    finally:
        broken.stop()
    assert error["message"] == "The worker process could not load the function's module: no such device"
    assert "broken.py" in error["traceback"]


def test_a_program_of_a_package_and_a_function_of_another_module_are_found(tmp_path):
    (tmp_path / "kitchen").mkdir()
    (tmp_path / "kitchen" / "__init__.py").touch()
    (tmp_path / "kitchen" / "recipes.py").write_text("def fry(n: int) -> str:\n    return f'{n} fries'\n")
    (tmp_path / "kitchen" / "serve.py").write_text(
        "from farcall_server import FastTaskAPI\n"
        "from .recipes import fry\n"
        "app = FastTaskAPI(queue='memory://')\n"
        "app.task_endpoint('/fry', isolation='process')(fry)\n"
        "@app.task_endpoint('/boil', isolation='process')\ndef boil(n: int) -> str:\n    return fry(n) + ' boiled'\n"
        "if __name__ == '__main__':\n    app.start(port=0)\n"
    )
    service = Service.__new__(Service)
    service.start([sys.executable, "-m", "kitchen.serve"], cwd=tmp_path)
    try:
        assert service.now("/fry", n=2)["result"] == "2 fries"
        assert service.now("/boil", n=2)["result"] == "2 fries boiled"
    finally:
        service.stop()


# --- what is refused


def nested():
    def inner():
        pass

    return inner


class Callable:
    def __call__(self):
        pass


@pytest.mark.parametrize("function", [lambda: 1, nested(), Callable()])
def test_a_function_that_no_process_can_find_is_refused_with_a_sentence(function):
    with pytest.raises(UsageError, match="Write it with def at the top of a module"):
        FastTaskAPI().task_endpoint("/f", isolation="process")(function)


def test_a_function_that_was_typed_in_is_refused_with_a_sentence():
    program = (
        "from farcall_server import FastTaskAPI\n"
        "@FastTaskAPI().task_endpoint('/f', isolation='process')\ndef f(): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "cannot find a function that was typed in" in done.stderr


def plain():
    pass


async def asynchronous():
    pass


@pytest.mark.parametrize(
    ("function", "isolation", "sentence"),
    [
        (plain, "async", r'is a def, which runs on a thread: write isolation="thread", or "process"'),
        (asynchronous, "thread", r'is an async def, which runs on the event loop: write isolation="async"'),
        (plain, "fiber", "isolation is 'fiber'; it must be"),
    ],
)
def test_a_kind_of_isolation_that_does_not_fit_is_refused(function, isolation, sentence):
    with pytest.raises(UsageError, match=sentence):
        FastTaskAPI().task_endpoint("/f", isolation=isolation)(function)


@pytest.mark.parametrize(("function", "isolation"), [(plain, "thread"), (asynchronous, "async")])
def test_each_kind_may_be_named(function, isolation):
    assert FastTaskAPI().task_endpoint("/f", isolation=isolation)(function) is function


def test_a_served_app_in_this_process_runs_a_modules_function_there_too(serve, app, tmp_path, monkeypatch):
    (tmp_path / "farm.py").write_text("import os\ndef where(): return os.getpid()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import farm

    app.task_endpoint("/where", isolation="process")(farm.where)
    client = serve(app)
    pids = [client.post("/where", headers=NOW).json()["result"] for _ in range(2)]
    assert pids[0] == pids[1] != os.getpid()
    client.server.stop()
    assert gone(pids[0])
    assert not [thread for thread in threading.enumerate() if thread.name == "farcall-worker-end"]
