"""Run a module of Prefect so that it asks again where the server is away: python -m flows.server.patient MODULE ARGUMENTS

`headstart up` starts the worker so, and its work pool the process of a run, as whoever runs `up` again brings the server back. Prefect's own client
repeats a request whose connection is refused only if the same client was answered before, and a run makes many clients: without this a run is
Crashed when the server is away just as it begins. A worker gives up after a dozen failures in a row, and its runs end with it. A run by hand does
the opposite: its own server does not come back (flows/server/servers.py).
"""

from __future__ import annotations

import math
import runpy
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

ENGINE = "prefect.engine"  # what a run begins with
BEARABLE = 120.0  # seconds that the server may be away for a run, which holds what others wait for; a worker has nothing better to do
LONGEST = 5.0  # seconds between two tries, which begin with one second and double


class Absence:
    """How long the server has not been there, as all clients of this process see it: they wait at the same time, not one after the other."""

    def __init__(self, bearable: float = BEARABLE, clock: Callable[[], float] = time.monotonic) -> None:
        self.bearable = bearable
        self.began: float | None = None
        self._clock = clock
        self._lock = threading.Lock()

    def over(self) -> None:
        """The server was there."""
        with self._lock:
            self.began = None

    def pauses(self) -> Iterator[float]:
        """Seconds to wait before each further try of one request; there are no more where the server has been away for longer than is bearable."""
        pause = 1.0
        while self._bearable():
            yield pause
            pause = min(2 * pause, LONGEST)

    def _bearable(self) -> bool:
        with self._lock:
            now = self._clock()
            self.began = now if self.began is None else self.began
            return now - self.began < self.bearable


def install(absence: Absence) -> None:
    """Have Prefect's clients of this process ask again where nobody listens. Whatever else goes wrong they treat as before.

    Uses an internal of Prefect 3.8.8: the method that sends a request, in which the client of httpx gets it by the name `send`.
    """
    import anyio
    import httpx
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

    def in_threads(send: Callable[..., Any]) -> Callable[..., Any]:
        def patiently(*arguments: Any, **named: Any) -> Any:
            pauses = absence.pauses()
            while True:
                try:
                    answer = send(*arguments, **named)
                except httpx.ConnectError:
                    if (pause := next(pauses, None)) is None:
                        raise
                    time.sleep(pause)
                else:
                    absence.over()
                    return answer

        return patiently

    def in_tasks(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def patiently(*arguments: Any, **named: Any) -> Any:
            pauses = absence.pauses()
            while True:
                try:
                    answer = await send(*arguments, **named)
                except httpx.ConnectError:
                    if (pause := next(pauses, None)) is None:
                        raise
                    await anyio.sleep(pause)
                else:
                    absence.over()
                    return answer

        return patiently

    def wrapped(original: Callable[..., Any], patient: Callable[..., Any]) -> Callable[..., Any]:
        def send_with_retry(self: Any, *, send: Any, retry_exceptions: tuple[type[Exception], ...], **named: Any) -> Any:
            others = tuple(kind for kind in retry_exceptions if kind is not httpx.ConnectError)  # else both of us would wait
            return original(self, send=patient(send), retry_exceptions=others, **named)

        return send_with_retry

    for client, patient in ((PrefectHttpxSyncClient, in_threads), (PrefectHttpxAsyncClient, in_tasks)):
        client._send_with_retry = wrapped(client._send_with_retry, patient)  # type: ignore[method-assign, attr-defined]


def outlive_lease() -> None:
    """Have a run go on though its lease on the only slot of its deployment cannot be renewed, which Prefect does every few minutes.

    Prefect ends the run, lest there be two of them at once; ours are kept apart by the run lock, without a server. To be called before the module
    prefect.flow_engine is imported.
    """
    from prefect.concurrency import _leases

    maintain = _leases.maintain_concurrency_lease

    def leniently(lease_id: UUID, lease_duration: float, **_: Any) -> AbstractContextManager[None]:
        return maintain(lease_id, lease_duration)

    _leases.maintain_concurrency_lease = leniently  # type: ignore[assignment]


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    install(Absence(BEARABLE if sys.argv[0] == ENGINE else math.inf))
    outlive_lease()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
