"""The link loses replies, and still each call is made once."""

import random
from collections import Counter

import farcall
import httpx
import pytest
from farcall.errors import UsageError
from farcall_server import FastTaskAPI


@pytest.fixture
def made():
    return Counter()


@pytest.fixture
def lossy(serve, raw_server, made):
    """A server behind a link that loses three in ten of the replies to submissions, after the server has sent them."""
    app = FastTaskAPI()

    @app.task_endpoint("/count", queue_size=1000)
    def count(n: int) -> int:
        made[n] += 1
        return n

    @app.endpoint("/plain", methods=["POST"])
    def plain(n: int) -> int:
        return n

    behind, chance = serve(app).url, random.Random(7)  # noqa: S311 - a die, and the same each time
    lost = Counter()

    async def handler(request, writer):
        method, path, headers, body = request
        passed = {k: v for k, v in headers.items() if k not in {"host", "content-length", "connection"}}
        async with httpx.AsyncClient(timeout=40) as client:
            reply = await client.request(method, behind + path, headers=passed, content=body)
        if path == "/count" and lost[body] < 2 and chance.random() < 0.3:  # a third time the client gives up
            lost[body] += 1
            return False
        kind = reply.headers["content-type"]
        head = f"HTTP/1.1 {reply.status_code} X\r\ncontent-type: {kind}\r\ncontent-length: {len(reply.content)}\r\n\r\n"
        writer.write(head.encode() + reply.content)
        await writer.drain()
        return True

    server = raw_server(handler)
    server.lost = lost
    return server


def test_a_lost_reply_to_a_submission_costs_no_second_job(lossy, made):
    with farcall.connect(lossy.url) as svc:
        jobs = [svc["/count"].submit(n=n) for n in range(100)]
        assert [job.result() for job in jobs] == list(range(100))
    assert lossy.lost.total() > 15
    assert max(lossy.lost.values()) == 2
    assert made == dict.fromkeys(range(100), 1)


def test_callers_may_give_a_key_of_their_own(lossy, made):
    with farcall.connect(lossy.url) as svc:
        keyed = svc["/count"].options(idempotency_key="order 7")
        assert [keyed(n=1), keyed(n=1)] == [1, 1]
    assert made == {1: 1}


def test_a_plain_endpoint_takes_no_key(lossy):
    with farcall.connect(lossy.url) as svc, pytest.raises(UsageError, match="idempotency"):
        svc["/plain"].options(idempotency_key="x")(n=1)
