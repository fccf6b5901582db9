"""A service that is down, lies, stalls or breaks: each ends in the right error, with a sentence that helps."""

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter

import farcall
import pytest
from farcall import errors

ADD = {"path": "/add", "parameters": {"a": int}, "job": True}


def answer(status, body, kind="application/json", extra=""):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n{extra}\r\n"
    return head.encode() + content


def always(*replies):
    """A handler that gives these replies in turn, the last one for ever; `None` hangs up."""
    left = list(replies)

    async def handler(request, writer):
        reply = left.pop(0) if len(left) > 1 else left[0]
        if reply is None:
            return False
        writer.write(reply)
        await writer.drain()
        return True

    return handler


@pytest.fixture
def kitchen(raw_server):
    """Connect to a server that gives exact replies, without discovery."""
    with contextlib.ExitStack() as stack:

        def connect(handler, **options):
            server = raw_server(handler)
            binding = farcall.Binding(provider="fasttaskapi", url=server.url, endpoints=[ADD], **options)
            return stack.enter_context(farcall.connect(binding)), server

        yield connect


QUEUED = {"job_id": "j1", "status": "queued", "links": {"status": "/status/j1"}}


def test_a_service_that_is_down_says_so_at_connect():
    with pytest.raises(errors.Unreachable, match=r"127\.0\.0\.1:9 gave no reply.*Is the service running"):
        farcall.connect("http://127.0.0.1:9")


def test_something_that_is_no_service_is_told_from_one_that_is_down(raw_server):
    server = raw_server(always(answer(404, b"nope", "text/plain")))
    with pytest.raises(errors.UsageError, match="No installed provider knows the service"):
        farcall.connect(server.url)


@pytest.mark.parametrize("options", [{}, {"provider": "fasttaskapi"}, {"provider": "openapi"}])
def test_a_description_that_wants_a_key_is_told_from_one_that_is_missing(raw_server, options):
    server = raw_server(always(answer(401, {"detail": "who are you"})))
    with pytest.raises(errors.KeyMissing, match=r"who are you.*api_keys"):
        farcall.connect(server.url, **options)
    with pytest.raises(errors.AuthRefused, match="who are you"):
        farcall.connect(server.url, api_key="wrong", **options)


@pytest.mark.parametrize("options", [{}, {"provider": "fasttaskapi"}, {"provider": "openapi"}])
@pytest.mark.parametrize(("status", "error"), [(429, errors.Refused), (500, errors.ServerFault)])
def test_a_service_too_ill_to_describe_itself_is_told_from_an_unknown_one(raw_server, options, status, error):
    server = raw_server(always(answer(status, {"detail": "not today"})))
    with pytest.raises(error, match=f"answered {status} to GET .*not today"):
        farcall.connect(server.url, **options)
    asked = Counter(path for _, path, _, _ in server.requests)
    first, *others = asked.values()
    assert first == 3
    assert set(others) <= {1}  # no place is tried so often once one has failed however often it was asked
    assert (others == []) == (status == 429 or options == {"provider": "fasttaskapi"})


def test_a_service_that_fails_at_one_place_is_described_at_another(raw_server):
    document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/add": {"get": {}}}}

    async def handler(request, writer):
        found = request[1] == "/swagger.json"
        writer.write(answer(200, document) if found else answer(500, b"oops", "text/html"))
        await writer.drain()
        return True

    with farcall.connect(raw_server(handler).url) as svc:
        assert list(svc.endpoints) == ["add"]


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (400, {"detail": "bad day"}, errors.Refused, "answered 400 to POST /add: bad day"),
        (401, {"detail": "who are you"}, errors.KeyMissing, r"who are you.*farcall\.settings\.api_keys"),
        (403, {"message": "not you"}, errors.AuthRefused, "not you"),
        (404, {"detail": "Not Found"}, errors.Refused, "404"),
        (405, {"detail": "Method Not Allowed"}, errors.Refused, "405"),
        (422, {"detail": [{"loc": ["body", "a"], "msg": "too odd", "type": "x"}]}, errors.Refused, "body.a: too odd"),
        (500, b"<html>oops</html>", errors.ServerFault, "500"),
        (503, {"title": "closed", "status": 503}, errors.ServerFault, "closed"),
        (302, b"", errors.Refused, "302"),
    ],
)
def test_each_refusal_is_its_error_with_the_services_own_words(kitchen, status, body, error, words):
    kind = "application/json" if isinstance(body, dict) else "text/html"
    svc, server = kitchen(always(answer(status, body, kind)))
    with pytest.raises(error, match=words) as caught:
        svc.add(a=1)
    assert len(server.requests) == 1  # a submission is never repeated
    if isinstance(caught.value, errors.ServiceError):
        assert caught.value.response.status == status
        assert not caught.value.request.headers


