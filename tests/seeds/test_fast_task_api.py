"""The examples of FastTaskAPI's readme run as programs, and are called as the readme says."""

import base64
import io
import json
import re
import subprocess
import sys

import httpx
import pytest
from PIL import Image
from seeds import blocks
from starlette.staticfiles import StaticFiles

MEDIA = ("my_image_file.png", "my_audio_file.wav", "my_video_file.mp4")


@pytest.fixture
def service(program, tmp_path):
    """A block as a running program: `service("02_make_fries")` is its address."""

    def run(name, **environment):
        (tmp_path / "service.py").write_text(blocks.corrected(name))
        return program("service.py", **environment)

    return run


def result(url, reply):
    """The result of the job that a reply tells of, asked for at `status?job_id=…`."""
    job = reply.raise_for_status().json()
    while job["status"] in {"Queued", "Processing"}:
        job = httpx.post(f"{url}/status", params={"job_id": job["id"]}).json()
    assert job["status"] == "Finished", job
    assert job["progress"]["progress"] == 1.0
    return job["result"]


def test_every_block_is_listed_with_its_corrections():
    assert sorted(blocks.sections()) == blocks.NAMES
    for name in blocks.NAMES:
        assert (blocks.HERE / "blocks" / f"{name}.txt").read_text() == blocks.corrected(name) or "```diff" in (
            blocks.sections()[name]
        )


def test_the_first_service_predicts(service):
    url = service("01_first_service")
    reply = httpx.post(f"{url}/predict", data={"my_param1": "one", "my_param2": 2})
    assert result(url, reply) == "my_awesome_prediction one 2"
    assert result(url, httpx.post(f"{url}/predict", data={"my_param1": "one"})) == "my_awesome_prediction one 0"
    assert "swagger" in httpx.get(f"{url}/docs").text


@pytest.mark.parametrize("encoded", [False, True], ids=["bytes", "base64"])
def test_the_first_service_takes_and_gives_an_image(service, media, encoded):
    url = service("01_first_service")
    content = (media / "my_image_file.png").read_bytes()
    sent = (
        {"data": {"upload_img": base64.b64encode(content).decode()}} if encoded else {"files": {"upload_img": content}}
    )
    painted = result(url, httpx.post(f"{url}/img2img", **sent))
    assert painted["content_type"].startswith("image/")
    assert Image.open(io.BytesIO(base64.b64decode(painted["content"]))).size == (8, 6)


def test_fries_are_made_with_progress_and_messages(service):
    url = service("02_make_fries")
    job = httpx.post(f"{url}/make_fries", data={"fries_name": "curly", "amount": 3}).json()
    seen = []
    while job["status"] in {"Queued", "Processing"}:
        job = httpx.post(f"{url}/status", params={"job_id": job["id"]}).json()
        if (look := (job["progress"]["progress"], job["progress"]["message"])) not in seen:
            seen.append(look)
    said = [(progress, message) for progress, message in seen if message]
    assert said[:3] == [
        (0.1, "started new fries creation curly"),
        (0.5, "I am working on it. Lots of work to do 3"),
        (0.8, "Still working on it. Almost done"),
    ]
    assert (job["status"], job["result"]) == ("Finished", "Your fries curly are ready")
    assert job["progress"]["progress"] == 1.0


def test_progress_is_told_by_attributes(service):
    url = service("03_progress")
    job = httpx.post(f"{url}/predict", data={"my_param1": "one"})
    assert result(url, job) == "my_awesome_prediction"
    after = httpx.get(f"{url}/status", params={"job_id": job.json()["id"]}).json()
    assert after["progress"] == {"progress": 1.0, "message": "Still working on it. Almost done"}


def test_a_normal_endpoint_replies_at_once(service):
    url = service("04_normal_endpoint") + "/my_normal_endpoint"
    assert httpx.get(url, params={"image": "cat", "my_param2": 3}).json() == "my_awesome_prediction cat 3"
    assert httpx.post(url, data={"image": "cat"}).json() == "my_awesome_prediction cat 0"


@pytest.mark.parametrize("encoded", [False, True], ids=["bytes", "base64"])
def test_any_file_is_uploaded_and_its_content_comes_back(service, encoded):
    url = service("05_my_upload")
    content = bytes(range(256))
    text = "data:application/octet-stream;base64," + base64.b64encode(content).decode()
    sent = {"data": {"anyfile": text}} if encoded else {"files": {"anyfile": ("any.bin", content)}}
    returned = result(url, httpx.post(f"{url}/my_upload", **sent))
    assert base64.b64decode(returned["content"]) == content


def caller(name, folder, *, url, shows, changes=()):
    """Run a caller's block as a program in a folder, with `url` given; what it then shows."""
    code = blocks.corrected(name)
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    (folder / "caller.py").write_text(f"url = {url!r}\n{code}\nprint({shows})\n")
    run = [sys.executable, "-W", "ignore::ResourceWarning", "caller.py"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ended(url, told):
    """The last look at the job that a reply's text tells of."""
    return httpx.get(f"{url}/status/{json.loads(told)['id']}", params={"wait": 20}).json()


def test_image_sound_and_film_are_uploaded_by_httpx(service, media):
    url = service("06_my_file_upload")
    told = caller("08_files_by_httpx", media, url=f"{url}/my_file_upload", shows="response.text")
    assert (job := ended(url, told))["status"] == "Finished", job


def test_files_are_named_by_their_addresses(service, media, serve):
    cloud = serve(StaticFiles(directory=media))
    url = service("06_my_file_upload", FTAPI_FETCH_HOSTS="127.0.0.1")
    told = caller(
        "09_files_by_address",
        media,
        url=f"{url}/my_file_upload",
        shows="response.text",
        changes=[("https://my_cloud_storage", cloud.url)],
    )
    assert (job := ended(url, told))["status"] == "Finished", job


def test_the_service_is_called_like_a_function(service, media):
    url = service("06_my_file_upload")
    given = dict(zip(("my_imageFile", "myAudioFile", "myVideoFile"), MEDIA, strict=True))
    changes = [(name, f"farcall.File.from_path({file!r})") for name, file in given.items()]
    told = caller("07_like_a_function", media, url=url, shows="result, task.state", changes=changes)
    assert told == "None succeeded\n"


def dockerfile(*names, **arguments):
    """The command, and the environment, that a Dockerfile of these blocks gives; `arguments` are of `docker build`."""
    text = "\n".join(map(blocks.corrected, names))
    known = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE)) | arguments
    environment = {
        name: known[value[1:]] if value.startswith("$") else json.loads(value)
        for name, value in re.findall(r"^ENV (\w+)=(\S+)$", text, re.MULTILINE)
    }
    return json.loads(re.search(r"^CMD (.+)$", text, re.MULTILINE)[1]), environment


def test_a_container_starts_it_by_its_module_and_environment(program, tmp_path, free_port):
    module = tmp_path / "yourmodule" / "server.py"
    module.parent.mkdir()
    module.write_text(blocks.corrected("01_first_service"))
    command, environment = dockerfile("10_docker_start", "11_docker_backend", "12_docker_address", port=str(free_port))
    assert command[0] == "python"
    url = program(*command[1:], **environment)
    assert url == f"http://127.0.0.1:{free_port}"
    reply = httpx.post(f"{url}/predict", data={"my_param1": "boxed"})
    assert result(url, reply) == "my_awesome_prediction boxed 0"
