"""Replies that are streams: event streams and NDJSON, on sockets, piece by piece."""

import asyncio
import json
import threading
import time

import farcall
import pytest
from farcall import output
from farcall.errors import JobCancelled, JobFailed, ProtocolError, UsageError
from farcall.jobs import State
from fastapi import FastAPI
from fastapi.responses import StreamingResponse


@pytest.fixture
def gate():
    opened = threading.Event()
    yield opened
    opened.set()


@pytest.fixture
def svc(serve, gate):
    app = FastAPI()
    app.gone = threading.Event()

    @app.post("/count")
    async def count(to: int, wait: bool = False):
        async def events():
            try:
                for number in range(to):
                    yield f"id: {number}\ndata: {json.dumps({'n': number})}\n\n"
                    if wait:
                        await asyncio.to_thread(gate.wait, 20)
            finally:
                app.gone.set()

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/lines")
    async def lines(media: str):
        async def written():
            yield '{"a": 1}\n2\n'
            yield '"thr'
            yield 'ee"\n'

        return StreamingResponse(written(), media_type=media)

    @app.get("/chat")
    async def chat():
        return StreamingResponse(
            iter(["event: note\ndata: 1\n\n", "data: hel\n\n", "data: lo\n\n", "data: [DONE]\n\n"]),
            media_type="text/event-stream",
        )

    @app.get("/breaks")
    async def breaks():
        return StreamingResponse(
            iter(["data: a\n\n", "event: error\ndata: out of words\n\n"]), media_type="text/event-stream"
        )

    with farcall.connect(serve(app).url) as connected:
        connected.app = app
        yield connected


def test_an_event_stream_comes_piece_by_piece_while_it_is_made(svc, gate):
    job = svc.count.submit(to=3, wait=True)
    pieces = job.stream()
    assert next(pieces) == {"n": 0}
    assert (job.state, job.done()) == (State.RUNNING, False)
    gate.set()
    assert list(pieces) == [{"n": 1}, {"n": 2}]
    assert job.state is State.SUCCEEDED


def test_a_plain_call_gives_all_pieces(svc):
    assert svc.count(to=3) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert svc.count(to=0) == []
    assert svc.count.options(timeout_s=10).submit(to=1).result() == [{"n": 0}]


def test_a_stream_can_be_read_again_from_its_start(svc):
    job = svc.count.submit(to=2)
    assert list(job.stream()) == list(job.stream()) == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize("media", ["application/x-ndjson", "application/jsonl", "application/stream+json"])
def test_lines_of_json_are_values(svc, media):
    assert list(svc.lines.submit(media=media).stream()) == [{"a": 1}, 2, "three"]


def test_named_events_keep_their_name_and_an_openai_end_is_none(svc):
    assert svc.chat() == [{"event": "note", "data": "1"}, "hel", "lo"]


def test_an_error_event_fails_the_job_after_its_pieces(svc):
    job = svc.breaks.submit()
    pieces = job.stream()
    assert next(pieces) == "a"
    with pytest.raises(JobFailed, match="out of words"):
        next(pieces)


def test_cancelling_gives_the_connection_up(svc):
    job = svc.count.submit(to=2, wait=True)
    assert next(job.stream()) == {"n": 0}
    assert job.cancel(10).state is State.CANCELLED
    assert svc.app.gone.wait(10)
    with pytest.raises(JobCancelled):
        job.result(10)


def test_who_reads_a_long_stream_after_its_end_is_told_that_its_first_pieces_are_gone(svc, monkeypatch):
    monkeypatch.setattr(output, "MOST_BYTES", 20_000)
    job = svc.count.submit(to=2_000)
    with pytest.raises(ProtocolError, match=r"its first [\d,]+ pieces are no longer kept") as caught:
        job.result(10)
    assert caught.value.job is job
    assert job.state is State.SUCCEEDED
    with pytest.raises(ProtocolError, match="no longer kept"):
        next(job.stream())


def test_it_has_no_reference_and_says_so_at_once(svc):
    job = svc.count.submit(to=2, wait=True)
    with pytest.raises(UsageError, match="without a job to take up again"):
        job.ref()


def test_closing_the_service_ends_those_who_wait(svc):
    job = svc.count.submit(to=2, wait=True)
    assert next(job.stream()) == {"n": 0}
    began = time.monotonic()
    svc.close()
    with pytest.raises(UsageError, match="was closed"):
        job.result(10)
    assert time.monotonic() - began < 5
