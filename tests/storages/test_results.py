"""Results too large for Runpod come back through a real storage, from real workers of its SDK."""

import asyncio
import hashlib
import threading
import time
from pathlib import Path

import farcall
import pytest
from farcall import errors
from farcall_runpod.home import Home
from farcall_runpod.watching import Marks
from farcall_runpod.worker import Worker
from farcall_server import FastTaskAPI, File
from farcall_server.inprocess import InProcess
from storages import reels

MIB = 1024 * 1024
PROGRAM = Path(reels.__file__)


@pytest.fixture
def hosted(runpod_emulator, monkeypatch, stack):
    """Connect to the service as a Runpod worker: `hosted(storage of the worker, **options of connect)`."""

    def connect(media, fetches=None, **options):
        if media is not None:
            monkeypatch.setenv("FTAPI_STORAGE", media)
        if fetches is not None:
            monkeypatch.setenv("FTAPI_FETCH_HOSTS", fetches)
        url = runpod_emulator(PROGRAM).url
        spec = reels.app.openapi()
        return stack.enter_context(farcall.connect(provider="runpod", url=url, api_key="any", spec=spec, **options))

    return connect


def lies_in(place, file):
    return file.url is not None and file.url.startswith(place.server.url)


def right(file, name, size):
    return (file.name, file.size, file.read()) == (name, size, reels.film(name, size).read())


# --- files through Runpod ---------------------------------------------------------------------------------------


