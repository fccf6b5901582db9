"""The Runpod example: the same two programs here and behind the emulator, and an image made of what there is."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
from conftest import Served
from farcall_server.serve import load
from house.repository import ROOT

EXAMPLE = ROOT / "examples" / "runpod"
DOCKERFILE = (EXAMPLE / "Dockerfile").read_text()


@pytest.fixture
def voice(monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:])
    return load(EXAMPLE / "voice.py")[0]


@pytest.fixture
def places(voice, runpod_emulator, own_home):
    """The example's farcall.toml, with the addresses at which the service really is."""
    served, emulator = Served(voice), runpod_emulator(EXAMPLE / "voice.py", id="voice")
    table = (EXAMPLE / "farcall.toml").read_text()
    table = table.replace("http://127.0.0.1:8000", served.url).replace("http://127.0.0.1:8010/v2/voice", emulator.url)
    (own_home / "farcall.toml").write_text(table)
    yield own_home, emulator
    served.stop()


def run(*words, **environment):
    environment = {**os.environ, "RUNPOD_API_KEY": "any", "COLUMNS": "200", **environment}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def farcall(*words):
    return run("-c", "from farcall.cli import main; main()", *words)


def test_the_same_program_calls_the_voice_here_and_as_a_worker(places):
    home, emulator = places
    here = run(str(EXAMPLE / "call.py"))
    there = run(str(EXAMPLE / "call.py"), FARCALL_PROFILE="emulator")
    assert here.splitlines()[-6:] == there.splitlines()[-6:] == ["HELLO"] * 5 + ["one  two  three "]
    assert "speaking" in here
    assert "speaking" in there
    assert farcall("check", "voice", "--profile", "emulator") == "voice offers the same under 'emulator'.\n"
    jobs = emulator.requests["run"] + emulator.requests["runsync"]
    listed = [line.split("│") for line in farcall("services").splitlines() if line.startswith("│")]
    rows = {row[2].strip(): [cell.strip() for cell in row[3:7]] for row in listed}
    assert rows[""][0] == "fasttaskapi"
    assert rows[""][3] == "yes"
    assert (rows["emulator"][0], rows["emulator"][2], rows["emulator"][3]) == ("runpod", "RUNPOD_API_KEY", "yes")
    assert emulator.requests["run"] + emulator.requests["runsync"] == jobs  # asking who answers starts no worker
    assert emulator.requests["health"] == 1
    called = farcall("call", "voice", "speak", "text=hi", "--profile", "emulator")
    assert (home / called.strip().strip('"')).read_text() == "HI"


def test_what_the_image_copies_is_there_and_is_not_ignored():
    copied = [line.split()[1] for line in DOCKERFILE.splitlines() if line.startswith("COPY")]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    ignored = (EXAMPLE / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} <= set(ignored)


def test_what_the_image_installs_is_what_the_backend_needs():
    (installed,) = re.findall(r"pip install -c constraints.txt \\\n\s+(.*) \\\n", DOCKERFILE)
    names = [word.strip('"').partition("[") for word in installed.split()]
    projects = [tomllib.loads((ROOT / n.removeprefix("farcall/") / "pyproject.toml").read_text()) for n, _, _ in names]
    given = {made["project"]["name"] for made in projects}
    extras = [(made["project"], extra.strip("]")) for made, (_, _, extra) in zip(projects, names, strict=True) if extra]
    wanted = {need for made in projects for need in made["project"]["dependencies"]}
    wanted |= {need for project, extra in extras for need in project["optional-dependencies"][extra]}
    assert {need.partition("=")[0] for need in wanted if need.startswith("farcall")} <= given
    assert [extra for _, extra in extras] == ["worker"]


def test_the_images_command_is_one_that_exists():
    (command,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert command == '["farcall", "serve", "voice.py", "--backend", "runpod"]'
