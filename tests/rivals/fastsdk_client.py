"""fastsdk 0.4.26 calls a job server: `python fastsdk_client.py URL [KEY …]` tells what came of each call, as JSON."""

import json
import sys
import tempfile
import time
from pathlib import Path

import fastsdk


def ended(job):
    """The result, or the error's text."""
    try:
        return {"result": job.get_result(timeout_s=30)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def watched(job):
    """What a user sees of a job while it runs."""
    seen = []
    while not job.is_terminal:
        look = job.response
        now = (getattr(look, "status", None), getattr(look, "progress", None), getattr(look, "message", None))
        if now not in seen:
            seen.append(now)
        time.sleep(0.05)
    return {"seen": seen, "id": job.platform_job_id, **ended(job)}


def uploaded(client):
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        photo.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x01\x02\x03\x04" * 5000)
        return ended(client.submit_job("/size", photo=str(photo)))


def painted(client):
    picture = ended(client.submit_job("/paint"))
    if "result" in picture:
        file = picture["result"]
        return {"kind": type(file).__name__, "name": file.file_name, "content": list(file.to_bytes())}
    return picture


def cancelled(client):
    job = client.submit_job("/hold")
    while job.platform_job_id is None:
        time.sleep(0.02)
    job.cancel()
    return {"id": job.platform_job_id, **ended(job)}


def main(url):
    client = fastsdk.connect(url)
    return {
        "add": ended(client.submit_job("/add", a=2, b=0.25)),
        "default": ended(client.submit_job("/add", a=1)),
        "many": [ended(job) for job in [client.submit_job("/add", a=n, b=0) for n in range(20)]],
        "fry": watched(client.submit_job("/fry", steps=4)),
        "burn": ended(client.submit_job("/burn", what="toast")),
        "size": uploaded(client),
        "paint": painted(client),
        "tell": list(client.submit_job("/tell", words=3).stream()),
        "told": ended(client.submit_job("/tell", words=3)),
        "plain": ended(client.submit_job("/plain", name="Zoë")),
        "hold": cancelled(client),
    }


def with_keys(url, *keys):
    return [ended(fastsdk.connect(url, api_key=key).submit_job("/add", a=2, b=0.25)) for key in keys]


if __name__ == "__main__":
    told = with_keys(*sys.argv[1:]) if sys.argv[2:] else main(sys.argv[1])
    sys.stdout.write(json.dumps(told, default=repr) + "\n")
