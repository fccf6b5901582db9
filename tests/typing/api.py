"""How users write against farcall. Never executed: mypy checks that each line has the type a reader expects."""
# ruff: noqa: T201 - a value that a user gives a type is also used

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, assert_type

import farcall
from farcall import errors

KITCHEN = "http://127.0.0.1:8000"


def connect() -> None:
    """A source of each kind, and a service as a context manager."""
    assert_type(farcall.connect(KITCHEN), farcall.Service)
    farcall.connect("kitchen", profile="lab")
    farcall.connect(KITCHEN, provider="fasttaskapi", api_key="k", endpoints=[{"path": "/add"}])
    farcall.connect({"openapi": "3.1.0"}, provider="openapi", url=KITCHEN)
    farcall.connect(provider="fasttaskapi", url=KITCHEN)
    with farcall.connect(KITCHEN) as svc:
        assert_type(svc, farcall.Service)
        assert_type(svc.binding, farcall.Binding)
        assert_type(svc.endpoints, Mapping[str, farcall.Endpoint])
        assert_type([problem.why for problem in svc.problems], list[str])


def call(svc: farcall.Service, photo: Path) -> None:
    """An endpoint is an attribute or an item; what it returns only the service knows."""
    assert_type(svc.make_fries, farcall.Endpoint)
    assert_type(svc["/make_fries"], farcall.Endpoint)
    assert_type(svc.make_fries.options(timeout_s=5, follow=False), farcall.Endpoint)
    total: int = svc.add(1, b=2)
    signed: farcall.File = svc.sign(photo=photo)
    assert_type(svc.make_fries.spec, farcall.EndpointSpec)
    print(total, signed)


def follow(svc: farcall.Service) -> None:
    """A job's properties, its waits, and its two iterators."""
    job = svc.make_fries.submit(name="curly")
    assert_type(job, farcall.Job)
    assert_type(job.id, str | None)
    assert_type(job.state, farcall.State)
    assert_type(job.progress, float | None)
    assert_type(job.message, str | None)
    assert_type(job.logs, tuple[str, ...])
    assert_type(job.done(), bool)
    assert_type(job.exception(timeout_s=1.0), BaseException | None)
    assert_type(job.cancel(), farcall.Snapshot)
    assert_type(svc.attach(job.ref()), farcall.Job)
    assert_type(job.events(), Iterator[farcall.Snapshot])
    for look in job.events():
        assert_type(look.state.ended, bool)
    answer: str = job.result(timeout_s=60)
    print(answer, *job.stream())


def follow_many(jobs: list[farcall.Job]) -> None:
    """Many jobs at once."""
    portions: list[str] = farcall.gather(jobs)
    outcomes: list[str | BaseException] = farcall.gather(jobs, return_exceptions=True)
    assert_type(farcall.as_completed(jobs, timeout_s=60), Iterator[farcall.Job])
    print(portions, outcomes)


def keep(file: farcall.File, folder: Path) -> None:
    """A file is made from what one has, and read, opened or saved."""
    assert_type(farcall.File.from_path(folder / "photo.jpg", media_type="image/jpeg"), farcall.File)
    assert_type(farcall.File.from_bytes(b"pixels", name="photo.jpg"), farcall.File)
    assert_type(farcall.File.from_url("https://example.com/photo.jpg"), farcall.File)
    assert_type(file.name, str)
    assert_type(file.size, int | None)
    assert_type(file.read(), bytes)
    assert_type(file.save(folder), Path)
    assert_type(file.sha256(), str)
    assert_type(file.progress, float | None)
    with file.open() as stream:
        assert_type(stream, BinaryIO)


def store(photo: Path) -> None:
    """A storage by address and by name; what it gives."""
    with farcall.open_storage("s3://bucket/jobs", region="eu-central-1", expire_after_s=3600) as storage:
        assert_type(storage, farcall.Storage)
        url = storage.upload(photo, expires_s=60, progress=print)
        assert_type(url, str)
        assert_type(storage.download(url), farcall.File)
        assert_type(storage.signed_url("a.txt", 60, method="PUT"), str)
        assert_type(storage.exists(url), bool)
        assert_type([file.size for file in storage.list("a/")], list[int])
        assert_type(storage.clean_up(), int)
        storage.delete(url)
        farcall.connect(KITCHEN, storage=storage, upload_threshold_bytes=10_000_000)
    farcall.connect(KITCHEN, storage="media")