def test_a_refused_key_is_told_from_a_missing_one(raw_server):
    server = raw_server(always(answer(401, {"detail": "stale"})))
    farcall.settings.api_keys[server.url] = "s3cret-key"
    binding = farcall.Binding(provider="fasttaskapi", url=server.url, endpoints=[ADD])
    with farcall.connect(binding) as svc, pytest.raises(errors.AuthRefused, match="stale") as caught:
        svc.add(a=1)
    assert server.requests[0][2]["authorization"] == "bearer s3cret-key"
    assert "s3cret" not in str(caught.value) + repr(caught.value.request)


def test_too_many_requests_is_waited_out(kitchen):
    svc, server = kitchen(
        always(
            answer(429, {"detail": "slow down"}, extra="retry-after: 0\r\n"),
            answer(200, {"job_id": "j", "status": "finished", "result": 7}),
        )
    )
    assert svc.add(a=1) == 7
    assert len(server.requests) == 2


def test_too_many_requests_for_too_long_is_busy(kitchen):
    svc, server = kitchen(always(answer(429, {"detail": "slow down"})), busy_patience_s=0)
    with pytest.raises(errors.Busy, match="slow down"):
        svc.add(a=1)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (answer(200, b"not json"), errors.ProtocolError, "'not json'"),
        (answer(200, b""), errors.ProtocolError, "."),
        (answer(200, [1, 2]), errors.ProtocolError, "."),
        (answer(200, {"job_id": "j", "status": "sleeping"}), errors.ProtocolError, "sleeping"),
        (answer(200, {"job_id": None, "status": "queued"}), errors.ProtocolError, "."),
        (answer(200, b"{" * 500)[:-499], errors.Unreachable, "cut"),
        (answer(200, b"null"), errors.ProtocolError, "."),
        (b"NOT HTTP AT ALL\r\n\r\n", errors.Unreachable, "broke"),
    ],
)
def test_a_reply_that_breaks_the_protocol_is_no_result(kitchen, reply, error, words):
    async def handler(request, writer):
        writer.write(reply)
        await writer.drain()
        return False

    svc, server = kitchen(handler)
    with pytest.raises(error, match=words):
        svc.add.options(timeout_s=20)(a=1)
    assert len([r for r in server.requests if r[1] == "/add"]) == 1