def test_a_film_larger_than_runpod_takes_goes_in_and_comes_out_through_a_storage(place, film, hosted, own_home):
    media = place.configured(own_home)
    told = hosted(media, fetches="127.0.0.1", storage=media).copy(film=film)
    (backwards,) = told["films"]
    assert told["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
    assert lies_in(place, backwards)
    assert (backwards.name, backwards.size) == ("backwards.mp4", film.stat().st_size)
    assert backwards.save(own_home / "again.mp4").read_bytes() == film.read_bytes()[::-1]
    assert len(place.stored()) == 2


def test_the_callers_key_for_runpod_does_not_reach_the_storage(s3_place, film, hosted, own_home):
    proxy = s3_place.between()
    media = s3_place.configured(own_home, **s3_place.through(proxy))
    (made,) = hosted(media).films(sizes=[12 * MIB])["films"]
    assert right(made, "0.mp4", 12 * MIB)
    gets = [asked for asked in proxy.asked if asked.method == "GET" and asked.path.endswith("/0.mp4")]
    assert gets
    assert [asked.headers for asked in gets if "authorization" in {name.lower() for name in asked.headers}] == []


def test_only_the_files_that_do_not_fit_are_stored(s3_place, hosted, own_home):
    sizes = [1000, 6 * MIB, 3 * MIB, 2 * MIB, 0]
    made = hosted(s3_place.configured(own_home)).films(sizes=sizes)["films"]
    assert [lies_in(s3_place, file) for file in made] == [False, True, False, False, False]
    assert all(right(file, f"{number}.mp4", size) for number, (file, size) in enumerate(zip(made, sizes, strict=True)))


def test_a_plain_endpoints_file_comes_back_too(s3_place, hosted, own_home):
    made = hosted(s3_place.configured(own_home)).poster(size=12 * MIB)
    assert lies_in(s3_place, made)
    assert made.read() == reels.film("poster.png", 12 * MIB).read()


def test_a_result_is_deleted_by_a_later_one_once_it_has_expired(s3_place, hosted, own_home):
    media = s3_place.configured(own_home, link_s=1, expire_after_s=1)
    hosted(media).films(sizes=[12 * MIB])
    (first,) = s3_place.stored()
    over = time.time() + 1
    while time.time() < over:
        time.sleep(0.02)
    hosted(media).poster(size=12 * MIB)  # by another worker; one cleans up once a minute
    (second,) = s3_place.stored()
    assert first != second


def test_a_stream_of_films_comes_whole_however_long(s3_place, hosted, own_home):
    sizes = [
        1000,
        *[700_000] * 11,
        100_000,
        50_000,
        10_000,
        3 * MIB,
    ]  # without the last one they fill what Runpod takes
    job = hosted(s3_place.configured(own_home)).reel.submit(sizes=sizes)
    streamed = [piece["film"] for piece in job.stream()]
    for films in (streamed, [piece["film"] for piece in job.result()]):
        assert all(
            right(file, f"{number}.mp4", size) for number, (file, size) in enumerate(zip(films, sizes, strict=True))
        )
        assert [lies_in(s3_place, film) for film in (films[0], films[-1])] == [False, True]
    assert not lies_in(s3_place, streamed[1])


# --- what cannot be ---------------------------------------------------------------------------------------------


def test_a_worker_fetches_from_a_private_address_only_if_it_is_told_to(s3_place, film, hosted, own_home):
    media = s3_place.configured(own_home)
    with pytest.raises(errors.JobFailed, match=r"film: .*127\.0\.0\.1.*public") as raised:
        hosted(media, storage=media).copy(film=film)
    assert "Signature" not in str(raised.value)


def test_without_a_storage_a_large_file_fails_and_says_how_to_have_one(hosted):
    with pytest.raises(
        errors.JobFailed, match=r"16\.8 MB, and Runpod takes 10 MB: .*FastTaskAPI\(storage=…\) or FTAPI_STORAGE"
    ):
        hosted(None).films(sizes=[12 * MIB + 16])


def test_a_large_value_that_is_no_file_fails_and_says_to_make_it_one(s3_place, hosted, own_home):
    with pytest.raises(errors.JobFailed, match=r"result has 12\.0 MB, and Runpod takes 10 MB: return .* as one File"):
        hosted(s3_place.configured(own_home)).words(size=12_000_000)
    assert s3_place.stored() == []


def test_a_storage_that_does_not_take_the_file_fails_the_job_with_the_reason(place, hosted, own_home):
    svc = hosted(place.configured(own_home, **place.wrong_key))
    with pytest.raises(errors.JobFailed, match=r"'0\.mp4' could not be put into the app's storage: .*wrong") as raised:
        svc.films(sizes=[12 * MIB])
    assert [secret for secret in ("wrongsecret", *place.secrets) if secret in str(raised.value)] == []
    with pytest.raises(errors.JobFailed, match=r"'1\.mp4' could not be put into the app's storage"):
        svc.reel(sizes=[10, 2 * MIB])
    assert svc.films(sizes=[10])["films"][0].size == 10  # what fits needs no storage


def test_a_worker_whose_storage_is_not_configured_does_not_start():
    async def start():
        await InProcess(FastTaskAPI(storage="nowhere")).start()

    with pytest.raises(errors.ConfigError, match=r"farcall\.toml has no \[storages\.nowhere\]"):
        asyncio.run(start())


def test_the_variable_names_a_storage_where_the_app_does_not(monkeypatch):
    monkeypatch.setenv("FTAPI_STORAGE", "media")
    assert FastTaskAPI().storage == "media"
    assert FastTaskAPI(storage="s3://films").storage == "s3://films"


# --- in this process --------------------------------------------------------------------------------------------


@pytest.fixture
def working():
    """A worker of an app: `working(app)`."""
    started = []

    def start(app):
        home, inside = Home(), InProcess(app)
        home.run(inside.start())
        started.append((home, inside))
        return Worker(app=inside, home=home, marks=Marks(), deployed=False)

    yield start
    for home, inside in started:
        home.run(inside.stop())
        home.close()


def large(app):
    @app.task_endpoint("/large")
    def make() -> File:
        return File.from_bytes(bytes(40 * MIB), name="large.bin")

    return app


def test_an_open_storage_is_taken_and_left_open(s3_place, working):
    storage = s3_place.open()
    worker = working(large(FastTaskAPI(storage=storage)))
    made = asyncio.run(worker.handle({"id": "1", "input": {"path": "/large"}}))
    worker.home.run(worker.app.stop())
    (entry,) = made["files"]
    assert (entry["name"], entry["size"], "base64" in entry) == ("large.bin", 40 * MIB, False)
    assert storage.download(entry["url"]).size == 40 * MIB


def test_a_job_that_runpod_ends_while_its_result_is_stored_stops_the_upload(s3_place, working):
    proxy = s3_place.between()
    begun, going_on = threading.Event(), threading.Event()

    def hold(asked):
        if asked.part is not None:
            begun.set()
            going_on.wait(30)

    async def main():
        proxy.rule = hold
        task = asyncio.ensure_future(worker.handle({"id": "1", "input": {"path": "/large"}}))
        assert await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        going_on.set()

    worker = working(large(FastTaskAPI(storage=s3_place.open(**s3_place.through(proxy)))))
    asyncio.run(main())
    assert s3_place.stored() == []
    assert len(worker.app.app.store) == 0


def test_the_local_server_gives_its_files_itself(serve, s3_place, stack):
    svc = stack.enter_context(farcall.connect(serve(large(FastTaskAPI(storage=s3_place.open()))).url))
    assert svc.large().read() == bytes(40 * MIB)
    assert s3_place.stored() == []
