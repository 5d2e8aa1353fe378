"""What Headstart uses of Prefect beyond its public interface, as read from Prefect 3.8.8.

One function for each thing. Nothing else in Headstart names private parts of Prefect. tests/flows/server/test_internals.py checks that
each of them is still as it was read. When the pin of Prefect in pyproject.toml moves, run that test, read the new version for whatever
fails, and set VERSION.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    import httpx

VERSION = "3.8.8"  # of Prefect, that all of this was read from
ENGINE = "prefect.engine"  # the module that a worker starts for a flow run (prefect/workers/process.py)

Send = Callable[..., "httpx.Response"]  # sends one request
AsyncSend = Callable[..., Awaitable["httpx.Response"]]


def application() -> str:
    """What uvicorn is to serve with `--factory`: Prefect's API and UI.

    In prefect/server/api/server.py, all arguments of `create_app` have defaults.
    """
    return "prefect.server.api.server:create_app"


def serving(*, temporary: bool) -> dict[str, str]:
    """Environment of a server's process.

    A temporary server does without the services that nobody waits for, such as schedules. `create_app` of prefect/server/api/server.py
    reads these variables. FINAL says that the process makes no second application, so that some work can be left out.
    """
    return {"PREFECT__SERVER_FINAL": "1", **({"PREFECT__SERVER_EPHEMERAL": "1"} if temporary else {})}


def lease_storage() -> str:
    """Value of the setting PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE that keeps leases in files.

    Leases in files outlive the server. It is a module with a class ConcurrencyLeaseStorage; prefect/server/concurrency/lease_storage/
    has this one and `memory`.
    """
    return "prefect.server.concurrency.lease_storage.filesystem"


def lease_lock(home: Path) -> Path:
    """The lock file of `lease_storage` in a PREFECT_HOME.

    It is there while a server writes, with the process id of the server in it. In
    prefect/server/concurrency/lease_storage/filesystem.py, `ConcurrencyLeaseStorage._lock_expiration_index` makes it.
    """
    return home / "concurrency_leases/expirations.lock"


def reread_settings() -> None:
    """Have Prefect, which read its environment when it was imported, read it again.

    prefect/context.py has `refresh_global_settings_context` for that.
    """
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


def flush(patience: float) -> None:
    """Send what Prefect's threads still hold for the server, for up to `patience` seconds each.

    At exit they would do so themselves. They are services of prefect/_internal/concurrency/services.py, which has `drain_all`: of logs
    in prefect/logging/handlers.py, of events in prefect/events/worker.py.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=patience)


def silence_threads() -> None:
    """Have the threads that talk to the server write no tracebacks to the terminal.

    They would if the server is away. Their logger (prefect/_internal/concurrency/__init__.py) writes through a handler of its own
    (prefect/logging/logging.yml).
    """
    logging.getLogger("prefect._internal.concurrency").setLevel(logging.CRITICAL)


def send_through(in_threads: Callable[[Send], Send], in_tasks: Callable[[AsyncSend], AsyncSend]) -> None:
    """Have Prefect's clients send each request through what these two make of their `send`.

    This goes for all clients of this process. Refused connections (httpx.ConnectError) are left to the two; whatever else goes wrong
    the clients treat as before. In prefect/client/base.py, `send` of both clients calls `_send_with_retry` and names all arguments:
    among them `send`, which is the method of httpx, and `retry_exceptions`, which has ConnectError in it once the client was answered.
    """
    import httpx
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

    def wrapped(original: Callable[..., Any], through: Callable[[Any], Any]) -> Callable[..., Any]:
        def send_with_retry(self: object, *, send: Any, retry_exceptions: tuple[type[Exception], ...], **named: Any) -> Any:
            others = tuple(kind for kind in retry_exceptions if kind is not httpx.ConnectError)  # else both of us would wait
            return original(self, send=through(send), retry_exceptions=others, **named)

        return send_with_retry

    for client, through in ((PrefectHttpxSyncClient, in_threads), (PrefectHttpxAsyncClient, in_tasks)):
        client._send_with_retry = wrapped(client._send_with_retry, through)  # type: ignore[method-assign, attr-defined]


def outlive_leases() -> None:
    """Have a run go on although its lease on the only slot of its deployment cannot be renewed.

    Prefect renews it every few minutes, and ends the run if that fails, so that there are never two of them at once. The run lock keeps
    ours apart without a server. Call it before prefect/flow_engine.py is imported, which takes `maintain_concurrency_lease` from
    prefect/concurrency/_leases.py by name.
    """
    from prefect.concurrency import _leases

    maintain = _leases.maintain_concurrency_lease

    def leniently(lease_id: UUID, lease_duration: float, **_: object) -> contextlib.AbstractContextManager[None]:
        return maintain(lease_id, lease_duration)

    _leases.maintain_concurrency_lease = leniently  # type: ignore[assignment]


def begun_by_worker() -> bool:
    """Whether a worker started this process to run a flow.

    prefect/runner/_starter_engine.py names the flow run in the environment.
    """
    return bool(os.environ.get("PREFECT__FLOW_RUN_ID"))
