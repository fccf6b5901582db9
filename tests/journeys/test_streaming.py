"""A user reads a job's output while it is made; a broken link is taken up again and nothing comes twice."""

import asyncio
import threading

import farcall
import pytest
from farcall.errors import JobFailed
from farcall_server import FastTaskAPI


@pytest.fixture
def steps():
    made = [threading.Event() for _ in range(4)]
    yield made
    for step in made:
        step.set()


@pytest.fixture
def served(serve, steps):
    app = FastTaskAPI()

    @app.task_endpoint("/words", concurrency=4)
    def words(n: int = 4):
        for i in range(n):
            steps[i].wait(20)
            yield f"word{i} "

    @app.task_endpoint("/pictures")
    async def pictures():
        for content in (b"one", b"two"):
            yield content

    @app.task_endpoint("/half")
    def half():
        yield 1
        raise ValueError("no more")

    return serve(app)


def test_pieces_come_live_and_the_result_is_their_whole(served, steps):
    with farcall.connect(served.url) as svc:
        job = svc.words.submit()
        got = []
        steps[0].set()
        for piece in job.stream():
            got.append(piece)
            if len(got) < 4:
                steps[len(got)].set()
        assert got == ["word0 ", "word1 ", "word2 ", "word3 "]
        assert job.result() == "word0 word1 word2 word3 "
        assert list(job.stream()) == got


def test_pieces_come_live_to_async_callers(served, steps):
    async def go():
        async with await farcall.connect_async(served.url) as svc:
            job = await svc.words.submit()
            got = []
            steps[0].set()
            async for piece in job.stream():
                got.append(piece)
                if len(got) < 4:
                    steps[len(got)].set()
            return got

    assert asyncio.run(go()) == ["word0 ", "word1 ", "word2 ", "word3 "]


class Cutting:
    """The app behind a link that breaks each of the first streams after some writes."""

    def __init__(self, app, cuts):
        self.app, self.cuts, self.asked = app, list(cuts), []

    async def __call__(self, scope, receive, send):
        if not scope.get("path", "").startswith("/stream/") or not self.cuts:
            await self.app(scope, receive, send)
            return
        left = self.cuts.pop(0)
        self.asked.append(dict(scope["headers"]).get(b"last-event-id"))

        async def cut(message):
            nonlocal left
            left -= 1
            if left < 0:
                raise ConnectionError("cut")
            await send(message)

        await self.app(scope, receive, cut)


def test_a_stream_whose_link_breaks_is_taken_up_where_it_broke(serve):
    app = FastTaskAPI()
    go_on = threading.Semaphore(0)

    @app.task_endpoint("/count")
    def count():
        for i in range(30):
            go_on.acquire(timeout=20)
            yield i

    link = Cutting(app, [6, 5])
    with farcall.connect(serve(link).url) as svc:
        job = svc["/count"].submit()
        got = []
        go_on.release()
        for piece in job.stream():
            got.append(piece)
            go_on.release()
    assert got == list(range(30))
    assert link.asked[0] is None
    assert link.asked[1] is not None
    assert not link.cuts


def test_files_among_the_pieces_can_be_read(served):
    with farcall.connect(served.url) as svc:
        job = svc.pictures.submit()
        assert [file.read() for file in job.stream()] == [b"one", b"two"]
        assert [file.read() for file in job.result()] == [b"one", b"two"]


def test_the_jobs_error_comes_after_its_pieces(served):
    with farcall.connect(served.url) as svc:
        pieces = svc.half.submit().stream()
        assert next(pieces) == 1
        with pytest.raises(JobFailed, match="no more"):
            next(pieces)


def test_another_process_takes_the_stream_up_from_its_start(served, steps):
    for step in steps:
        step.set()
    with farcall.connect(served.url) as svc:
        job = svc.words.submit()
        job.result()
        reference = job.ref()
    with farcall.connect(served.url) as svc:
        assert "".join(svc.attach(reference).stream()) == "word0 word1 word2 word3 "
