"""headstart.devices: the device that is asked for, the best there is by default, and no PyTorch to find out that there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from headstart.base import devices
from headstart.base.devices import CPU, CPU_BFLOAT16, Device
from headstart.machinery.errors import ParamsError
from tests import ROOT


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_driver", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two GPUs, as far as PyTorch is asked."""
    monkeypatch.setattr(devices, "_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "as it was")
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    switches = [(cudnn, "deterministic"), (cudnn, "benchmark"), (cudnn, "allow_tf32"), (matmul, "allow_tf32")]
    before = [getattr(where, switch) for where, switch in switches]  # no plain attributes: monkeypatch cannot set them back
    yield
    for (where, switch), value in zip(switches, before, strict=True):
        setattr(where, switch, value)


def with_flags(monkeypatch: pytest.MonkeyPatch, vendor: str, flags: str) -> None:
    """A CPU as Linux describes one of this vendor with these flags."""
    text = f"vendor_id\t: {vendor}\nmodel name\t: a CPU\nflags\t\t: fpu {flags} avx2\n"
    monkeypatch.setattr(Path, "read_text", lambda self: text)


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("vendor", "flags", "taken"),
    [
        ("AuthenticAMD", "avx512_bf16", ("auto", "bfloat16")),
        ("GenuineIntel", "avx512_bf16 amx_bf16", ("auto", "bfloat16")),
        ("GenuineIntel", "avx512_bf16", ("bfloat16",)),
        ("AuthenticAMD", "avx512f", ()),
    ],
)
def test_the_cpu_trains_in_bfloat16_where_it_has_instructions_and_by_itself_where_these_are_faster(
    precision: str, vendor: str, flags: str, taken: tuple[str, ...], no_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_flags(monkeypatch, vendor, flags)
    expected = CPU_BFLOAT16 if precision in taken else CPU
    assert devices.choose("cpu", precision) == devices.choose("auto", precision) == expected


def test_a_machine_that_does_not_describe_its_cpu_has_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    assert devices.choose("cpu", "bfloat16") == CPU


def test_the_cpu_has_a_name_and_is_one() -> None:
    assert (Device("cpu", "float32"), Device("cpu", "bfloat16")) == (CPU, CPU_BFLOAT16)
    assert (CPU.name, CPU_BFLOAT16.name) == ("cpu", "cpu bfloat16")
    assert CPU.all() == CPU_BFLOAT16.all() == [torch.device("cpu")]


def test_the_cpu_where_there_is_a_gpu(gpu: None) -> None:
    assert devices.choose("cpu").kind == "cpu"


def test_cuda_where_there_is_none_says_what_helps(no_gpu: None) -> None:
    with pytest.raises(ParamsError, match=r"device: cuda is asked for, but .* no CUDA GPU here; use auto or cpu, or look at `nvidia-smi`"):
        devices.choose("cuda")


def test_a_driver_that_pytorch_cannot_use_is_none(no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_driver", lambda: True)
    assert devices.choose("auto").kind == "cpu"
    with pytest.raises(ParamsError, match="device: cuda"):
        devices.choose("cuda")


@pytest.mark.parametrize("device", ["auto", "cuda"])
@pytest.mark.parametrize(
    ("precision", "bf16", "chosen"), [("auto", True, "bfloat16"), ("auto", False, "float16"), ("float32", True, "float32")]
)
def test_the_gpu_where_there_is_one(
    device: str, precision: str, bf16: bool, chosen: str, gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
    found = devices.choose(device, precision)
    assert found == Device("cuda", chosen)
    assert found.name == f"cuda {chosen}"
    assert found.all() == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_no_driver_is_found_without_pytorch(device: str) -> None:
    script = f"import sys; from headstart.base import devices; devices._driver = lambda: False; print(devices.choose({device!r}).kind, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "cpu False\n"


class Library:
    """libcuda as a machine with `count` GPUs has it."""

    def __init__(self, count: int, broken: bool = False) -> None:
        self.count, self.broken = count, broken

    def cuInit(self, _: int) -> int:
        return 100 if self.broken else 0

    def cuDeviceGetCount(self, count: object) -> int:
        count._obj.value = self.count  # type: ignore[attr-defined]
        return 0


@pytest.mark.parametrize(
    ("library", "found"), [(Library(1), True), (Library(0), False), (Library(1, broken=True), False), (object(), False)]
)
def test_a_driver_counts_where_it_has_a_gpu(library: object, found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: library)
    assert devices._driver() == found


def test_no_library_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(devices.ctypes, "CDLL", missing)
    assert not devices._driver()


@pytest.mark.parametrize(("precision", "type_"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_autocast_is_the_precision_of_the_device(precision: str, type_: torch.dtype) -> None:
    with devices.autocast(Device("cuda", precision), "cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == type_


def test_a_cpu_computes_in_float32_but_in_training() -> None:
    with devices.autocast(CPU_BFLOAT16, "cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_process_of_a_team_has_one_gpu_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    card = Device("cuda", "bfloat16")
    assert card.all() == [torch.device("cuda", i) for i in range(4)]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    assert card.all() == [torch.device("cuda", 2)]
    assert CPU.all() == [torch.device("cpu")]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_makes_a_card_ready_is_a_step_of_training(precision: str) -> None:
    assert devices.exercise(torch.device("cpu"), Device("cuda", precision)) == pytest.approx(8 * 27 * 0.01, rel=0.02)
