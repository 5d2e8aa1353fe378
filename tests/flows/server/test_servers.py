"""Which Prefect server a run talks to, and what happens where it is away or dies."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli import main
from flows.server import servers
from headstart.machinery.errors import HeadstartError


@pytest.fixture
def web() -> Iterator[tuple[str, list[int]]]:
    """A web server on loopback: its address, and the status that it answers with."""
    status = [200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{service.server_port}/api", status
        service.shutdown()
        thread.join()


@pytest.fixture
def nowhere() -> str:
    """The address of a server that is away."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/api"


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_server_that_refuses_answers_all_the_same(web: tuple[str, list[int]], status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    address, answer = web
    answer[0] = status
    monkeypatch.setattr(servers, "configured", lambda: address)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert servers.answers()


def test_a_run_does_without_a_server_that_is_away(
    nowhere: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    temporary, given = contextlib.nullcontext(), contextlib.nullcontext()
    monkeypatch.setattr(servers, "temporary", lambda: temporary)
    monkeypatch.setattr(servers, "given", lambda: given)
    monkeypatch.setattr(servers, "configured", lambda: nowhere)
    assert servers.chosen() is temporary
    assert f"{nowhere} does not answer" in capsys.readouterr().err
    monkeypatch.setattr(servers, "answers", lambda: True)
    assert servers.chosen() is given
    monkeypatch.setattr(servers, "configured", lambda: None)
    assert servers.chosen() is temporary
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("home", ["file/home", "home"])
def test_a_home_that_cannot_be_written_is_not_needed(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path / home), "PREFECT_API_URL": "http://127.0.0.1:9/api"})
    servers.configure()
    own = str(servers.HOME.resolve())
    assert os.environ.get("PREFECT_HOME") == (own if home == "file/home" else None)
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:9/api"


def test_a_process_is_known_by_more_than_its_number() -> None:
    mark = servers.mark(os.getpid())
    assert servers.alive(mark)
    assert not servers.alive({**mark, "born": "at another time"})
    assert not servers.alive(None)


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("ended", [True, False])
def test_a_developed_source_counts_though_its_server_died(
    ended: bool, toy_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.pipeline import develop
    from flows.projects import develop_folder

    def run(source: str, **_: object) -> None:
        if ended:
            develop.ended.append({"name": "demo", "card": {}, "outcomes": [{"stage": "register_source", "outcome": "ran", "seconds": 1.0}]})
            raise ConnectionError("the server is gone")
        try:
            raise HeadstartError("not registered: no better than chance")
        except HeadstartError:
            raise ConnectionError("the server is gone")  # noqa: B904

    left: list[int] = []
    answers = iter((True, False))  # at the beginning, and after the run
    monkeypatch.setattr(develop, "develop", run)
    monkeypatch.setattr(servers, "answers", lambda: next(answers))
    monkeypatch.setattr(develop_folder, "summary", lambda *_: "the source")
    monkeypatch.setattr(os, "_exit", left.append)
    assert main.main(["develop", "demo"]) == (0 if ended else 1)
    out, err = capsys.readouterr()
    if ended:
        assert out == "register_source ran 1.0\n\nthe source\n"
        assert "the Prefect server died; the run went through" in err
        assert left == [0]
    else:
        assert err.endswith("error: not registered: no better than chance\n")
        assert left == []


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("ended", [True, False])
def test_a_run_whose_server_died_counts_if_it_went_through(
    ended: bool, toy_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.pipeline import transfer
    from flows.results import show

    def run(**_: object) -> None:
        if ended:
            transfer.ended.append([{"stage": "report", "outcome": "ran", "seconds": 1.0}])
        raise ConnectionError("the server is gone")

    left: list[int] = []
    answers = iter((True, False))  # at the beginning, and after the run
    monkeypatch.setattr(transfer, "transfer", run)
    monkeypatch.setattr(servers, "answers", lambda: next(answers))
    monkeypatch.setattr(show, "summary", lambda: "the result")
    monkeypatch.setattr(os, "_exit", left.append)
    transfer.ended.append([])  # of an earlier run
    assert main.main(["run"]) == (0 if ended else 1)
    out, err = capsys.readouterr()
    if ended:
        assert out == "report ran 1.0\n\nthe result\n"
        assert "the Prefect server died; the run went through" in err
        assert left == [0]
    else:
        assert "ConnectionError: the server is gone" in err
        assert left == []


def test_a_path_too_long_for_the_database_is_said_before_a_server_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "HOME", tmp_path / "/".join(["d" * 200] * 3))
    monkeypatch.setattr(servers.child, "start", lambda *_, **__: pytest.fail("a server was started"))
    with pytest.raises(HeadstartError, match="too long for Prefect's database"), servers.temporary():
        pass
