"""flows.pages.reports: the reports of runs, by name, and no other file."""

from __future__ import annotations

import http.client
import os
import re
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


def test_words_and_links_of_the_list_are_readable_in_light_and_dark(server: loopback.Server) -> None:
    """4.5 to 1 at least: the browser's own colour of links is too dark on a dark page (WCAG 2.2, 1.4.3)."""

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    page = ask(server, "/")[1]
    sets = [dict(re.findall(r"--(\w+):#(\w{6})", one)) for one in re.findall(r":root{([^}]*)}", page)]
    assert len(sets) == 2
    for colours in sets:
        for name in ("ink", "soft", "link"):
            assert f"color:var(--{name})" in page
            dark, bright = sorted((light(colours[name]), light(colours["page"])))
            assert (bright + 0.05) / (dark + 0.05) >= 4.5


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
