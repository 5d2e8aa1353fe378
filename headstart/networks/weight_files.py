"""Read what trainings and tools save: a .safetensors file, what torch.save wrote, arrays of NumPy. Nothing in it is run.

Pickles are read by PyTorch's reader of tensors alone, with a few plain classes in which trainings keep their settings.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import importlib
import json
import pickle
import re
import types
import warnings
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from headstart.networks.common import Unavailable

INDEX = ".index.json"  # ends the name of the list of weights that were saved in several parts
_OTHER = {
    b"\x89HDF": "a Keras or HDF5 file",
    b"GGUF": "a GGUF file",
    b"\x08": "an ONNX or TensorFlow graph",
    b"\x93NUMPY": "one NumPy array",
}
_ADVICE = "save model.state_dict() or a .safetensors file"
_SETTINGS = (  # dictionaries in which trainings keep their settings, by the names that are pickled; what they hold is not used
    *(
        f"{package}.utilities.{place}.AttributeDict"
        for package in ("pytorch_lightning", "lightning.pytorch")
        for place in ("parsing", "data")
    ),
    *(
        "lightning.fabric.utilities.data.AttributeDict",
        "lightning_fabric.utilities.data.AttributeDict",
        "easydict.EasyDict",
        "addict.addict.Dict",
    ),
    *("yacs.config.CfgNode", "fvcore.common.config.CfgNode", "mmcv.utils.config.ConfigDict", "mmengine.config.config.ConfigDict"),
)
_PATHS = ("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath")
_BEGIN = (b"PK\3\4", b"\x80", b"\x8a")  # of what torch.save writes: a zip, or pickles


def read(path: Path) -> Any:
    """What a file of weights holds, read as its bytes say and not as its name says.

    Raises Unavailable for what holds none, and says what it is instead.
    """
    try:
        return _parts(path) if path.name.endswith(INDEX) else _content(path)
    except Unavailable:
        raise
    except FileNotFoundError:
        raise Unavailable(f"{path} does not exist") from None
    except pickle.UnpicklingError as error:
        raise Unavailable(_objects(path, str(error))) from None
    except Exception as error:  # whatever the readers raise at bytes that are not theirs
        raise Unavailable(_unread(path, error)) from None


def _parts(index: Path) -> dict[str, torch.Tensor]:
    """Weights in several parts, as the index beside them lists them: files of the same folder, and nothing else."""
    listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    files = sorted(set(listed.values()))
    if any("/" in name or "\\" in name or name in ("", ".", "..") or name.endswith(INDEX) for name in files):
        raise Unavailable(f"{index} names files of other folders; the parts belong beside it")
    absent = [name for name in files if not (index.parent / name).is_file()]
    if absent:
        raise Unavailable(
            f"{index.parent} lacks {len(absent)} of {len(files)} parts of the weights ({', '.join(absent[:3])}); copy them beside {index.name}"
        )
    found: dict[str, torch.Tensor] = {}
    for name in files:
        found |= read(index.parent / name)
    lost = [key for key in listed if key not in found]
    if lost:
        raise Unavailable(f"the parts beside {index} lack {len(lost)} of {len(listed)} weights ({lost[0]}); copy all of one saving")
    return found


def _content(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(512)
    size = path.stat().st_size
    if 8 < int.from_bytes(head[:8], "little") + 8 <= size and head[8:9] == b"{":
        from safetensors.torch import load_file

        return load_file(path)
    if zipfile.is_zipfile(path) and _holds_arrays(path):
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    if what := _other(head, size):
        raise Unavailable(f"{path} {what}")
    with torch.serialization.safe_globals(_plain()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickle protocols, which its users can do nothing about
        with path.open("rb") as opened:  # given the path, it would go by the name
            return torch.load(opened, map_location="cpu", weights_only=True)


def _holds_arrays(path: Path) -> bool:
    with zipfile.ZipFile(path) as file:
        return all(name.endswith(".npy") for name in file.namelist())


def _other(head: bytes, size: int) -> str:
    """What a file is that holds no weights, by its first bytes; "" if it may hold some."""
    if not head:
        return "is empty; copy it again"
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of git-lfs, not the weights; run `git lfs pull` where it came from"
    if head.startswith(_BEGIN):
        return ""
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") + 8 > size:
        return "is a .safetensors file that ends early; copy it again"
    what = next((what for mark, what in _OTHER.items() if head.startswith(mark)), "")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, perhaps of a failed download: download it again"
    return (
        f"is {what}, not PyTorch's; {_ADVICE}"
        if what
        else f"cannot be read as weights: neither PyTorch nor safetensors wrote it; copy it again, or {_ADVICE}"
    )


def _plain() -> list[Any]:
    """Plain values that trainings save beside weights; to read them runs nothing."""
    plain: list[Any] = [argparse.Namespace, collections.OrderedDict, collections.defaultdict, dict, np.dtype, np.ndarray]
    inner: Any = importlib.import_module("numpy._core.multiarray")
    plain += [inner.scalar, inner._reconstruct]
    plain += [set, frozenset, collections.Counter, types.SimpleNamespace, datetime.datetime, datetime.date, datetime.timedelta]
    plain += [*((collections.OrderedDict, name) for name in _SETTINGS), *((PurePosixPath, name) for name in _PATHS)]
    return plain + [type(np.dtype(name)) for name in ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")]


def _objects(path: Path, error: str) -> str:
    if "TorchScript" in error:
        return f"{path} is a TorchScript program; save model.state_dict()"
    found = re.search(r"GLOBAL (?:[\w.]+\.)?(\w+)", error)
    kind = f" ({found[1]})" if found else ""
    return f"{path} holds Python objects{kind}, which are never run; save model.state_dict()"


def _unread(path: Path, error: Exception) -> str:
    if "TorchScript" in str(error):
        return f"{path} is a TorchScript program; save model.state_dict()"
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\3\4"
    if (zipped and not zipfile.is_zipfile(path)) or isinstance(error, EOFError):
        return f"{path} ends early; copy it again"
    if type(error).__name__ == "SafetensorError":
        return f"{path} is a .safetensors file that is damaged or ends early; copy it again"
    if zipped and not _saved_by_torch(path):
        return f"{path} is an archive of something else; {_ADVICE}"
    return f"{path} is damaged, or of a kind that PyTorch cannot read ({type(error).__name__}); copy it again, or {_ADVICE}"


def _saved_by_torch(path: Path) -> bool:
    with zipfile.ZipFile(path) as file:
        return any(name.endswith("data.pkl") for name in file.namelist())