async def store_async(photo: Path) -> None:
    """The same verbs, awaited."""
    async with farcall.open_storage_async("media") as storage:
        assert_type(storage, farcall.AsyncStorage)
        url = await storage.upload(photo, key="photos/1.png")
        assert_type(await storage.download(url), farcall.AsyncFile)
        assert_type([file.key async for file in storage.list()], list[str])


def handle(svc: farcall.Service) -> None:
    """What an error carries."""
    try:
        svc.make_fries.options(timeout_s=5)(name="curly")
    except errors.JobFailed as failed:
        assert_type(failed.error_type, str | None)
        assert_type(failed.traceback, str | None)
        assert_type(failed.snapshot, farcall.Snapshot | None)
    except errors.Busy as busy:
        assert_type(busy.retry_after_s, float | None)
    except errors.ServiceError as error:
        print(error.request and error.request.url, error.response and error.response.status)
    except errors.WaitTimeout as waited:
        job: farcall.Job = waited.job
        print(job.result())


async def call_async(jobs: list[farcall.AsyncJob], folder: Path) -> None:
    """The same verbs, awaited."""
    service = await farcall.connect_async(KITCHEN, provider="fasttaskapi")
    assert_type(service, farcall.AsyncService)
    await service.close()
    async with farcall.connect_async(KITCHEN) as svc:
        assert_type(svc, farcall.AsyncService)
        assert_type(svc.endpoints, Mapping[str, farcall.AsyncEndpoint])
        total: int = await svc.add.options(timeout_s=5)(1, b=2)
        job = await svc.make_fries.submit(name="curly")
        assert_type(job, farcall.AsyncJob)
        assert_type(job.progress, float | None)
        answer: str = await job
        assert_type(job.events(), AsyncIterator[farcall.Snapshot])
        async for chunk in job.stream():
            print(chunk)
        assert_type(await job.cancel(timeout_s=5), farcall.Snapshot)
        assert_type(svc.attach(await job.ref()), farcall.AsyncJob)
        signed: farcall.AsyncFile = await svc.sign(photo=b"pixels")
        assert_type(await signed.read(), bytes)
        assert_type(await signed.save(folder), Path)
        assert_type(await signed.sha256(), str)
        assert_type(signed.progress, float | None)
    portions: list[str] = await farcall.gather_async(jobs)
    assert_type(farcall.as_completed_async(jobs), AsyncIterator[farcall.AsyncJob])
    print(total, answer, portions)


def describe() -> None:
    """A service without a description, and the keys of all of them."""
    spec = farcall.EndpointSpec(
        path="/users/{user}",
        method="get",
        parameters={
            "user": int,
            "photo": farcall.File,
            "page": farcall.Parameter(int, default=1, doc="Counted from 1."),
            "sort": {"type": "string", "default": "name", "place": "query"},
        },
        file_params={"face": "ImageFile"},
    )
    assert_type(spec.name, str)
    assert_type(spec.parameters, Mapping[str, farcall.Parameter])
    farcall.connect(farcall.Binding(provider="fasttaskapi", url=KITCHEN, endpoints=[spec]))
    farcall.settings.api_keys["https://gpu.lan:8000"] = "k"
    farcall.settings.api_keys = {"fasttaskapi": "k"}


def misuse(svc: farcall.Service, job: farcall.Job, file: farcall.File) -> None:
    """What mypy refuses; a line it would let pass is an error, as an unused ignore."""
    job.result(timeout=5)  # type: ignore[call-arg]  # timeout_s
    job.state = farcall.State.FAILED  # type: ignore[misc]  # read-only
    svc.endpoints["add"] = svc.add  # type: ignore[index]  # read-only
    file.save(None)  # type: ignore[arg-type]
    farcall.EndpointSpec(path="/add", verb="GET")  # type: ignore[call-arg]  # method
    farcall.Binding("fasttaskapi")  # type: ignore[call-arg]  # keyword-only
    farcall.gather([svc.add(a=1), svc.add.submit(a=1).state])  # type: ignore[list-item]  # states, not jobs
