"""The page on 127.0.0.1, for one person: the list, pictures of the files in it, and answers. Nothing else can be asked for."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from flows.pages import loopback
from headstart.base.grey import Grey
from headstart.data import images
from headstart.machinery.errors import HeadstartError

LARGEST, SMALL = 1200, 240  # pixels of a picture, longer side
ANY_SIZE = 2**31  # pixels: what is larger was set aside when the data set was indexed
BODY = 100_000  # bytes of an answer, at most


class Reviewing(Protocol):
    """What a person is asked, and what was said."""

    page: Path
    file: Path

    @property
    def known(self) -> set[str]:
        """The images that the page may show."""

    def take(self, content: dict[str, Any]) -> None:
        """Note an answer, as the page sends it. Raises HeadstartError for what was not asked."""

    def undo(self) -> None:
        """Take the last answer back."""

    def state(self) -> Mapping[str, Any]:
        """What the page shows."""


class Server(loopback.Server):
    """Serves one review until `finish` is asked for, or the process ends. Raises HeadstartError if the port is taken."""

    def __init__(self, review: Reviewing, folder: Path, grey: Grey | None, port: int) -> None:
        self.review, self.folder, self.grey = review, folder, grey
        self.known = review.known
        super().__init__(port, Handler)

    def picture(self, path: str, side: int) -> bytes:
        """A file of the list as JPEG. Raises Unreadable for one that cannot be decoded."""
        image = images.open_image(self.folder / path, ANY_SIZE, near=side, scale=self.grey)
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=88)
        return buffer.getvalue()


class Handler(loopback.Handler):
    """Answers the page's requests."""

    server: Server

    def get(self, path: str, asked: dict[str, list[str]]) -> bool:
        """The page, its state, or a picture of a file in the list."""
        if path == "/":
            self.send(self.server.review.page.read_bytes(), "text/html; charset=utf-8")
        elif path == "/state":
            self.tell(self.server.review.state())
        else:
            return path == "/picture" and self._picture(asked)
        return True

    def post(self, path: str) -> bool:
        """An answer, to take the last one back, or that the person is done; the new state comes back."""
        actions: dict[str, Callable[[dict[str, Any]], None]] = {"/answer": self._answer, "/undo": self._undo, "/finish": self._finish}
        if path not in actions:
            return False
        content = self.sent_object(BODY)
        if content is None:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return True
        try:
            with self.server.lock:
                actions[path](content)
        except HeadstartError as error:
            self.tell({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        except OSError as error:
            said = f"the answer could not be written to {self.server.review.file}: {error.strerror}"
            self.tell({"error": said}, HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self.tell(self.server.review.state())
        return True

    def _answer(self, content: dict[str, Any]) -> None:
        self.server.review.take(content)

    def _undo(self, _: dict[str, Any]) -> None:
        self.server.review.undo()

    def _finish(self, _: dict[str, Any]) -> None:
        threading.Thread(target=self.server.shutdown, daemon=True).start()

    def _picture(self, asked: dict[str, list[str]]) -> bool:
        path = asked.get("path", [""])[0]
        if path not in self.server.known:
            return False
        try:
            self.send(self.server.picture(path, SMALL if "small" in asked else LARGEST), "image/jpeg")
        except images.Unreadable:
            return False
        return True


def serve(server: Server) -> None:
    """Serve until the person is done. Raises KeyboardInterrupt when interrupted."""
    server.serve()
