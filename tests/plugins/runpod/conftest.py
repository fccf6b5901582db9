"""Real workers of Runpod's SDK behind the emulator; those that nothing is done to are shared by a module."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


class Hooks(BaseHTTPRequestHandler):
    """Takes what is posted, and answers with the statuses it is told to."""

    def do_POST(self):
        self.server.queue.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.server.statuses.pop(0))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        """Be silent."""


@pytest.fixture
def hooks():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hooks)
    server.queue, server.statuses = queue.Queue(), []
    server.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
