"""Run the frozen part of a network on one image at a time, as fast as the CPU allows.

ONNX Runtime with one thread a worker and one image a call: on two cores that is 2.2 times the rate of its batches of 32 (an image's
activations stay in the cache), and the result for an image cannot depend on its neighbours, on the batch or on the number of workers.
Where a network cannot be exported, PyTorch runs it in the same way.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from headstart.cores import one_thread

log = logging.getLogger(__name__)

Engine = Callable[[np.ndarray], np.ndarray]  # uint8 (size, size, 3) -> float32, without a batch axis
TOLERANCE = 1e-3  # largest difference from PyTorch, relative to the largest activation, that an exported network may show


class Normalise(nn.Module):
    """uint8 images (n, size, size, 3) -> float32 (n, 3, size, size) with the source's mean and standard deviation."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("scale", 1 / (255 * torch.tensor(std).view(1, 3, 1, 1)), persistent=False)
        self.register_buffer("shift", -torch.tensor(mean).view(1, 3, 1, 1) / torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 3, 1, 2).float() * self.scale + self.shift


def build(network: nn.Module, size: int, key: str, folder: Path) -> tuple[Engine, str]:
    """An engine for `network` (uint8 (1, size, size, 3) -> float32) and its name, `onnxruntime` or `torch`.

    The exported file is kept in `folder` under `key`, which must tell this network's weights and cut from all others.
    """
    network.eval()
    path = folder / f"{hashlib.sha256(f'{key}:{size}:{torch.__version__}'.encode()).hexdigest()[:24]}.onnx"
    if path.exists():
        with contextlib.suppress(Exception):  # a damaged file is exported again, so that it costs time and changes no result
            return _checked(path, network, size), "onnxruntime"
    try:
        _export(network, size, path)
        return _checked(path, network, size), "onnxruntime"
    except Exception as error:  # the exporter raises many kinds; PyTorch itself is the answer to all
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        log.info("ONNX Runtime cannot run this network (%s); PyTorch runs it, more slowly", first[:200])
        path.unlink(missing_ok=True)
        return _torch(network), "torch"


def _export(network: nn.Module, size: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The older exporter: 1 s a network where the newer one takes 11 s, and the same graph for ONNX Runtime to optimise.
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (example,), str(temporary), dynamo=False, input_names=["images"], output_names=["activation"])
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _onnx(path: Path) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"images": image[None]})[0][0]


def _torch(network: nn.Module) -> Engine:
    def run(image: np.ndarray) -> np.ndarray:
        one_thread()
        with torch.inference_mode():
            return network(torch.from_numpy(np.array(image))[None])[0].numpy()

    return run


def _checked(path: Path, network: nn.Module, size: int) -> Engine:
    """The engine of an exported file. Raises RuntimeError if it does not compute what PyTorch computes."""
    engine, reference = _onnx(path), _torch(network)
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    ours = engine(image)
    theirs = reference(image)
    difference = float(np.abs(ours - theirs).max() / max(float(np.abs(theirs).max()), 1e-6))
    if not difference <= TOLERANCE:
        raise RuntimeError(f"its outputs differ from PyTorch's by {difference:.1e}")
    return engine
