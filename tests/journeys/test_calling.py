"""A user calls a service on their own machine: the public face, blocking and asynchronous."""

import asyncio
import datetime as dt
import decimal
import inspect
import json
import pydoc
import subprocess
import sys
import uuid

import farcall
import numpy as np
import pytest
from farcall import errors
from farcall.jobs import JobRef

from journeys.fries import Colour, Model, Point


def test_a_service_is_found_out_and_its_endpoints_are_functions(svc):
    assert svc.binding.provider == "fasttaskapi"
    assert list(svc.endpoints) == [
        "make_fries",
        "add",
        "count",
        "boom",
        "wait_at_gate",
        "turn",
        "sizes",
        "echo",
        "typed",
        "plain",
    ]
    assert str(inspect.signature(svc.add)) == "(a: int, b: int = 1)"
    assert repr(svc.add) == "add(a: int, b: int = 1)"
    assert "make_fries" in dir(svc)
    assert "Make fries, step by step." in pydoc.render_doc(svc.make_fries)


def test_a_call_waits_for_its_result(svc):
    assert svc.add(a=1, b=2) == 3
    assert svc.add(1, 2) == 3
    assert svc.add("4") == 5
    assert svc.plain(q="hé & co") == {"q": "hé & co"}
    assert svc["/make_fries"](name="krinkle") == "1 portions of krinkle"
    assert svc["make_fries"].name == svc["/Make-Fries"].name == "make_fries"


def test_a_job_tells_each_change_and_its_result(svc):
    job = svc.make_fries.submit(name="krinkle", amount=2)
    seen = list(job.events())
    assert seen[-1].state is farcall.State.SUCCEEDED
    assert [s.progress for s in seen] == sorted((s.progress for s in seen), key=lambda p: -1 if p is None else p)
    assert job.result(timeout_s=60) == "2 portions of krinkle"
    assert (job.done(), job.exception(), job.progress, job.state) == (True, None, 1.0, "succeeded")
    assert list(job.events()) == [seen[-1]]
    assert list(job.stream()) == []


def test_properties_never_block_and_know_the_latest(svc, app):
    job = svc.wait_at_gate.submit()
    assert (job.state, job.done()) == ("queued", False)
    for snapshot in job.events():
        if snapshot.message == "at the gate":
            break
    assert (job.state, job.progress, job.message, job.logs) == ("running", 0.5, "at the gate", ())
    assert job.id is not None
    app.gate.set()
    assert job.result() == "through"


def test_a_failed_job_raises_with_the_remote_traceback(svc):
    job = svc.boom.submit(text="x")
    with pytest.raises(errors.JobFailed, match="boom failed: ValueError: kaput x") as caught:
        job.result()
    assert caught.value.job is job
    assert caught.value.error_type == "ValueError"
    assert "raise ValueError" in caught.value.traceback
    assert isinstance(job.exception(), errors.JobFailed)
    assert list(job.events())[-1].state is farcall.State.FAILED


def test_the_end_of_our_patience_leaves_the_job_running(svc, app):
    with pytest.raises(errors.WaitTimeout) as caught:
        svc.wait_at_gate.options(timeout_s=0.2)()
    assert isinstance(caught.value, TimeoutError)
    job = caught.value.job
    with pytest.raises(errors.WaitTimeout):
        job.result(timeout_s=0.05)
    app.gate.set()
    assert job.result(timeout_s=10) == "through"


def test_a_running_job_and_a_queued_one_are_cancelled(svc):
    jobs = [svc.wait_at_gate.submit() for _ in range(9)]
    farcall.gather([], return_exceptions=True)
    for job in jobs:
        job.ref()
    snapshot = jobs[-1].cancel()
    assert snapshot.state is farcall.State.CANCELLED
    jobs[0].cancel()
    with pytest.raises(errors.JobCancelled):
        jobs[0].result(timeout_s=10)
    for job in jobs[1:-1]:
        job.cancel()


def test_a_job_is_taken_up_again_in_another_process(svc, url, app):
    ref = svc.wait_at_gate.submit().ref()
    assert json.loads(ref)["endpoint"] == "wait_at_gate"
    app.gate.set()
    program = f"import farcall, sys; print(farcall.connect({url!r}).attach(sys.argv[1]).result(20))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, ref], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("through\n", "")


def test_another_services_job_is_refused(svc):
    with pytest.raises(errors.UsageError, match="Connect to the job's service"):
        svc.attach(JobRef(provider="x", url="http://h", endpoint="e", id="1").dump())
    with pytest.raises(errors.UsageError, match="no job reference"):
        svc.attach("nonsense")


def test_many_jobs_at_once_lose_none(svc):
    jobs = [svc.add.submit(a=n) for n in range(500)]
    assert farcall.gather(jobs) == [n + 1 for n in range(500)]
    assert {job.result() for job in farcall.as_completed(jobs)} == set(range(1, 501))


