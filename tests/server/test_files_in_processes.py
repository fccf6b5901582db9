"""Files reach a function in a process of its own, and come back from it, as they do elsewhere."""

import base64
import json
import os
import subprocess
import sys

import httpx
import pytest

SERVICE = """
from fastapi import UploadFile
from farcall_server import FastTaskAPI, File
from media_toolkit import ImageFile
from pydantic import BaseModel

app = FastTaskAPI(queue="memory://", fetch_hosts=["127.0.0.1"])

class Album(BaseModel):
    pictures: list[File]

@app.task_endpoint("/sizes", isolation="process")
def sizes(photo: ImageFile, upload: UploadFile, album: Album, more: list[File] = []):
    inside = [len(file.read()) for file in (*album.pictures, *more)]
    return [photo.file_name, photo.file_size(), upload.size, len(upload.file.read()), inside]

@app.task_endpoint("/sizes-async", isolation="process")
async def sizes_async(photo: ImageFile, upload: UploadFile, album: Album, more: list[File] = []):
    return sizes(photo, upload, album, more)

@app.task_endpoint("/passed", isolation="process")
def passed(photo: ImageFile):
    return {"a": [photo]}

if __name__ == "__main__":
    app.start(port=0)
"""
CONTENT = b"x" * 100_000
TEXT = base64.b64encode(CONTENT).decode()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    program = tmp_path_factory.mktemp("program") / "service.py"
    program.write_text(SERVICE)
    home = {"HOME": str(program.parent), "XDG_STATE_HOME": str(program.parent)}
    command = [sys.executable, "-u", str(program)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **home})
    url = process.stdout.readline().split(" serves at ")[1].split()[0]
    with httpx.Client(base_url=url, timeout=60, headers={"prefer": "wait=60"}) as client:
        yield client
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize("path", ["/sizes", "/sizes-async"])
def test_files_come_in_every_way(client, path, raw_server):
    async def handler(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + CONTENT)
        await writer.drain()
        return False

    url = raw_server(handler).url + "/p.png"
    album = json.dumps({"pictures": [TEXT, url]})
    parts = [("photo", ("../p.png", CONTENT)), ("upload", ("u", CONTENT)), ("album", (None, album)), ("more", b"22")]
    wanted = ["p.png", 100_000, 100_000, 100_000, [100_000, 100_000, 2]]
    assert client.post(path, files=parts).json()["result"] == wanted
    body = {
        "photo": url,
        "upload": TEXT,
        "album": {"pictures": [url, TEXT]},
        "more": [base64.b64encode(b"22").decode()],
    }
    assert client.post(path, json=body).json()["result"] == wanted


def test_a_media_file_comes_back(client):
    file = client.post("/passed", files={"photo": ("p.png", CONTENT, "image/png")}).json()["result"]["a"][0]
    assert (file["file_name"], file["content_type"], file["content"]) == ("p.png", "image/png", TEXT)


def test_an_address_that_is_not_fetched_fails_the_job(client):
    job = client.post("/passed", json={"photo": "http://169.254.169.254/x?token=1"}).json()
    assert job["status"] == "Failed"
    assert job["error"].startswith("photo: http://169.254.169.254/x leads to 169.254.169.254")