def test_a_huge_reply_is_not_read_into_memory(kitchen):
    async def handler(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        piece = b'"' + b"x" * 1_000_000
        for _ in range(2000):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        return False

    svc, _ = kitchen(handler)
    with pytest.raises(errors.ProtocolError, match="larger than"):
        svc.add(a=1)


def test_an_unknown_word_in_mid_job_is_a_protocol_error_and_no_endless_wait(kitchen):
    svc, _ = kitchen(always(answer(200, QUEUED), answer(200, {"job_id": "j1", "status": "napping"})))
    with pytest.raises(errors.ProtocolError, match="napping"):
        svc.add(a=1)


def test_a_job_the_host_forgot_is_lost(kitchen):
    svc, _ = kitchen(
        always(answer(200, QUEUED), answer(200, {"job_id": "j1", "status": "not_found", "error": "Job not found."}))
    )
    job = svc.add.submit(a=1)
    with pytest.raises(errors.JobLost, match="no longer knows job j1"):
        job.result()
    assert job.done()


def test_a_job_that_never_ends_ends_our_patience(kitchen):
    running = {"job_id": "j1", "status": "processing", "progress": 0.1}
    svc, _ = kitchen(always(answer(200, QUEUED), answer(200, running)))
    with pytest.raises(errors.WaitTimeout) as caught:
        svc.add.options(timeout_s=0.3)(a=1)
    assert caught.value.job.progress == 0.1


def test_a_look_that_fails_is_taken_again(kitchen):
    svc, server = kitchen(
        always(
            answer(200, QUEUED),
            answer(500, {"detail": "hiccup"}),
            None,
            answer(200, {"job_id": "j1", "status": "finished", "result": 3}),
        )
    )
    assert svc.add(a=1) == 3
    assert len(server.requests) == 4


def test_a_service_that_goes_down_between_calls_is_unreachable(app, serve):
    served = serve(app)
    with farcall.connect(served.url) as svc:
        assert svc.add(a=1) == 2
        served.stop()
        with pytest.raises(errors.Unreachable, match="connect"):
            svc.add(a=1)


def test_a_service_that_stays_down_in_mid_job_is_out_of_reach(kitchen, monkeypatch):
    monkeypatch.setattr("farcall.engine.LOOK_PATIENCE_S", 0.2)
    svc, _ = kitchen(always(answer(200, QUEUED), None))
    with pytest.raises(errors.Unreachable) as caught:
        svc.add(a=1)
    assert caught.value.snapshot.job_id == "j1"


def test_cancelling_at_a_host_that_cannot_says_so(kitchen):
    running = answer(200, {"job_id": "j1", "status": "processing"})
    cannot = answer(501, {"detail": "Cancellation is not supported for this job queue."})

    async def handler(request, writer):
        writer.write(cannot if request[1].startswith("/cancel") else running)
        await writer.drain()
        return True

    svc, _ = kitchen(handler)
    job = svc.add.submit(a=1)
    with pytest.raises(errors.CancelUnsupported, match="goes on"):
        job.cancel()


def test_after_close_everything_says_so(svc):
    job = svc.add.submit(a=1)
    job.result()
    svc.close()
    svc.close()
    assert job.result() == 2
    with pytest.raises(errors.UsageError, match="closed"):
        svc.add(a=1)
    with pytest.raises(errors.UsageError, match="closed"):
        svc.add.submit(a=1)


def test_closing_while_jobs_run_ends_their_waiters(svc, app):
    job = svc.wait_at_gate.submit()
    job.ref()
    waiter = threading.Thread(target=lambda: caught.append(job.exception()), daemon=True)
    caught = []
    waiter.start()
    while job.state != "running":
        time.sleep(0.01)
    svc.close()
    waiter.join(10)
    assert isinstance(caught[0], errors.UsageError)


def test_an_asynchronous_service_is_refused_on_another_event_loop(url):
    async def connect():
        svc = await farcall.connect_async(url)
        job = await svc.wait_at_gate.submit()
        return svc, job

    with asyncio.Runner() as first, asyncio.Runner() as second:
        svc, job = first.run(connect())
        for verb in (lambda: svc.add(a=1), lambda: svc.add.submit(a=1), job.result, lambda: anext(svc.add.pages(a=1))):
            with pytest.raises(errors.UsageError, match="another event loop"):
                second.run(verb())
        first.run(svc.close())


def test_a_blocking_verb_works_inside_a_running_loop(svc):
    async def cell():
        return svc.add(a=1)

    assert asyncio.run(cell()) == 2


def test_a_key_goes_to_its_origin_and_not_along_with_a_redirect(raw_server):
    elsewhere = raw_server(
        always(answer(200, {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {}}))
    )
    home = raw_server(always(answer(302, b"", extra=f"location: {elsewhere.url}/openapi.json\r\n")))
    with contextlib.suppress(errors.FarcallError):
        farcall.connect(home.url, provider="fasttaskapi", api_key="s3cret-key").close()
    assert any("s3cret-key" in str(headers) for _, _, headers, _ in home.requests)
    assert elsewhere.requests
    assert not any("s3cret-key" in str(headers) for _, _, headers, _ in elsewhere.requests)