def test_jobs_come_as_they_end(svc, app):
    slow = svc.wait_at_gate.submit()
    fast = svc.add.submit(a=1)
    completed = farcall.as_completed([slow, fast])
    assert next(completed) is fast
    app.gate.set()
    assert next(completed) is slow
    waiting = svc.wait_at_gate.submit()
    waiting.result()
    with pytest.raises(errors.JobFailed) as caught:
        farcall.gather([waiting, failed := svc.boom.submit(text="x")])
    assert caught.value.job is failed
    assert isinstance(farcall.gather([failed], return_exceptions=True)[0], errors.JobFailed)


def test_files_go_in_and_come_out(svc, tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes(bytes(range(256)) * 2000)
    turned = svc.turn(img=photo)
    assert (turned.name, turned.media_type, turned.size) == ("photo.png", "image/png", 512_000)
    assert turned.read() == photo.read_bytes()[::-1]
    folder = tmp_path / "out"
    folder.mkdir()
    assert turned.save(folder) == folder / "photo.png"
    assert (folder / "photo.png").read_bytes() == photo.read_bytes()[::-1]
    assert [p.name for p in folder.iterdir()] == ["photo.png"]
    with turned.open() as stream, photo.open("rb") as source:
        assert stream.read(10) == turned.read()[:10]
        assert svc.turn(source, times=2).read() == photo.read_bytes()
    assert svc.turn(str(photo)).size == 512_000
    assert svc.turn(b"abc").read() == b"cba"
    assert svc.turn(turned).read() == photo.read_bytes()
    assert svc.turn(farcall.File.from_bytes(b"", name="empty.txt")).read() == b""


def test_several_files_and_a_file_inside_a_result(svc):
    result = svc.sizes(imgs=[b"a", b"bc", farcall.File.from_bytes(b"def")])
    assert result["sizes"] == [1, 2, 3]
    assert result["first"].read() == b"a"


def test_values_that_pydantic_can_write_are_written(svc):
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    given = {
        "time": moment,
        "id": uuid.UUID(int=1),
        "colour": Colour.RED,
        "point": Point(1),
        "model": Model(when=dt.date(2026, 1, 2)),
        "money": decimal.Decimal("1.50"),
        "number": np.float32(0.5),
        "array": np.arange(3),
    }
    assert svc.echo(value=given) == {
        "time": "2026-01-02T03:04:05Z",
        "id": "00000000-0000-0000-0000-000000000001",
        "colour": "red",
        "point": {"x": 1},
        "model": {"when": "2026-01-02"},
        "money": "1.50",
        "number": 0.5,
        "array": [0, 1, 2],
    }
    assert svc.add(a=np.int64(3)) == 4


def test_a_number_that_json_cannot_say_is_named_and_nothing_is_sent(svc):
    with pytest.raises(errors.InputError, match=r"^echo: 'value' cannot be written as JSON"):
        svc.echo(value={"share": [float("nan")]})


def test_a_value_of_the_functions_own_type_is_taken(svc):
    day = Model(when=dt.date(2026, 1, 2))
    assert svc.typed(colour=Colour.RED, point=Point(1), models=[day, {"when": "2026-01-03"}]) == [
        "red",
        1,
        ["2026-01-02", "2026-01-03"],
    ]
    with pytest.raises(errors.InputError, match="colour cannot be 'blue'"):
        svc.typed(colour="blue", point=Point(1), models=[])


def test_a_binding_with_endpoints_needs_no_discovery(url):
    binding = farcall.Binding(
        provider="fasttaskapi",
        url=url,
        endpoints=[farcall.EndpointSpec(path="/add", parameters={"a": int, "b": int})],
    )
    with farcall.connect(binding) as svc:
        assert svc.add(a=1, b=2) == 3
        assert svc.add.submit(1, 2).result() == 3
        assert farcall.gather([svc.add.submit(n, 1) for n in range(50)]) == list(range(1, 51))


def test_a_configured_service_is_called_by_its_name(url, own_home):
    (own_home / "farcall.toml").write_text(
        f"""
        [services.kitchen]
        provider = "fasttaskapi"
        url = "http://127.0.0.1:9"
        [[services.kitchen.endpoints]]
        path = "/add"
        parameters.a = {{type = "integer"}}
        parameters.b = {{type = "integer", default = 1, place = "query"}}
        [services.kitchen.profiles.here]
        url = "{url}"
        """
    )
    with farcall.connect("kitchen", profile="here") as svc:
        assert repr(svc.add) == "add(a: int, b: int = 1)"
        assert svc.add(a=2) == 3
    with pytest.raises(errors.UsageError, match="Did you mean 'kitchen'"):
        farcall.connect("kitchn")


def test_a_misspelt_option_is_named_and_a_wrong_endpoint_too(url):
    with pytest.raises(errors.ConfigError, match="no option 'urll'"):
        farcall.connect(url, urll=1)
    with pytest.raises(errors.ConfigError, match="no option 'timeout'"):
        farcall.connect(url, provider="fasttaskapi", timeout=1)
    with pytest.raises(errors.ConfigError, match="'/add' is wrong: parameters"):
        farcall.Binding(
            provider="fasttaskapi", url=url, endpoints=[{"path": "/add", "parameters": {"a": {"type": "intt"}}}]
        )
    with pytest.raises(errors.ConfigError, match=r"no \[storages\.media\]"):
        farcall.connect(url, storage="media", provider="fasttaskapi")
    spec = farcall.EndpointSpec(path="/add", parameters={"a": farcall.Parameter(int, place="query")})
    assert spec.parameters["a"].place == "query"


def test_an_app_in_this_process_is_called_without_a_socket(app):
    with farcall.connect(app) as svc:
        assert svc.add(a=1) == 2
        assert svc.make_fries(name="x") == "1 portions of x"
        assert svc.turn(img=b"ab").read() == b"ba"


def test_the_asynchronous_face_does_the_same(url, app):
    async def main():
        async with farcall.connect_async(url) as svc:
            assert await svc.add(a=1, b=2) == 3
            job = await svc.make_fries.submit(name="x")
            assert [s.state async for s in job.events()][-1] == "succeeded"
            assert await job == "1 portions of x"
            assert await svc["/add"].options(timeout_s=5)(a=1) == 2
            file = await svc.turn(img=b"abc")
            assert isinstance(file, farcall.AsyncFile)
            assert await file.read() == b"cba"
            jobs = [await svc.add.submit(a=n) for n in range(100)]
            assert await farcall.gather_async(jobs) == list(range(1, 101))
            assert len([job async for job in farcall.as_completed_async(jobs)]) == 100
            waiting = await svc.wait_at_gate.submit()
            ref = await waiting.ref()
            with pytest.raises(errors.WaitTimeout):
                await waiting.result(timeout_s=0.05)
            assert (await waiting.cancel()).state in {"running", "cancelled"}
            with pytest.raises(errors.JobCancelled):
                await svc.attach(ref)
            with pytest.raises(errors.JobFailed) as caught:
                await svc.boom(text="x")
            assert isinstance(caught.value.job, farcall.AsyncJob)
        with pytest.raises(errors.UsageError, match="closed"):
            await svc.add(a=1)
        plain = await farcall.connect_async(url)
        assert await plain.add(a=1) == 2
        await plain.close()

    asyncio.run(main())


def test_cancelling_an_await_does_not_cancel_the_job(url, app):
    async def main():
        async with farcall.connect_async(url) as svc:
            job = await svc.wait_at_gate.submit()
            waiting = asyncio.ensure_future(job.result())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            app.gate.set()
            assert await job == "through"

    asyncio.run(main())


def test_a_wrong_argument_is_named_and_nothing_is_sent(svc):
    with pytest.raises(errors.InputError, match="add: a cannot be 'x'"):
        svc.add(a="x")
    with pytest.raises(errors.InputError, match=r"'a' is missing.*It is add\(a: int, b: int = 1\)"):
        svc.add()
    with pytest.raises(errors.InputError, match="did you mean 'amount'"):
        svc.make_fries(name="x", amout=2)
    with pytest.raises(errors.InputError, match="at most 2 arguments"):
        svc.add(1, 2, 3)
    with pytest.raises(errors.UnknownEndpoint, match="Did you mean 'make_fries'"):
        svc.make_frys  # noqa: B018
    with pytest.raises(AttributeError):
        svc.nothing  # noqa: B018
    with pytest.raises(KeyError):
        svc["/nothing"]
    with pytest.raises(errors.UsageError, match="Did you mean 'timeout_s'"):
        svc.add.options(timeout=5)


def test_a_missing_file_and_a_folder_are_errors_before_anything_is_sent(svc, tmp_path):
    with pytest.raises(errors.InputError, match="No such file"):
        svc.turn(img=tmp_path / "nothing.png")
    with pytest.raises(errors.InputError, match="is a folder"):
        svc.turn(img=str(tmp_path))
    with (tmp_path / "text").open("w+") as text, pytest.raises(errors.InputError, match="open as text"):
        svc.turn(img=text)
    with pytest.raises(errors.InputError, match="is no file"):
        svc.turn(img=17)
    with pytest.raises(errors.InputError, match="file stands where"):
        svc.echo(value={"f": farcall.File.from_bytes(b"x")})
