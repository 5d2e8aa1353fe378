"""The page of `headstart try` on 127.0.0.1: a picture in, what the model says out. No file of this machine can be asked for."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

from flows.pages import loopback
from flows.trying.asking import Trial
from headstart.exporting import page
from headstart.machinery.errors import HeadstartError

BYTES = "application/octet-stream"
LARGEST = 100 * 2**20  # bytes of a picture that is handed over
SCRIPT = Path(__file__).with_name("page.js")


class Server(loopback.Server):
    """Serves one model until the process ends. Raises HeadstartError if the port is taken."""

    def __init__(self, trial: Trial, port: int) -> None:
        self.trial = trial
        super().__init__(port, Handler)


class Handler(loopback.Handler):
    """Answers the page's requests; one picture at a time, whoever asks."""

    server: Server

    def get(self, path: str, asked: dict[str, list[str]]) -> bool:
        """The page, and what it says of the model."""
        if path == "/":
            script = SCRIPT.read_text(encoding="utf-8")
            self.send(page.html(f"<script>{script}</script>").encode(), "text/html; charset=utf-8")
        elif path == "/facts":
            self.tell(self.server.trial.facts())
        else:
            return False
        return True

    def post(self, path: str) -> bool:
        """What the model says of the picture that is sent, or the picture with what counted for a class."""
        if path not in ("/ask", "/look"):
            return False
        content = self.sent(BYTES, LARGEST)
        if content is None:
            self.close_connection = True  # what was sent is not read
            self.tell({"error": f"a picture of {LARGEST // 2**20} MB at most is expected"}, HTTPStatus.BAD_REQUEST)
            return True
        name = unquote(self.headers.get("X-Name", ""))
        with self.server.lock:
            if path == "/ask":
                self.tell(self.server.trial.ask(content, name))
                return True
            try:
                self.tell({"error": "", "picture": self.server.trial.look(content, name)})
            except HeadstartError as error:
                self.tell({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        return True
