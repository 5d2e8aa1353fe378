"""flows.server.patient: Prefect's client where the server is away for a while, or for good."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest

from flows.server import internals, patient

Ask = Callable[..., int]
Pausing = Callable[[Callable[[float], None]], None]


class Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def away() -> Iterator[http.server.HTTPServer]:
    """A web server that has its port and refuses connections until `server_activate` is called."""
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering, bind_and_activate=False)
    service.server_bind()
    with service:
        yield service


@pytest.fixture(params=["threads", "tasks"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask a server with a client of Prefect, by default one that was never answered; returns the status.

    `install` reaches these clients only: others of this process, which runs of earlier tests left, may still be answered by their server.
    """
    from prefect.client import base

    class Asynchronous(base.PrefectHttpxAsyncClient):
        pass

    class Synchronous(base.PrefectHttpxSyncClient):
        pass

    monkeypatch.setattr(base, "PrefectHttpxAsyncClient", Asynchronous)
    monkeypatch.setattr(base, "PrefectHttpxSyncClient", Synchronous)

    def in_threads(url: str, answered: bool) -> Any:
        with Synchronous() as client:
            client._has_connected = answered
            return client.get(url)

    async def in_tasks(url: str, answered: bool) -> Any:
        async with Asynchronous() as client:
            client._has_connected = answered
            return await client.get(url)

    def asked(service: http.server.HTTPServer, answered: bool = False) -> int:
        url = f"http://127.0.0.1:{service.server_port}/api/health"
        answer = in_threads(url, answered) if request.param == "threads" else asyncio.run(in_tasks(url, answered))
        return int(answer.status_code)

    return asked


@pytest.fixture
def pausing(monkeypatch: pytest.MonkeyPatch) -> Pausing:
    """Have something called instead of each pause between two tries."""

    def called(pause: Callable[[float], None]) -> None:
        async def in_task(seconds: float) -> None:
            pause(seconds)

        monkeypatch.setattr(patient.time, "sleep", pause)
        monkeypatch.setattr(anyio, "sleep", in_task)

    return called


def test_a_new_client_waits_for_a_server_that_comes_back(ask: Ask, away: http.server.HTTPServer, pausing: Pausing) -> None:
    refused: list[float] = []
    thread = threading.Thread(target=away.serve_forever, kwargs={"poll_interval": 0.05})

    def pause(seconds: float) -> None:
        refused.append(seconds)
        if len(refused) == 5:
            away.server_activate()
            thread.start()

    with pytest.raises(httpx.ConnectError):
        ask(away)  # as Prefect is by itself
    absence = patient.Absence()
    patient.install(absence)
    pausing(pause)
    try:
        assert ask(away) == 200
    finally:
        if thread.ident:
            away.shutdown()
            thread.join()
    assert refused == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert absence.began is None, "the next absence begins anew"


def test_clients_wait_two_minutes_in_all_for_a_server_that_does_not_come_back(
    ask: Ask, away: http.server.HTTPServer, pausing: Pausing, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, pauses = [0.0], [0.0]

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    patient.install(patient.Absence(clock=lambda: now[0]))
    pausing(pause)
    with pytest.raises(httpx.ConnectError):
        ask(away)
    assert 120 <= sum(pauses) <= 125
    before = len(pauses)
    with pytest.raises(httpx.ConnectError):
        ask(away, answered=True)
    assert len(pauses) == before, "whoever asks later does not wait again"


def test_where_nothing_is_bearable_a_client_that_was_answered_asks_once(ask: Ask, away: http.server.HTTPServer, pausing: Pausing) -> None:
    pauses: list[float] = []
    patient.install(patient.Absence(bearable=0.0))
    pausing(pauses.append)
    with pytest.raises(httpx.ConnectError):
        ask(away, answered=True)
    assert pauses == []


def test_a_run_goes_on_when_its_lease_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.concurrency import _leases

    given: list[tuple[object, ...]] = []

    def maintain(lease_id: UUID, lease_duration: float, raise_on_lease_renewal_failure: bool = False) -> contextlib.nullcontext[None]:
        given.append((lease_id, lease_duration, raise_on_lease_renewal_failure))
        return contextlib.nullcontext()

    monkeypatch.setattr(_leases, "maintain_concurrency_lease", maintain)
    internals.outlive_leases()
    lease = UUID(int=1)
    with _leases.maintain_concurrency_lease(lease, 300, raise_on_lease_renewal_failure=True):
        pass
    assert given == [(lease, 300, False)]


def test_a_module_runs_as_if_it_had_been_started_itself(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(
        "import sys\nfrom prefect.client.base import PrefectHttpxSyncClient as client\n"
        "print(__name__, sys.argv[1:], client._send_with_retry.__module__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "flows.server.patient", "told", "--pool", "x"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "__main__ ['--pool', 'x'] flows.server.internals\n"
