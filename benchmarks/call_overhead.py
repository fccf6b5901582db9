"""What a call costs: farcall's asynchronous face beside a hand-written aiohttp loop that makes the same requests.

Client CPU a call, 64 in flight, both in one process, in turn; the figure that counts is the ratio. The bound is 1.4.
"""

import asyncio
import json
import secrets
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import farcall
from serving import service

CALLS = 3000
IN_FLIGHT = 64
ROUNDS = 7
BOUND = 1.4


async def timed(call: Callable[[int], Awaitable[int]]) -> float:
    """Microseconds of this process's CPU a call."""
    numbers = iter(range(CALLS))

    async def worker() -> None:
        for number in numbers:
            if await call(number) != number + 1:
                raise RuntimeError("a wrong result")

    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (time.process_time() - began) / CALLS * 1e6


async def by_hand(url: str) -> float:
    headers = {"accept": "application/vnd.farcall.job+json, application/json", "prefer": "wait=2"}
    async with aiohttp.ClientSession() as session:

        async def call(number: int) -> int:
            keyed = {**headers, "idempotency-key": secrets.token_hex(16)}
            async with session.post(f"{url}/add", json={"a": number}, headers=keyed) as reply:
                envelope = json.loads(await reply.read())
            if envelope["state"] != "succeeded":
                raise RuntimeError(envelope)
            return envelope["result"]

        await call(0)
        return await timed(call)


async def by_farcall(url: str) -> float:
    async with farcall.connect_async(url) as svc:
        add = svc.add

        async def call(number: int) -> int:
            return await add(a=number)

        await call(0)
        return await timed(call)


def main() -> int:
    with service() as url:
        pairs = [(asyncio.run(by_hand(url)), asyncio.run(by_farcall(url))) for _ in range(ROUNDS)]
    hand, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(
        f"client CPU a call: hand-written aiohttp {hand:.0f} µs, farcall {ours:.0f} µs; {ratio:.2f}x (bound {BOUND}x)"
    )
    return 0 if ratio <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
