"""Run the frozen part of a network as fast as the device allows, behind one function.

On the CPU: ONNX Runtime with one thread per worker and one image per call: on two cores that is 2.2 times the rate of its batches of 32 (an
image's activations stay in the cache), and the result for an image cannot depend on its neighbours, on the batch or on the number of
workers. If a network cannot be exported, PyTorch runs it in the same way. On GPUs: PyTorch in batches, mixed precision, channels last.
Nothing here imports PyTorch before it is needed: a network whose exported file is at hand runs without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.base import devices, outputs
from headstart.base.code import fingerprint
from headstart.base.cores import one_thread
from headstart.base.devices import CPU, Device
from headstart.features.batched import Batched
from headstart.machinery.errors import HeadstartError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headstart.features.looking import Looks


log = logging.getLogger(__name__)
Run = Callable[[np.ndarray], np.ndarray]  # uint8 (n, size, size, 3) -> float32 (n, ...)
FEW = 32  # images: to export a network takes longer than PyTorch takes for so many, at 25 a second instead of 75
TOLERANCE = 1e-3  # largest difference from PyTorch, relative to the largest activation, that an exported network may show
_made: dict[str, Run] = {}  # the last engine of ONNX Runtime, by the SHA-256 of its file


@dataclass(frozen=True)
class Engine:
    """How activations are computed: `run` takes at most `batch` images at a time.

    A `batch` of one image per call means that each worker makes calls of its own. An engine of batches cuts views from pictures itself: `look`
    takes pictures (n, height, width, 3) and the views of them (looking.py), `there` a device too, on which the result stays; `compile` makes it faster, and takes a while. `network` is what PyTorch runs, and `file` the exported file that
    ONNX Runtime runs: what `shipped` needs.
    """

    name: str
    batch: int
    run: Run
    look: Callable[[np.ndarray, Looks], np.ndarray] | None = field(default=None, compare=False)
    there: Callable[[np.ndarray, Looks, torch.device], list[torch.Tensor]] | None = field(default=None, compare=False)
    compile: Callable[[], None] | None = field(default=None, compare=False)
    network: nn.Module | None = field(default=None, compare=False)
    file: Path | None = None


@dataclass(frozen=True)
class Shipped:
    """An engine as data, so that it travels to other machines: its name, the file that holds the network, the device that runs it.

    Without a file, it hands on what it is given (pixels.py).
    """

    name: str
    file: Path | None
    device: Device


def shipped(engine: Engine, key: str, folder: Path, device: Device = CPU) -> Shipped:
    """An engine as data. A network that no exported file holds is written into `folder` under `key`, which must tell it from all others."""
    if engine.network is None:
        return Shipped(engine.name, engine.file, device)
    import torch

    path = folder / f"{hashlib.sha256(f'{key}:{code()}'.encode()).hexdigest()[:24]}.pt"
    with outputs.whole(path) as temporary:
        torch.save(engine.network, temporary)
    return Shipped(engine.name, path, device)


@lru_cache(maxsize=2)
def received(engine: Shipped) -> Engine:
    """An engine from data, on the machine that has received it; kept, as many pieces of work want the same. Raises HeadstartError."""
    if engine.file is None:
        return Engine(engine.name, 1, lambda images: images)
    if engine.file.suffix == ".onnx":
        known = _known(engine.file)
        if known is None:
            raise HeadstartError(f"{engine.file} is missing or damaged; remove the folder {engine.file.parent} and run again")
        return Engine(engine.name, 1, known)
    import torch

    network = torch.load(engine.file, weights_only=False, map_location="cpu")  # written by `shipped`, in the project's own folder
    if engine.device.kind == "cpu":
        return _of_torch(network)
    devices.steady()
    return _of_gpus(network, engine.device)


def build(make: Callable[[], nn.Module], size: int, key: str, folder: Path, device: Device = CPU, images: int | None = None) -> Engine:
    """An engine for the network that `make` gives: onnxruntime or torch, or cuda.

    The network computes uint8 (n, size, size, 3) -> float32 (n, ...). `images` is how many it will ever see, if that is known: for FEW of
    them it is not exported.
    The exported file is kept in `folder` under `key`, which must tell this network's weights and cut from all others; `make` is not
    called if that file is at hand.
    """
    if device.kind != "cpu":
        return _of_gpus(make(), device)
    if images is not None and images <= FEW:  # before what is at hand, so that the numbers do not depend on that
        return _of_torch(make().eval())
    path = folder / f"{hashlib.sha256(f'{key}:{size}:{code()}'.encode()).hexdigest()[:24]}.onnx"
    known = _known(path)
    if known:
        return Engine("onnxruntime", 1, known, file=path)
    network = make().eval()
    try:
        _export(network, size, path)
        return Engine("onnxruntime", 1, _checked(path, network, size), file=path)
    except Exception as error:  # the exporter raises many kinds; PyTorch itself is the answer to all
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        log.info("ONNX Runtime cannot run this network (%s); PyTorch runs it, more slowly", first[:200])
        with contextlib.suppress(OSError):  # as where nothing can be written
            path.unlink(missing_ok=True)
        return _of_torch(network)


def _of_torch(network: nn.Module) -> Engine:
    """The engine of a network that cannot be exported, on the CPU."""
    return Engine("torch", 1, _torch(network), network=network)


def _of_gpus(network: nn.Module, device: Device) -> Engine:
    """The engine of a network on all GPUs of this machine."""
    return batches(device.name, Batched(network, device), network)


def batches(name: str, made: Batched, network: nn.Module | None = None) -> Engine:
    """An engine of batches on the devices of `made`."""
    return Engine(name, made.batch * made.devices, made, made.look, made.there, made.compile, network)


def code() -> str:
    """What an exported file depends on besides the network: this code, and the libraries."""
    own = fingerprint("headstart.features.engines", "headstart.networks.cut", "headstart.networks.model")
    return f"{own}:{version('torch')}:{version('onnxruntime')}"


def _known(path: Path) -> Run | None:
    """The engine of a file exported and checked earlier; None if it is missing or not as it was written."""
    try:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if json.loads(path.with_suffix(".json").read_text())["sha256"] == digest:
            return _last(digest, content)
    except Exception:  # a damaged file is exported again, so that it costs time and changes no result
        log.debug("%s is made again", path)
    return None


def _last(digest: str, content: bytes) -> Run:
    """The engine of such a file; that of the last one is kept, as a stage asks for the same one again and again."""
    if digest not in _made:
        _made.clear()
        _made[digest] = _onnx(content)
    return _made[digest]


def _export(network: nn.Module, size: int, path: Path) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The older exporter: 1 s per network, 11 s with the newer one, and the same graph for ONNX Runtime to optimise, which also merges
            # layers and folds constants as the exporter would, in less time.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                str(temporary),
                dynamo=False,
                training=torch.onnx.TrainingMode.PRESERVE,
                do_constant_folding=False,
                input_names=["images"],
                output_names=["activation"],
            )
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _onnx(content: bytes) -> Run:
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def _torch(network: nn.Module) -> Run:
    def run(images: np.ndarray) -> np.ndarray:
        import torch

        one_thread()
        with torch.inference_mode():
            return network(torch.from_numpy(np.array(images))).numpy()

    return run


def _checked(path: Path, network: nn.Module, size: int) -> Run:
    """The engine of a file just exported, noted as good.

    Raises RuntimeError if it does not compute what PyTorch computes.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    engine, reference = _last(digest, content), _torch(network)
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    ours = engine(image)
    theirs = reference(image)
    difference = float(np.abs(ours - theirs).max() / max(float(np.abs(theirs).max()), 1e-6))
    if not difference <= TOLERANCE:
        raise RuntimeError(f"its outputs differ from PyTorch's by {difference:.1e}")
    path.with_suffix(".json").write_text(json.dumps({"sha256": digest, "difference": difference}) + "\n")
    return engine
