"""Where networks run: the CPU, or CUDA GPUs if there are any, and with which numbers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.machinery.errors import ParamsError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Device:
    """`kind` is cpu or cuda; `precision` is what is multiplied: float32, bfloat16 or float16.

    Weights and sums stay float32.

    A GPU keeps to it in all that a network computes, a CPU in training only (products.py).
    """

    kind: str = "cpu"
    precision: str = "float32"

    @property
    def name(self) -> str:
        """As the report shows it."""
        return "cpu" if self == CPU else f"{self.kind} {self.precision}"

    def all(self) -> list[torch.device]:
        """Every device of this kind: all GPUs, or the one CPU. A process of a team (training/parallel.py) has one GPU to itself."""
        import torch

        if self.kind == "cuda" and torch.distributed.is_available() and torch.distributed.is_initialized():
            return [torch.device("cuda", torch.cuda.current_device())]
        count = torch.cuda.device_count() if self.kind == "cuda" else 1
        return [torch.device(self.kind, i) if self.kind == "cuda" else torch.device("cpu") for i in range(count)]


CPU = Device()
CPU_BFLOAT16 = Device("cpu", "bfloat16")


def choose(device: str = "auto", precision: str = "auto") -> Device:
    """The device for the parameters `device` and `precision`.

    `device` is auto, cpu or cuda; `precision` is auto, float32, bfloat16 or float16.
    A CPU takes bfloat16 if it is asked for and has instructions for it, and for auto if these are faster; else float32. Raises ParamsError
    when cuda is asked for and there is none.
    """
    able, faster = _bfloat16()
    cpu = CPU_BFLOAT16 if (faster if precision == "auto" else able and precision == "bfloat16") else CPU
    if device == "cpu" or (device == "auto" and not _driver()):
        return cpu
    import torch

    if not torch.cuda.is_available():
        if device == "auto":
            return cpu
        raise ParamsError("device: cuda is asked for, but PyTorch finds no CUDA GPU here; use auto or cpu, or look at `nvidia-smi`")
    steady()
    best = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    chosen = Device("cuda", best if precision == "auto" else precision)
    _begin(chosen)
    return chosen


@cache
def _begin(device: Device) -> None:
    """Have a card ready before it is needed, once in a process: it starts, and loads its libraries, while images are read."""

    def start() -> None:
        with contextlib.suppress(Exception):  # whoever needs the card next says what is wrong with it
            for place in device.all():
                exercise(place, device)

    threading.Thread(target=start, name="headstart-card", daemon=True).start()


def exercise(place: torch.device, device: Device) -> float:
    """A tiny training step on a device: convolution, product and their gradients. Returns its loss."""
    import torch

    filters = torch.full((8, 3, 3, 3), 0.1, device=place, requires_grad=True)
    matrix = torch.full((4, 8), 0.1, device=place, requires_grad=True)
    with autocast(device, place.type):
        drawn = torch.nn.functional.conv2d(torch.ones(2, 3, 8, 8, device=place).contiguous(memory_format=torch.channels_last), filters)
        loss = (drawn.mean((2, 3)) @ matrix.T).float().mean()
    torch.autograd.grad(loss, [filters, matrix])
    return loss.item()


def steady() -> None:
    """Have this process get the same bytes from the same kind of GPU, and float32 that is float32."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def autocast(device: Device, kind: str) -> Any:
    """A context in which a network computes in the device's precision.

    `kind` is the type of the tensors' device. With bfloat16 a CPU does so in training only.
    """
    import torch

    enabled = device.precision != "float32" and device != CPU_BFLOAT16
    return torch.autocast(kind, getattr(torch, device.precision), enabled=enabled)


def _bfloat16() -> tuple[bool, bool]:
    """Whether the CPU has instructions for products in bfloat16, and whether they are faster than float32's; asked without PyTorch.

    Those of AMX are, and AMD's. An Intel CPU whose AMX is missing or hidden by a virtual machine does as many products a second of either, and
    rounding comes on top. Known of Linux only.
    """
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False, False
    faster = "amx_bf16" in words or ("avx512_bf16" in words and "AuthenticAMD" in words)
    return faster or "avx512_bf16" in words, faster


def _driver() -> bool:
    """Whether an NVIDIA driver with a GPU is here; asked without PyTorch, whose import takes seconds."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int(0)
        return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
