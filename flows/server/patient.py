"""Run a module of Prefect that waits for its server: python -m flows.server.patient MODULE ARGUMENTS

If the server is away, the module asks again. `headstart up` starts the worker this way, and its work pool the process of a run, because
whoever runs `up` again brings the server back. Prefect's own client repeats a request whose connection is refused only if the same
client was answered before, and a run makes many clients: without this a run is Crashed if the server is away just as it begins. A
worker gives up after a dozen failures in a row, and its runs end with it. A run by hand does the opposite: its own server does not come
back (flows/server/servers.py).
"""

from __future__ import annotations

import math
import runpy
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flows.server import internals
from flows.server.internals import AsyncSend, Send

if TYPE_CHECKING:
    import httpx

BEARABLE = 120.0  # seconds that the server may be away for a run, which holds what others wait for; a worker has nothing better to do
LONGEST = 5.0  # seconds between two tries, which begin with one second and double


class Absence:
    """How long the server has been away, as all clients of this process see it.

    They wait at the same time, not one after the other.
    """

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
        """Seconds to wait before each further try of one request.

        They end once the server has been away for longer than is bearable.
        """
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
    """Have Prefect's clients of this process ask again if nobody listens.

    Whatever else goes wrong they treat as before.
    """
    import anyio
    import httpx

    def in_threads(send: Send) -> Send:
        def patiently(*arguments: Any, **named: Any) -> httpx.Response:
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

    def in_tasks(send: AsyncSend) -> AsyncSend:
        async def patiently(*arguments: Any, **named: Any) -> httpx.Response:
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

    internals.send_through(in_threads, in_tasks)


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    install(Absence(BEARABLE if sys.argv[0] == internals.ENGINE else math.inf))
    internals.outlive_leases()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
