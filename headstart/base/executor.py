"""Who works on many images: the cores of this machine, or those of all machines of a Ray cluster. Which of them changes no result.

`in_order` has a function done for many pieces of work and gives the results in their order. What it is given travels to other machines, so the
function is one of a module, and its arguments are data. Each piece is computed by one core, as a whole and anew if the machine dies, so that
the results do not depend on how many machines there are, or on which of them died.

`elsewhere` starts processes on other machines that work together with this one, as a training does.

All machines see the project's folder at the same path, and have the same packages. RAY_ADDRESS names the cluster; without it, Ray starts on
this machine alone. Nothing here imports Ray before it is needed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from headstart.base import code, cores
from headstart.machinery.errors import HeadstartError, ParamsError

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)
LOCAL, RAY = "local", "ray"
ADDRESS = "RAY_ADDRESS"
RETRIES = 20  # times that a piece of work is begun again after its machine or its process has died
PATIENCE = 120.0  # seconds in which a machine of the cluster has to start a process
AHEAD = 4  # pieces of work for each core that are begun before their results are asked for
_chosen = [LOCAL]


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """Have `name`, LOCAL or RAY, work on images within the block."""
    _chosen.append(name)
    try:
        yield
    finally:
        _chosen.pop()


def spreads() -> bool:
    """Whether the work goes to other processes, so that it has to be data."""
    return _chosen[-1] == RAY


def start() -> None:
    """Have whoever works on images ready, so that waiting for them is no part of the work. Raises as `in_order`."""
    if spreads():
        _connected()


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, depends: Sequence[str] = (), gpus: int = 0, waiting: int = 0
) -> Iterator[Result]:
    """`function` of each item, in order.

    `depends` are the modules and packages that decide a result: a machine on which they differ from here is refused. With `gpus`, a piece
    of work has so many to itself. `waiting` is as in cores.in_order, and counts on this machine alone.

    Raises what the function raises; ParamsError if Ray is asked for and is not installed; HeadstartError if there is no cluster, if a
    machine does not fit, and if a piece of work fails again and again.
    """
    if not spreads():
        return cores.in_order(function, items, waiting=waiting)
    return _spread(_connected(), function, items, _Place.here(depends), gpus)


class Elsewhere:
    """A process on another machine, ready to work; `machine` is the name of that. It ends with this process, or by `end`."""

    def __init__(self, ray: Any, node: dict[str, Any], gpus: int) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = {"num_cpus": 0 if gpus else 1, "num_gpus": gpus, "max_restarts": 0, "scheduling_strategy": there}
        self.machine: str = node["NodeManagerHostname"]
        self._ray, self._worker = ray, ray.remote(_Worker).options(**options).remote()
        self._work: Any = None

    def enter(self, place: _Place) -> None:
        """Wait until it is ready. Raises HeadstartError if it does not start, or does not fit."""
        try:
            _result(
                self._ray, self._worker.enter.remote(place), PATIENCE, f"the machine {self.machine} of the Ray cluster started no process"
            )
        except TimeoutError:
            raise HeadstartError(
                f"the machine {self.machine} of the Ray cluster started no process within {PATIENCE:g} s; `ray status` says whether others use it"
            ) from None

    def begin(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have it call `function`, one of a module, with arguments that are data."""
        self._work = self._worker.do.remote(function, arguments)

    def failure(self, seconds: float | None = None) -> str:
        """Why its work stopped, after waiting for its end, at most so long; "" if it did not, or is not over."""
        try:
            self._ray.get(self._work, timeout=seconds)
        except self._ray.exceptions.GetTimeoutError:
            return ""
        except Exception as error:  # whatever its function raised, or Ray, if its machine is gone
            return f"{self.machine}: {_first(getattr(error, 'cause', None) or error)}"
        return ""

    def end(self) -> None:
        """End it, whatever it does."""
        self._ray.kill(self._worker)


