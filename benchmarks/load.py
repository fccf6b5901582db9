"""A raw HTTP load, by aiohttp: what a client costs that does as little as can be."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import aiohttp

OWN = {"accept": "application/vnd.farcall.job+json"}
ENDED = {"finished", "failed", "succeeded"}

Kind = Callable[[aiohttp.ClientSession, str, int], Awaitable[None]]


@dataclass(frozen=True)
class Rate:
    """What a load came to."""

    a_second: float
    median_ms: float


async def got(session: aiohttp.ClientSession, url: str, n: int) -> None:
    """A plain endpoint, its arguments in the query."""
    async with session.get(f"{url}?a={n}&b=1") as reply:
        check(await reply.json(), n)


async def posted(session: aiohttp.ClientSession, url: str, n: int) -> None:
    """A plain endpoint, its arguments as JSON."""
    async with session.post(url, json={"a": n, "b": 1}) as reply:
        check(await reply.json(), n)


async def waiting(session: aiohttp.ClientSession, url: str, n: int) -> None:
    """A job in one request: submit, and wait for the end."""
    async with session.post(url, json={"a": n, "b": 1}, headers={**OWN, "prefer": "wait=20"}) as reply:
        check((await reply.json(content_type=None))["result"], n)


async def long_polling(session: aiohttp.ClientSession, url: str, n: int) -> None:
    """A job in two requests or more: submit, then long polls until it has ended."""
    async with session.post(url, json={"a": n, "b": 1}, headers=OWN) as reply:
        job = await reply.json(content_type=None)
    root = url.rpartition("/")[0]
    while job["state"] not in ENDED:
        asked = f"{root}/status/{job['id']}?wait=20&seen={job['data']['rev']}"
        async with session.get(asked, headers=OWN) as reply:
            job = await reply.json(content_type=None)
    check(job["result"], n)


async def _polling(session: aiohttp.ClientSession, url: str, n: int, every_s: float) -> None:
    async with session.post(url, data={"a": str(n), "b": "1"}) as reply:
        job = await reply.json(content_type=None)
    name = job.get("job_id") or job["id"]
    root = url.rpartition("/")[0]
    while job["status"].lower() not in ENDED:
        await asyncio.sleep(every_s)
        async with session.get(f"{root}/status/{name}") as reply:
            job = await reply.json(content_type=None)
    check(job["result"], n)


def polling(every_s: float) -> Kind:
    """A job as clients of APIPod ask for it: submit a form, then ask every so many seconds until it has ended."""
    return partial(_polling, every_s=every_s)


def check(result: float, n: int) -> None:
    if result != n + 1:
        raise RuntimeError(f"{n} + 1 came out as {result}")


def rate(url: str, kind: Kind, *, seconds: float, clients: int) -> Rate:
    """For so many seconds, so many clients, each with one call at a time."""
    return asyncio.run(_rate(url, kind, seconds, clients))


async def _rate(url: str, kind: Kind, seconds: float, clients: int) -> Rate:
    numbers, took = itertools.count(), []

    async def client() -> None:
        while (began := time.perf_counter()) < end:
            await kind(session, url, next(numbers))
            took.append(time.perf_counter() - began)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        start = time.perf_counter()
        end = start + seconds
        await asyncio.gather(*[client() for _ in range(clients)])
        return Rate(len(took) / (time.perf_counter() - start), statistics.median(took) * 1000)
