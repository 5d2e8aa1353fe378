"""flows.server.registration.be_heard: the server knows a flow run from its first moment on."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import flow, get_client, runtime

from flows.server import registration
from tests.flows.server.test_operate import until


def test_the_server_hears_of_a_run_before_it_works(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)

    @flow
    def working() -> str:
        registration.be_heard()
        return str(runtime.flow_run.id)

    number = working()
    resource = {"id": [f"prefect.flow-run.{number}"]}
    wanted: Any = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": resource}}
    with get_client(sync_client=True) as client:
        until(lambda: client.request("POST", "/events/filter", json=wanted).json()["total"], "a heartbeat")


def test_a_server_that_is_away_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    registration.be_heard()
