"""A server on 127.0.0.1 for one person's browser: what keeps other sites away, and what every page needs to send and to receive."""

from __future__ import annotations

import json
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from headstart.machinery.errors import HeadstartError

HOST = "127.0.0.1"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Server(ThreadingHTTPServer):
    """Serves one page, at a port or a socket that listens, until it is shut down or the process ends. Raises HeadstartError if the port is taken."""

    daemon_threads = True

    def __init__(self, at: int | socket.socket, handler: type[Handler]) -> None:
        self.lock = threading.Lock()
        if isinstance(at, socket.socket):
            super().__init__(at.getsockname(), handler, bind_and_activate=False)
            self.socket.close()
            self.socket = at
            return
        try:
            super().__init__((HOST, at), handler)
        except OSError as error:
            raise HeadstartError(f"port {at} cannot be used ({error.strerror}); give another with --port, or leave it out") from None

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def serve(self) -> None:
        """Serve until shut down. Raises KeyboardInterrupt when interrupted."""
        try:
            self.serve_forever(poll_interval=0.2)
        finally:
            self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers the page's requests: `get` and `post` of a page do the work.

    Other sites cannot ask: they have another Host or Origin, and may not send JSON or bytes here.
    """

    server: Server

    def get(self, path: str, asked: dict[str, list[str]]) -> bool:
        """Answer what is asked for; False if there is no such thing."""
        raise NotImplementedError

    def post(self, path: str) -> bool:
        """Do what is sent; False if there is no such thing."""
        return False

    def do_GET(self) -> None:
        """What `get` gives for our own page."""
        place = urlsplit(self.path)
        if self._ours() and not self.get(place.path, parse_qs(place.query)):
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """What `post` does for our own page."""
        if self._ours() and not self.post(urlsplit(self.path).path):
            self.send_error(HTTPStatus.NOT_FOUND)

    def _ours(self) -> bool:
        """Whether the request is of our page: a name that was made to point here has another Host."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        ours = {f"{name}:{self.server.server_address[1]}" for name in (HOST, "localhost")}
        fine = host in ours and (origin is None or origin.removeprefix("http://") in ours)
        if not fine:
            self.send_error(HTTPStatus.FORBIDDEN)
        return fine

    def sent(self, kind: str, most: int) -> bytes | None:
        """What was sent, of a media type and of so many bytes at most; None if it is something else."""
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            return None
        return self.rfile.read(length) if self.headers.get_content_type() == kind and 0 <= length <= most else None

    def sent_object(self, most: int) -> dict[str, Any] | None:
        """What was sent, an object in JSON; None if it is something else."""
        try:
            content = json.loads(self.sent("application/json", most) or b"")
        except ValueError:
            return None
        return content if isinstance(content, dict) else None

    def tell(self, content: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Send values as JSON."""
        self.send(json.dumps(content).encode(), "application/json", status)

    def send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Send bytes of a media type, which no browser keeps."""
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(content))), ("Cache-Control", "no-store")):
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing: the terminal is for people."""
