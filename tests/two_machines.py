"""A cluster of two machines, simulated: two nodes of Ray on this one, of one core each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from headstart.base import executor
from tests import ROOT

MEMORY = 80 * 2**20  # bytes of each node's object store
SLOW = {"RAY_agent_register_timeout_ms": "120000", "RAY_raylet_start_wait_time_s": "120", "RAY_DEDUP_LOGS": "0"}  # beside other tests


class Machines:
    """The two of them; `kill` ends the second, `revive` starts one in its place."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(initialize_head=True, head_node_args=self._node())
        self._second: Any = None
        try:
            self.revive()
        except Exception:
            self._cluster.shutdown()
            raise
        self.address: str = self._cluster.address

    def revive(self) -> None:
        if self._second is None:
            self._second = self._cluster.add_node(**self._node())

    def kill(self) -> None:
        if self._second is not None:
            self._cluster.remove_node(self._second, allow_graceful=False)
            self._second = None

    def end(self) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()

    @staticmethod
    def _node() -> dict[str, Any]:
        return {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}


@contextlib.contextmanager
def started() -> Iterator[Machines]:
    """The machines, and RAY_ADDRESS that names them. A machine that is busy may need a second try: Ray waits 30 s for a node and no longer."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SLOW.items():
            patch.setenv(name, value)
        patch.setenv(
            "PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        )  # workers import this very code, and the tests
        machines = _started()
        patch.setenv(executor.ADDRESS, machines.address)
        try:
            yield machines
        finally:
            machines.end()


def _started(tries: int = 3) -> Machines:
    for left in reversed(range(tries)):
        try:
            return Machines()
        except Exception:
            if not left:
                raise
    raise AssertionError
