"""flows.server.internals: what it uses of Prefect is still as it was read, in the version of Prefect that it names."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prefect
import pytest

from flows.server import internals
from tests import ROOT

READ_FROM = "3.8.8"
MOVED = (
    f"Prefect is {prefect.__version__}, and flows/server/internals.py was read from {READ_FROM}: read every function there against the new version "
    "(the other tests of this file say what differs), then change VERSION and READ_FROM"
)


def arguments(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters."""
    return list(inspect.signature(function).parameters)


def source(module: str) -> str:
    """The text of a module, which need not be imported for it: that of the server starts processes."""
    found = importlib.util.find_spec(module)
    assert found is not None, MOVED
    assert found.origin is not None
    return Path(found.origin).read_text(encoding="utf-8")


def test_prefect_is_the_version_that_was_read() -> None:
    assert prefect.__version__ == READ_FROM == internals.VERSION, MOVED
    assert f'"prefect=={READ_FROM}"' in (ROOT / "pyproject.toml").read_text(), MOVED


def test_nothing_else_names_private_parts_of_prefect() -> None:
    private = re.compile(
        r"PREFECT__|prefect(\.\w+)*\._|from prefect[\w.]* import _|\b_send_with_retry\b|\bdrain_all\b|\brefresh_global_settings_context\b"
    )
    files = sorted((ROOT / "flows").rglob("*.py"))
    naming = [file.name for file in files if private.search(file.read_text())]
    assert naming == ["internals.py"]


def test_the_application_needs_no_argument() -> None:
    module, _, name = internals.application().partition(":")
    [create] = [node for node in ast.parse(source(module)).body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(create.args.defaults) == len(create.args.args)
    assert not create.args.posonlyargs
    assert None not in create.args.kw_defaults


def test_a_server_reads_what_kind_it_is_from_its_environment() -> None:
    module = source("prefect.server.api.server")
    assert internals.serving(temporary=False).keys() < internals.serving(temporary=True).keys()
    for name in internals.serving(temporary=True):
        assert f'os.getenv("{name}")' in module


def test_leases_are_kept_in_files_under_a_lock(tmp_path: Path) -> None:
    from prefect.server.concurrency.lease_storage import get_concurrency_lease_storage
    from prefect.settings import PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE, temporary_settings

    with temporary_settings({PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE: internals.lease_storage()}):
        storage: Any = get_concurrency_lease_storage()
    assert type(storage).__module__ == internals.lease_storage()
    kept = type(storage)(tmp_path / storage.storage_path.name)
    assert internals.lease_lock(tmp_path).parent == kept.storage_path
    assert f'"{internals.lease_lock(tmp_path).name}"' in inspect.getsource(kept._lock_expiration_index)


def test_settings_can_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect import context

    monkeypatch.setattr(context, "GLOBAL_SETTINGS_CONTEXT", context.GLOBAL_SETTINGS_CONTEXT)
    monkeypatch.setenv("PREFECT_UI_STATIC_DIRECTORY", "elsewhere")
    before = context.GLOBAL_SETTINGS_CONTEXT
    internals.reread_settings()
    assert context.GLOBAL_SETTINGS_CONTEXT is not before
    assert context.GLOBAL_SETTINGS_CONTEXT is not None
    assert context.GLOBAL_SETTINGS_CONTEXT.settings.server.ui.static_directory == "elsewhere"


def test_what_is_held_for_the_server_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    drained: list[tuple[str, float]] = []
    for worker in (APILogWorker, EventsWorker):
        assert "timeout" in arguments(worker.drain_all)
        monkeypatch.setattr(worker, "drain_all", lambda timeout, worker=worker: drained.append((worker.__name__, timeout)))
    internals.flush(3.0)
    assert drained == [("APILogWorker", 3.0), ("EventsWorker", 3.0)]


def test_threads_that_talk_to_the_server_log_where_they_are_silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect._internal import concurrency

    monkeypatch.setattr(concurrency.logger, "level", concurrency.logger.level)
    internals.silence_threads()
    assert concurrency.logger.level == logging.CRITICAL


def test_clients_send_as_it_was_read() -> None:
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

    for client in (PrefectHttpxSyncClient, PrefectHttpxAsyncClient):
        expected = ["self", "request", "send", "send_args", "send_kwargs", "retry_codes", "retry_exceptions"]
        assert arguments(client._send_with_retry) == expected  # type: ignore[attr-defined]
        calls = inspect.getsource(client.send)
        assert re.search(r"self\._send_with_retry\(\s*request=", calls), "all by name"
        assert "send=super_send" in calls
        assert "retry_exceptions + (httpx.ConnectError,)" in calls


def test_a_run_renews_its_lease_as_it_was_read() -> None:
    from prefect.concurrency import _leases

    expected = ["lease_id", "lease_duration", "raise_on_lease_renewal_failure", "suppress_warnings"]
    assert arguments(_leases.maintain_concurrency_lease) == expected
    engine = source("prefect.flow_engine")
    assert re.search(r"from prefect\.concurrency\._leases import \([^)]*\bmaintain_concurrency_lease,", engine)
    assert re.search(r" maintain_concurrency_lease\(\s*lease_id, 300, raise_on_lease_renewal_failure=True\s*\)", engine)


def test_a_worker_starts_the_engine_and_names_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f'"-m", "{internals.ENGINE}"' in source("prefect.workers.process")
    assert 'if __name__ == "__main__":' in source(internals.ENGINE)
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    assert not internals.begun_by_worker()
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "some")
    assert internals.begun_by_worker()
    assert '"PREFECT__FLOW_RUN_ID": str(flow_run.id)' in source("prefect.runner._starter_engine")
    assert 'os.environ.get("PREFECT__FLOW_RUN_ID")' in source(internals.ENGINE)
