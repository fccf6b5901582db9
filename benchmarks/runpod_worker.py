"""A worker whose jobs take half a second, fifty at a time."""

import asyncio

import runpod


async def half_a_second(job):
    await asyncio.sleep(0.5)
    return job["input"]["number"]


if __name__ == "__main__":
    runpod.serverless.start({"handler": half_a_second, "concurrency_modifier": lambda _: 50})
