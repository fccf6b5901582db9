"""A worker as users of Runpod's own SDK write it."""

import asyncio
import os

import runpod


async def run(job):
    given = job["input"]
    if "boom" in given:
        raise ValueError(given["boom"])
    if "soft" in given:
        return {"error": given["soft"], "detail": 1}
    if "exit" in given:
        os._exit(3)
    for step in range(given.get("steps", 0)):
        runpod.serverless.progress_update(job, {"progress": f"{step}/{given['steps']}", "message": f"step {step}"})
        await asyncio.sleep(given.get("pause_s", 0.1))
    await asyncio.sleep(given.get("takes_s", 0))
    return given.get("give", given)


if __name__ == "__main__":
    runpod.serverless.start({"handler": run, "concurrency_modifier": lambda _: int(os.environ.get("AT_ONCE", "100"))})
