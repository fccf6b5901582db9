"""fastsdk 0.1.3 calls a job server: `python fastsdk_old_client.py URL` tells what came of each call, as JSON."""

import json
import os
import sys
import time

from fastsdk import APIClient, MediaFile


def ended(job):
    """The result, or the error's text; a job that never ends is one that hangs."""
    end = time.monotonic() + 30
    while not job.is_finished():
        if time.monotonic() > end:
            return {"error": "no end within 30 s"}
        time.sleep(0.02)
    return {"result": job.get_result()} if job.error is None else {"error": str(job.error)}


def watched(job):
    """What a user sees of a job while it runs."""
    seen = []
    while not job.is_finished():
        look = (job.progress.progress, job.progress.message)
        if look not in seen:
            seen.append(look)
        time.sleep(0.02)
    return {"seen": seen, "id": job.job_id, **ended(job)}


def painted(job):
    picture = ended(job)
    if hasattr(picture.get("result"), "to_bytes"):
        file = picture["result"]
        return {"kind": type(file).__name__, "name": file.file_name, "content": list(file.to_bytes())}
    return picture


def connected(url):
    client = APIClient(service_urls=url, service_name="kitchen")
    client.add_endpoint("add", body_params={"a": int, "b": float}, refresh_interval_s=0.1)
    client.add_endpoint("fry", body_params={"steps": int}, refresh_interval_s=0.1)
    client.add_endpoint("burn", body_params={"what": str})
    client.add_endpoint("size", file_params={"photo": MediaFile})
    client.add_endpoint("paint")
    client.add_endpoint("tell", body_params={"words": int})
    client.add_endpoint("plain", body_params={"name": str})
    return client


def main(url):
    client = connected(url)
    photo = MediaFile(file_name="photo.png").from_bytes(b"\x89PNG\r\n\x1a\n" + b"\x01\x02\x03\x04" * 5000)
    return {
        "add": ended(client("add", True, a=2, b=0.25)),
        "many": [ended(job) for job in [client("add", True, a=n, b=0) for n in range(20)]],
        "fry": watched(client("fry", True, steps=4)),
        "burn": ended(client("burn", True, what="toast")),
        "size": ended(client("size", True, photo=photo)),
        "paint": painted(client("paint", True)),
        "told": ended(client("tell", True, words=3)),
        "plain": ended(client("plain", True, name="Zoë")),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1]), default=repr) + "\n")
    sys.stdout.flush()
    os._exit(0)  # its threads never end
