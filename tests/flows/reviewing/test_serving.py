"""flows.reviewing.serving: the page, pictures of the list alone, answers, and nothing for other sites."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.reviewing import serving
from flows.reviewing.serving import Server
from headstart.importing import reviewed
from headstart.machinery.errors import HeadstartError
from tests import toy
from tests.flows.reviewing.test_answers import doubt, review

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    toy.images(tmp_path / "images", ("ant", "bee"), per_class=2)
    one = doubt("ant/0000.png")
    one["neighbours"] = [{"path": "bee/0001.png", "label": "bee"}]
    made = serving.Server(review(tmp_path, [one]), tmp_path / "images", None, 0)
    thread = threading.Thread(target=serving.serve, args=(made,))
    thread.start()
    yield made
    made.shutdown()
    thread.join(10)
    assert not thread.is_alive()


def ask(server: Server, path: str, content: object = None, **headers: str) -> tuple[int, bytes]:
    """The status and the content of an answer; with `content` it is a POST."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    body = None if content is None else json.dumps(content) if not isinstance(content, str) else content
    connection.request("GET" if content is None else "POST", path, body, {**({} if content is None else JSON), **headers})
    response = connection.getresponse()
    told = response.status, response.read()
    connection.close()
    return told


def test_the_page_needs_nothing_from_elsewhere(server: Server) -> None:
    status, content = ask(server, "/")
    assert status == 200
    assert b"http://" not in content
    assert b"https://" not in content
    assert server.address == f"http://127.0.0.1:{server.server_address[1]}/"


def test_an_answer_is_written_and_undone(server: Server) -> None:
    state: Any = json.loads(ask(server, "/state")[1])
    assert (state["answers"], state["can_undo"], state["classes"]) == ({}, False, ["ant", "bee", "cat"])
    status, content = ask(server, "/answer", {"path": "ant/0000.png", "answer": "change", "label": "bee"})
    assert (status, json.loads(content)["answers"]) == (200, {"ant/0000.png": ["change", "bee"]})
    assert [tuple(row) for row in reviewed.read(server.review.file)] == [("ant/0000.png", "ant", "change", "bee")]
    assert json.loads(ask(server, "/undo", {})[1])["answers"] == {}
    assert reviewed.read(server.review.file) == []


def test_pictures_of_the_list_and_of_what_is_like_it_alone(server: Server) -> None:
    for path in ("ant/0000.png", "bee/0001.png"):
        status, content = ask(server, f"/picture?path={path}")
        assert (status, Image.open(io.BytesIO(content)).format) == (200, "JPEG")
    for path in ("bee/0000.png", "../reviewed.csv", "/etc/passwd", ""):
        assert ask(server, f"/picture?path={path}")[0] == 404
    (server.folder / "ant/0000.png").write_bytes(b"no image")
    assert ask(server, "/picture?path=ant/0000.png")[0] == 404


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        ("/", None, {"Host": "evil.example"}, 403),
        ("/state", None, {"Origin": "http://evil.example"}, 403),
        ("/answer", {}, {"Origin": "null"}, 403),
        ("/answer", {"path": "ant/0000.png", "answer": "keep", "label": "ant"}, {"Content-Type": "text/plain"}, 400),
        ("/answer", "[", {}, 400),
        ("/answer", [], {}, 400),
        ("/answer", {"path": "ant/0000.png", "answer": "perhaps", "label": "ant"}, {}, 400),
        ("/answer", {"path": "ant/0000.png", "answer": "change", "label": "dog"}, {}, 400),
        ("/nothing", {}, {}, 404),
        ("/nothing", None, {}, 404),
    ],
)
def test_what_is_no_request_of_the_page_changes_nothing(
    path: str, content: object, headers: dict[str, str], status: int, server: Server
) -> None:
    assert ask(server, path, content, **headers)[0] == status
    assert not server.review.file.exists()


def test_an_answer_that_cannot_be_written_is_said_and_nothing_is_lost(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reviewed, "write", full)
    status, content = ask(server, "/answer", {"path": "ant/0000.png", "answer": "keep", "label": "ant"})
    assert status == 500
    assert "could not be written" in json.loads(content)["error"]
    assert ask(server, "/state")[0] == 200


def test_the_person_is_done(tmp_path: Path) -> None:
    made = serving.Server(review(tmp_path, [doubt("ant/0000.png")]), tmp_path, None, 0)
    thread = threading.Thread(target=serving.serve, args=(made,))
    thread.start()
    assert ask(made, "/finish", {})[0] == 200
    thread.join(10)
    assert not thread.is_alive()


def test_a_port_that_is_taken_is_said(server: Server, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="give another with --port"):
        serving.Server(review(tmp_path, []), tmp_path, None, server.server_address[1])
