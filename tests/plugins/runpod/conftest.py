"""Real workers of Runpod's SDK behind the emulator; those that nothing is done to are shared by a module."""

from pathlib import Path

import farcall
import pytest
from farcall_runpod.emulator import Emulator, Endpoint

HERE = Path(__file__).parent
HANDLER = HERE / "handler.py"
STREAMER = HERE / "streamer.py"
KEY = "rpa_s3cret"


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    log = tmp_path_factory.mktemp("runpod") / "workers.log"
    with Emulator(Endpoint(program=HANDLER, id="voice", api_key=KEY, log_file=log)) as emulator:
        yield emulator


@pytest.fixture
def service(worker):
    with farcall.connect(f"runpod:{worker.url}", api_key=KEY) as service:
        yield service
