"""A function says how far it is; the one who waits learns it, and is not flooded."""

import math
import threading
import time

import pytest
from farcall_server import JobProgress


@pytest.mark.parametrize("style", ["set_status", "private", "public"])
def test_every_style_of_saying_it_reaches_the_client(serve, app, gate, own, style):
    told = threading.Event()

    @app.task_endpoint("/f")
    def f(job_progress: JobProgress):
        if style == "set_status":
            job_progress.set_status(0.5, "half")
        elif style == "private":
            job_progress._progress = 0.5
            job_progress._message = "half"
        else:
            job_progress.progress = 0.5
            job_progress.message = "half"
        job_progress.log("a line")
        told.set()
        gate.wait(20)
        return [job_progress.progress, job_progress._message]

    client = serve(app)
    job_id = client.post("/f").json()["id"]
    assert told.wait(10)
    look = client.get(f"/status/{job_id}", headers=own).json()
    assert (look["state"], look["progress"], look["message"], look["logs"]) == ("running", 0.5, "half", ["a line"])
    gate.set()
    look = client.get(f"/status/{job_id}?wait=20", headers=own).json()
    assert (look["state"], look["progress"], look["result"]) == ("succeeded", 1.0, [0.5, "half"])


def test_without_a_server_it_remembers_and_cuts_to_its_range():
    progress = JobProgress()
    assert (progress.progress, progress.message, progress.cancelled) == (0.0, None, False)
    progress.set_status(7)
    progress.log("nowhere")
    progress.raise_if_cancelled()
    progress.set_status(message="m")
    assert (progress.progress, progress.message) == (1.0, "m")
    progress.message = None
    assert progress.message == ""
    with pytest.raises(ValueError, match="NaN"):
        progress.set_status(math.nan)


def test_the_end_wins_over_late_progress(serve, app):
    finished, late = threading.Event(), threading.Event()

    @app.task_endpoint("/f")
    def f(job_progress: JobProgress):
        def linger():
            finished.wait(20)
            job_progress.set_status(0.1, "late")
            job_progress.log("late")
            late.set()

        threading.Thread(target=linger, daemon=True).start()
        return "done"

    client = serve(app)
    first = client.post("/f", headers={"prefer": "wait=20"}).json()
    finished.set()
    assert late.wait(10)
    assert client.get(f"/status/{first['id']}").json() == first
    assert (first["status"], first["progress"]["progress"]) == ("Finished", 1.0)


def test_thousands_of_updates_a_second_leave_the_server_quick_and_are_told_at_a_pace(serve, app, gate, own):
    count = 0

    @app.task_endpoint("/f")
    def f(job_progress: JobProgress):
        nonlocal count
        while not gate.is_set():
            for _ in range(20):
                job_progress.set_status(0.5, str(count))
                count += 1
            gate.wait(0.001)

    client = serve(app)
    job = client.post("/f").json()
    seen, polls, start = "0", 0, time.monotonic()
    while time.monotonic() - start < 1.0:
        look = client.get(f"/status/{job['id']}?wait=5&seen={seen}", headers=own).json()
        seen, polls = look["data"]["rev"], polls + 1
    gate.set()
    assert count > 2000
    assert 5 < polls < 60


def test_only_the_last_thousand_log_lines_are_kept(call):
    def f(job_progress: JobProgress):
        for i in range(1500):
            job_progress.log(f"line {i}")

    logs = call(f)(json={}).json()["logs"]
    assert (len(logs), logs[-1]) == (1000, "line 1499")


def test_texts_that_are_no_unicode_can_be_asked_for(call):
    def odd(job_progress: JobProgress):
        job_progress.set_status(message="half \ud800")
        job_progress.log("\udfff")
        raise ValueError("café \ud800")

    job = call(odd)().json()
    assert (job["message"], job["logs"], job["error"]["message"]) == ("half ?", ["?"], "café ?")
