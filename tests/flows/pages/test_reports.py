"""flows.pages.reports: the reports of runs, by name, and no other file."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.pages import loopback, reports
from flows.server import neighbours


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[loopback.Server]:
    monkeypatch.chdir(tmp_path)
    made = loopback.Server(0, reports.Handler)
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made
    made.shutdown()
    thread.join(10)
    assert not thread.is_alive()


def ask(server: loopback.Server, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    told = response.status, response.read().decode()
    connection.close()
    return told


def left(text: str) -> None:
    reports.CURRENT.parent.mkdir(parents=True, exist_ok=True)
    reports.CURRENT.write_text(text)


def test_who_asks_before_it_serves_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port is opened by the one who starts the process, which takes a while to be there."""
    monkeypatch.chdir(tmp_path)
    with neighbours.listening(0) as ear, socket.create_connection(ear.getsockname(), timeout=20) as early:
        early.sendall(b"GET /current HTTP/1.0\r\nHost: 127.0.0.1:%d\r\n\r\n" % ear.getsockname()[1])
        made = loopback.Server(ear, reports.Handler)
        thread = threading.Thread(target=made.serve)
        thread.start()
        assert b" 404 " in early.recv(4096)
        made.shutdown()
        thread.join(10)


def test_each_run_has_its_report_and_the_list_names_them(server: loopback.Server) -> None:
    assert "There is no report yet" in ask(server, "/")[1]
    assert ask(server, "/current")[0] == 404
    for name in ("amber-fox", '<b>&"ü x'):
        left(f"<p>{name}</p>")
        reports.keep(name)
    assert ask(server, "/current") == (200, '<p><b>&"ü x</p>')
    for name in ("amber-fox", '<b>&"ü x'):
        assert ask(server, f"/{reports.place(name)}") == (200, f"<p>{name}</p>")
    page = ask(server, "/")[1]
    assert 'href="run/amber-fox"' in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    "path", ["/run/", "/run/../../params.yaml", "/run/%2e%2e%2f%2e%2e%2fparams", "/params.yaml", "/run/.hidden", "/run/other"]
)
def test_no_other_file_is_served(server: loopback.Server, path: str) -> None:
    left("<p>")
    reports.keep("amber-fox")
    Path("params.yaml").write_text("seed: 0")
    Path("params.html").write_text("secret")
    (reports.FOLDER / ".hidden.html").write_text("half-written")
    assert ask(server, path)[0] == 404
    assert ask(server, "/", Host="evil.example")[0] == 403


def test_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reports, "MOST", 3)
    reports.keep("none")
    assert not reports.FOLDER.exists(), "there is no report"
    left("<p>")
    for number in range(5):
        reports.keep(f"run-{number}")
        os.utime(reports.FOLDER / f"run-{number}.html", (number, number))
    reports.keep("last")
    reports.keep("../outside")
    assert sorted(path.stem for path in reports.FOLDER.iterdir()) == ["last", "run-3", "run-4"]
