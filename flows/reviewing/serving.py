"""The page on 127.0.0.1, for one person: the list, pictures of the files in it, and answers. Nothing else can be asked for."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flows.reviewing.answers import Review
from headstart.base.grey import Grey
from headstart.data import images
from headstart.machinery.errors import HeadstartError

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page.html"
LARGEST, SMALL = 1200, 240  # pixels of a picture, longer side
ANY_SIZE = 2**31  # pixels: what is larger was set aside when the data set was indexed
BODY = 100_000  # bytes of an answer, at most
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"


class Server(ThreadingHTTPServer):
    """Serves one review until `finish` is asked for, or the process ends."""

    daemon_threads = True

    def __init__(self, review: Review, folder: Path, grey: Grey | None, port: int) -> None:
        self.review, self.folder, self.grey = review, folder, grey
        self.known = {path for one in review.doubts for path in (one["path"], *(near["path"] for near in one["neighbours"]))}
        self.lock = threading.Lock()
        super().__init__((HOST, port), Handler)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def picture(self, path: str, side: int) -> bytes:
        """A file of the list as JPEG. Raises Unreadable for one that cannot be decoded."""
        image = images.open_image(self.folder / path, ANY_SIZE, near=side, scale=self.grey)
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=88)
        return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers the page's requests. Other sites cannot: they have another Host or Origin, and may not send JSON here."""

    server: Server

    def do_GET(self) -> None:
        """The page, its state, or a picture of a file in the list."""
        place = urlsplit(self.path)
        if not self._ours():
            return
        if place.path == "/":
            self._send(PAGE.read_bytes(), "text/html; charset=utf-8")
        elif place.path == "/state":
            self._state()
        elif place.path == "/picture":
            self._picture(parse_qs(place.query))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """An answer, to take the last one back, or that the person is done; the new state comes back."""
        if not self._ours():
            return
        actions: dict[str, Callable[[dict[str, Any]], None]] = {"/answer": self._answer, "/undo": self._undo, "/finish": self._finish}
        action, content = actions.get(self.path), self._content()
        if action is None or content is None:
            self.send_error(HTTPStatus.NOT_FOUND if action is None else HTTPStatus.BAD_REQUEST)
            return
        try:
            with self.server.lock:
                action(content)
        except HeadstartError as error:
            self._send(json.dumps({"error": str(error)}).encode(), "application/json", HTTPStatus.BAD_REQUEST)
        except OSError as error:
            said = f"the answer could not be written to {self.server.review.file}: {error.strerror}"
            self._send(json.dumps({"error": said}).encode(), "application/json", HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self._state()

    def _answer(self, content: dict[str, Any]) -> None:
        path, said, label = (content.get(name) for name in ("path", "answer", "label"))
        if not (isinstance(path, str) and isinstance(label, str) and said in ("keep", "change", "drop", "unsure")):
            raise HeadstartError("an answer has path, answer and label")
        self.server.review.answer(path, said, label)

    def _undo(self, _: dict[str, Any]) -> None:
        self.server.review.undo()

    def _finish(self, _: dict[str, Any]) -> None:
        threading.Thread(target=self.server.shutdown, daemon=True).start()

    def _ours(self) -> bool:
        """Whether the request is of our page: a name that was made to point here has another Host."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        ours = {f"{name}:{self.server.server_address[1]}" for name in (HOST, "localhost")}
        fine = host in ours and (origin is None or origin.removeprefix("http://") in ours)
        if not fine:
            self.send_error(HTTPStatus.FORBIDDEN)
        return fine

    def _content(self) -> dict[str, Any] | None:
        """What was sent, an object in JSON; None if it is something else."""
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if self.headers.get_content_type() != "application/json" or not 0 <= length <= BODY:
                return None
            content = json.loads(self.rfile.read(length))
        except ValueError:
            return None
        return content if isinstance(content, dict) else None

    def _state(self) -> None:
        self._send(json.dumps(self.server.review.state()).encode(), "application/json")

    def _picture(self, asked: dict[str, list[str]]) -> None:
        path = asked.get("path", [""])[0]
        if path not in self.server.known:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            self._send(self.server.picture(path, SMALL if "small" in asked else LARGEST), "image/jpeg")
        except images.Unreadable:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(content))), ("Cache-Control", "no-store")):
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing: the terminal is for people."""


def start(review: Review, folder: Path, grey: Grey | None, port: int) -> Server:
    """A server that is ready. Raises HeadstartError if the port is taken."""
    try:
        return Server(review, folder, grey, port)
    except OSError as error:
        raise HeadstartError(f"port {port} cannot be used ({error.strerror}); give another with --port, or leave it out") from None


def serve(server: Server) -> None:
    """Serve until the person is done. Raises KeyboardInterrupt when interrupted."""
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()
