"""A proxy between a client and a real storage that counts requests and, when a test says so, gets in their way."""

import base64
import contextlib
import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HOP = frozenset({"connection", "expect", "keep-alive", "transfer-encoding"})
PIECE = 64 * 1024


@dataclass
class Asked:
    """One request that came by."""

    method: str
    path: str
    query: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict, repr=False)

    @property
    def part(self):
        """The number of the part it brings; None if it brings none."""
        if self.method == "PUT" and "partNumber" in self.query:
            return int(self.query["partNumber"][0])
        if self.method == "PUT" and self.query.get("comp") == ["block"]:
            return int(base64.b64decode(self.query["blockid"][0]).rpartition(b"-")[2])
        return None

    @property
    def finishes(self):
        """Whether it makes the parts a file."""
        return (self.method == "POST" and "uploadId" in self.query) or self.query.get("comp") == ["blocklist"]

    @property
    def deletes(self):
        """Whether it deletes a file."""
        return self.method == "DELETE" and "uploadId" not in self.query

    @property
    def stores(self):
        """Whether it stores a file at once."""
        return self.method == "PUT" and not {"partNumber", "comp", "restype"} & set(self.query)


@dataclass
class Reply:
    """An answer in the storage's place."""

    status: int
    headers: dict = field(default_factory=dict)
    content: bytes = b""


class Between:
    """The proxy. `rule(asked)` returns None to pass a request on, or a `Reply`; `cut_after` breaks each range once.

    The answer to the first request for which `lose(asked)` is true is lost.
    """

    def __init__(self, port):
        self.asked = []
        self.rule = lambda asked: None
        self.lose = lambda asked: False
        self.cut_after = None
        self.cut = set()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"between": self, "upstream": port})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def parts(self):
        """The numbers of the parts that were asked to be stored, in order."""
        return sorted(asked.part for asked in self.asked if asked.part is not None)

    @contextlib.contextmanager
    def counting(self, asked):
        with self._lock:
            self.asked.append(asked)
            if asked.part is not None:
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self._lock:
                self.at_once -= asked.part is not None

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        asked = Asked(self.command, url.path, query, {k.lower(): v for k, v in self.headers.items()})
        with self.between.counting(asked):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            reply = self.between.rule(asked)
            if reply is not None:
                self._answer(reply.status, reply.headers, [reply.content], len(reply.content))
                return
            connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
            with contextlib.closing(connection):
                kept = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in kept.items():
                    connection.putheader(name, value)
                connection.endheaders(body or None)
                answer = connection.getresponse()
                if self.between.lose(asked):
                    self.between.lose = lambda asked: False
                    answer.read()
                    self._cut()
                else:
                    self._relay(answer)

    def _relay(self, answer):
        length = answer.getheader("content-length")
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in HOP}
        pieces = iter(lambda: answer.read(PIECE), b"")
        if length is None and self.command != "HEAD":
            content = b"".join(pieces)
            self._answer(answer.status, headers, [content], len(content))
        else:
            self._answer(answer.status, headers, pieces, None)

    def _answer(self, status, headers, pieces, length):
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        sent = 0
        for piece in pieces:
            self.wfile.write(piece)
            sent += len(piece)
            if sent >= (self.between.cut_after or sent + 1) and self._for_the_first_time():
                self._cut()
                return

    def _for_the_first_time(self):
        asked = self.path, self.headers.get("range") or self.headers.get("x-ms-range")
        known = self.command != "GET" or asked in self.between.cut
        self.between.cut.add(asked)
        return not known

    def _cut(self):
        self.close_connection = True

    def handle(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            super().handle()

    def log_message(self, *_):
        pass


for _method in ("GET", "PUT", "POST", "DELETE", "HEAD"):
    setattr(_Handler, f"do_{_method}", _Handler._pass_on)
