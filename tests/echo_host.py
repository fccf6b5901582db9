"""An echo job server on a socket of this machine: the host that examples/farcall-echo speaks to."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CAN = {
    "shout": {"text": {"type": "string"}, "times": {"type": "integer", "default": 1}},
    "repeat": {"value": {}},
    "fail": {"why": {"type": "string"}},
    "sleep": {},
}
PHASES = ("waiting", "working")


class EchoHost(ThreadingHTTPServer):
    """Jobs that take two looks: waiting at the first, working and half done at the second, then at their end.

    Attributes:
        key: What a caller must show as a bearer token for a job; None: nothing.
        jobs: Ticket to what was asked, in order.
        started: Set when the first job has come.
    """

    daemon_threads = True

    def __init__(self, key=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = key
        self.jobs = {}
        self.looks = {}
        self.started = threading.Event()

    def handle_error(self, request, client_address):
        """A caller that left before its answer came is no fault of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def submit(self, asked):
        ticket = f"t{len(self.jobs) + 1}"
        self.jobs[ticket], self.looks[ticket] = asked, 0
        self.started.set()
        return {"ticket": ticket, "phase": "waiting"}

    def look(self, ticket):
        asked, seen = self.jobs[ticket], self.looks[ticket]
        self.looks[ticket] += 1
        if asked["do"] == "sleep" or seen < len(PHASES):
            phase = PHASES[min(seen, len(PHASES) - 1)]
            return {"ticket": ticket, "phase": phase, "part": 0.5 if phase == "working" else None}
        return {"ticket": ticket, **_end(asked["do"], asked["with"])}


def _end(do, given):
    if do == "fail":
        return {"phase": "broken", "error": given["why"]}
    if do == "repeat":
        return {"phase": "done", "result": given["value"]}
    return {"phase": "done", "result": given["text"].upper() * given.get("times", 1)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EchoHost

    def do_GET(self):
        self._serve(b"")

    def do_POST(self):
        self._serve(self.rfile.read(int(self.headers["content-length"])))

    def _serve(self, body):
        key = self.server.key
        if self.path == "/":
            self._answer(200, {"echo": 1, "can": CAN})
        elif key is not None and self.headers["authorization"] != f"Bearer {key}":
            self._answer(401, {"error": "show your key"})
        elif self.command == "POST" and self.path == "/jobs":
            self._answer(200, self.server.submit(json.loads(body)))
        elif (ticket := self.path.removeprefix("/jobs/")) in self.server.jobs:
            self._answer(200, self.server.look(ticket))
        else:
            self._answer(404, {"error": "no such thing"})

    def _answer(self, status, value):
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        """Keep quiet."""


@contextmanager
def running(key=None) -> Iterator[EchoHost]:
    """An echo host that answers until the block is left."""
    with EchoHost(key) as host:
        thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield host
        finally:
            host.shutdown()
            thread.join()