class _Worker:
    """What a process elsewhere does."""

    def enter(self, place: _Place) -> None:
        place.enter()

    def do(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        function(*arguments)


def others(gpus: int = 0) -> int:
    """How many processes the other machines of the cluster can take, each with `gpus` cards, or with a core; 0 without a cluster."""
    return len(_slots_elsewhere(_connected(), gpus)) if spreads() else 0


def elsewhere(count: int, *, depends: Sequence[str], gpus: int = 0) -> list[Elsewhere]:
    """So many processes on other machines, or as many as they can take, each with `gpus` cards, or with a core; `depends` is as in in_order.

    Raises HeadstartError if one does not start, or if its machine does not fit; all others then end.
    """
    if count < 1 or not spreads():
        return []
    ray, place = _connected(), _Place.here(depends)
    made = [Elsewhere(ray, node, gpus) for node in _slots_elsewhere(ray, gpus)[:count]]
    try:
        for one in made:
            one.enter(place)
    except BaseException:
        for one in made:
            one.end()
        raise
    return made


def address() -> str:
    """The address at which the other machines of the cluster reach this one."""
    _connected()
    from ray.util import get_node_ip_address

    found: str = get_node_ip_address()
    return found


def _slots_elsewhere(ray: Any, gpus: int) -> list[dict[str, Any]]:
    """The other machines, each as often as it can take a process."""
    here = ray.get_runtime_context().get_node_id()
    found = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]
    name, each = ("GPU", gpus) if gpus else ("CPU", 1)
    return [node for node in found for _ in range(int(node["Resources"].get(name, 0) // each))]


class _Place:
    """Where the work is done: the folder, and the code and packages, with which a machine has to agree."""

    def __init__(self, folder: Path, depends: Sequence[str], code: str) -> None:
        self.folder, self.depends, self.code = folder, tuple(depends), code

    @classmethod
    def here(cls, depends: Sequence[str]) -> _Place:
        return cls(Path.cwd(), depends, _code(depends))

    def enter(self) -> None:
        """Work in the same folder as whoever asks. Raises HeadstartError if this machine does not fit."""
        machine = socket.gethostname()
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise HeadstartError(
                f"the machine {machine} does not see {self.folder} ({error.strerror}); every machine of the cluster needs the project's folder "
                "at the same path: share it over the network, or set executor: local"
            ) from None
        if _code(self.depends) != self.code:
            raise HeadstartError(
                f"the machine {machine} has other code or other packages than the one that asks, so its results would differ; install the same "
                "version of Headstart with the same pins on all of them (runners/Dockerfile)"
            )


def _code(depends: Sequence[str]) -> str:
    return f"{code.fingerprint(*depends)}:{code.versions()}"


def _spread(ray: Any, function: Callable[[Item], Result], items: Iterable[Item], place: _Place, gpus: int) -> Iterator[Result]:
    """`function` of each item, in order, on the machines of the cluster; so many are begun at once as its cores, or GPUs, can take soon."""
    task = ray.remote(_done).options(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)
    there, what = ray.put(place), ray.put(function)
    if not ray.cluster_resources().get("GPU" if gpus else "CPU"):
        log.warning("Ray: no machine of the cluster has a %s; waiting for one that has", "card" if gpus else "core")
    begun: deque[Any] = deque()
    try:
        for item in items:
            begun.append(task.remote(there, what, item))
            if len(begun) >= AHEAD * _slots(ray, gpus):
                yield _result(ray, begun.popleft())
        while begun:
            yield _result(ray, begun.popleft())
    finally:  # nobody asks for the rest any more
        for reference in begun:
            with contextlib.suppress(Exception):
                ray.cancel(reference, recursive=False)


def _done(place: _Place, function: Callable[[Item], Result], item: Item) -> Result:
    """What a worker does."""
    place.enter()
    return function(item)


def _slots(ray: Any, gpus: int) -> int:
    """How many pieces of work the machines that are there now can do at once, at least 1; machines may come and go."""
    there = ray.cluster_resources()
    return max(1, int(there.get("GPU", 0) // gpus if gpus else there.get("CPU", 0)))


def _result(ray: Any, reference: Any, seconds: float | None = None, failed: str = "") -> Any:
    """The result of a piece of work. Raises what its function raised, HeadstartError if nobody could do it (`failed`), TimeoutError if it takes longer."""
    try:
        return ray.get(reference, timeout=seconds)
    except ray.exceptions.GetTimeoutError:
        raise TimeoutError from None
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception) and not isinstance(error.cause, ray.exceptions.RayError):
            raise error.cause from None
        raise HeadstartError(
            f"a machine of the Ray cluster could not take the work ({_first(error.cause or error)}); install the same version of Headstart with "
            "the same pins on all of them (runners/Dockerfile)"
        ) from None
    except ray.exceptions.RayError as error:
        raise HeadstartError(
            f"{failed or f'the machines of the Ray cluster failed {RETRIES} times at a piece of work'} ({type(error).__name__}: {_first(error)}); what the others finished is kept: look at their memory with `ray status`, and run again"
        ) from None


def _first(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _connected() -> Any:
    """Ray, connected to the cluster. Raises ParamsError if it is not installed, HeadstartError if no cluster answers."""
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError:
        raise ParamsError(
            "executor: ray is asked for, but Ray is not installed; pip install 'headstart[ray]', or set executor: local"
        ) from None
    if ray.is_initialized():
        return ray
    address = os.environ.get(ADDRESS)
    alone: dict[str, Any] = {} if address else {"num_cpus": cores.workers(), "include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **alone)
    except Exception as error:  # many kinds, some of them plain RuntimeErrors
        where = f"no Ray cluster answers at {address} ({ADDRESS})" if address else "Ray cannot start on this machine"
        raise HeadstartError(f"{where}: {_first(error)}; start one with `ray start --head`, or set executor: local") from None
    there = ray.cluster_resources()
    log.info("Ray: machines %d, cores %d, cards %d", len(ray.nodes()), there.get("CPU", 0), there.get("GPU", 0))
    return ray
