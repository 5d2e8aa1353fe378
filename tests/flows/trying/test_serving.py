"""flows.trying.serving: the page, answers to what is sent, and nothing for other sites or of this machine's files."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from flows.trying import serving
from flows.trying.asking import Trial
from headstart.machinery.errors import HeadstartError


class Told:
    """A trial that answers with what it was given."""

    def facts(self) -> dict[str, object]:
        return {"title": "models/final", "classes": ["ant", "bee"], "heat": True}

    def ask(self, content: bytes, name: str) -> dict[str, object]:
        return {"error": "", "label": name, "probability": len(content)}

    def look(self, content: bytes, label: str) -> str:
        if label != "ameise ü":
            raise HeadstartError(f"the model has no class {label!r}")
        return "data:,"


@pytest.fixture
def server() -> Iterator[serving.Server]:
    made = serving.Server(cast(Trial, Told()), 0)
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made
    made.shutdown()
    thread.join(10)
    assert not thread.is_alive()


def ask(server: serving.Server, path: str, content: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    given = {"Content-Type": serving.BYTES} if content is not None else {}
    connection.request("GET" if content is None else "POST", path, content, {**given, **headers})
    response = connection.getresponse()
    told = response.status, response.read()
    connection.close()
    return told


def test_the_page_needs_nothing_from_elsewhere(server: serving.Server) -> None:
    status, content = ask(server, "/")
    assert status == 200
    assert b"window.model" in content
    assert b"<!-- model -->" not in content
    assert b"http://" not in content
    assert b"https://" not in content
    assert json.loads(ask(server, "/facts")[1])["classes"] == ["ant", "bee"]


def test_a_picture_is_answered_and_looked_at(server: serving.Server) -> None:
    said: Any = json.loads(ask(server, "/ask", b"12345", **{"X-Name": "%C3%BC.jpg"})[1])
    assert (said["label"], said["probability"]) == ("ü.jpg", 5)
    assert json.loads(ask(server, "/look", b"1", **{"X-Name": "ameise%20%C3%BC"})[1]) == {"error": "", "picture": "data:,"}
    status, content = ask(server, "/look", b"1", **{"X-Name": "dog"})
    assert (status, json.loads(content)["error"]) == (400, "the model has no class 'dog'")


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        ("/", None, {"Host": "evil.example"}, 403),
        ("/facts", None, {"Origin": "http://evil.example"}, 403),
        ("/ask", b"1", {"Origin": "null"}, 403),
        ("/ask", b"1", {"Content-Type": "text/plain"}, 400),
        ("/ask", b"1", {"Content-Length": str(serving.LARGEST + 1)}, 400),
        ("/ask", b"1", {"Content-Length": "-1"}, 400),
        ("/ask", b"1", {"Content-Length": "many"}, 400),
        ("/../../etc/passwd", None, {}, 404),
        ("/page.js", None, {}, 404),
        ("/picture?path=/etc/passwd", None, {}, 404),
        ("/nothing", b"1", {}, 404),
    ],
)
def test_what_is_no_request_of_the_page_is_refused(
    path: str, content: bytes | None, headers: dict[str, str], status: int, server: serving.Server
) -> None:
    assert ask(server, path, content, **headers)[0] == status


def test_a_port_that_is_taken_is_said(server: serving.Server) -> None:
    with pytest.raises(HeadstartError, match="give another with --port"):
        serving.Server(cast(Trial, Told()), server.server_address[1])


def test_the_script_of_the_page_is_there() -> None:
    assert Path(serving.SCRIPT).read_text().count("window.model") == 1
