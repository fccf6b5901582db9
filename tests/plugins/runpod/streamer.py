"""A worker whose handler gives its output piece by piece."""

import asyncio

import runpod


async def count(job):
    for number in range(job["input"]["n"]):
        await asyncio.sleep(job["input"].get("gap_s", 0))
        yield {"number": number}
    if "boom" in job["input"]:
        raise ValueError(job["input"]["boom"])


if __name__ == "__main__":
    runpod.serverless.start(
        {"handler": count, "return_aggregate_stream": True, "concurrency_modifier": lambda _: 4},
    )
