"""How many looks a thousand jobs on Runpod cost, by farcall and by the client of Runpod's SDK, and how late they end.

Both ask the emulator, with real workers behind it. The ideal is when the last job ended there. For the SDK's client the
limits on requests are off: it looks at each job every second, which is five times what Runpod allows, and it breaks at
the first 429.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import farcall
from farcall_runpod import limits
from farcall_runpod.emulator import Emulator, Endpoint

WORKER = Path(__file__).with_name("runpod_worker.py")
JOBS = 1000
AT_MOST = 1 / 3
LATE = 1.10


def ours(emulator):
    with farcall.connect(emulator.url, provider="runpod", api_key="any") as service:
        return farcall.gather([service.run.submit(number=number) for number in range(JOBS)])


def theirs(emulator):
    """The same by the SDK's asynchronous client; its blocking one would need a thread a job."""
    import aiohttp
    import runpod
    from runpod.endpoint.asyncio.asyncio_runner import Endpoint as TheirEndpoint

    runpod.endpoint_url_base, runpod.api_key = emulator.base_url, "any"

    async def call(endpoint, number):
        job = await endpoint.run({"number": number + 1})  # it takes an input of 0 for none
        return await job.output(timeout=600) - 1

    async def everything():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:
            endpoint = TheirEndpoint(emulator.endpoint.id, session)
            return await asyncio.gather(*(call(endpoint, number) for number in range(JOBS)))

    return asyncio.run(everything())


def run(name, client, rates=limits.RATES):
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "workers.log"
        with Emulator(Endpoint(program=WORKER, id="half", workers=2, log_file=log, rates=rates)) as emulator:
            began = time.monotonic()
            results = client(emulator)
            seconds, ideal, looks = time.monotonic() - began, emulator.last_end - began, emulator.requests["status"]
    if results != list(range(JOBS)):
        raise RuntimeError(f"{name}: a wrong result")
    print(f"{name:12} {looks:6} looks, {seconds:5.1f} s; the host had done after {ideal:.1f} s")
    return looks, seconds / ideal


def main() -> int:
    looks, late = run("farcall", ours)
    their_looks, their_late = run("runpod's SDK", theirs, dict.fromkeys(limits.RATES, (10**6, 10**6)))
    share = looks / their_looks
    print(f"{share:.0%} of the looks (at most {AT_MOST:.0%})")
    print(f"the end is seen {late - 1:.1%} late (at most {LATE - 1:.0%}), by Runpod's SDK {their_late - 1:.1%}")
    return 0 if share <= AT_MOST and late <= LATE else 1


if __name__ == "__main__":
    sys.exit(main())
