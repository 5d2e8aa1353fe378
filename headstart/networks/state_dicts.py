"""Weights as people save them: found in a folder, taken out of what a training saved, and brought to the names of a library.

Nothing is run: pickles are read by PyTorch's reader of tensors alone.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headstart.base.weights import named
from headstart.networks import skeletons, weight_files
from headstart.networks.common import Unavailable, said

Tensors = dict[str, torch.Tensor]
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl", ".th", ".npz")
# The file that counts if a folder holds several; after them any one file with such an ending.
USUAL = ("model.safetensors", "pytorch_model.bin", "model.pth", "model.pt", "best.pth", "best.pt", "model_best.pth.tar", "last.ckpt")
# Where trainings keep the weights in what they save, the better ones first: the running mean, then the weights themselves.
NESTED = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "state_dict", "model_state_dict", "model_state", "model"),
    *("net", "network", "weights", "params", "module", "teacher", "student", "backbone", "encoder"),
)
HARMLESS = re.compile(
    r"(.*\.)?(num_batches_tracked|total_ops|total_params|relative_position_index|attn_mask|n_averaged|mask_token|position_ids|head_dist\.(weight|bias))$"
)
_ARRAYS = (torch.Tensor, np.ndarray)
_DEPTH = 5  # dictionaries within each other


def find(path: Path) -> Path:
    """The file with the weights: `path` itself, or the one in that folder. Raises Unavailable if there is none, or more than one."""
    if not path.is_dir():
        return path
    files = sorted(
        file.name for file in path.iterdir() if file.is_file() and file.name.endswith(SUFFIXES) and not file.name.startswith(".")
    )
    chosen = next((name for name in USUAL if name in files), None)
    indices = sorted(file.name for file in path.iterdir() if file.name.endswith(weight_files.INDEX))
    if chosen is None and indices:  # several forms of the same: safetensors first
        return path / min(indices, key=lambda name: (".safetensors" not in name, name))
    if chosen or len(files) == 1:
        return path / (chosen or files[0])
    if files:
        raise Unavailable(f"{path} holds several files of weights ({', '.join(files[:5])}); name the one that counts")
    raise Unavailable(f"{path} holds no file of weights; known endings are {', '.join(SUFFIXES)}")


def read(path: Path) -> Tensors:
    """Tensors by name from a .safetensors file or a pickle, as they are saved there; the weights alone of what a training saved.

    Raises Unavailable, which says what the file holds instead.
    """
    content = weight_files.read(path)
    found = next(_dictionaries(content, _DEPTH), None)
    if found is None:
        what = f"a {type(content).__name__}"
        if isinstance(content, Mapping):
            what = f"a dictionary with {', '.join(str(key)[:40] for key in list(content)[:5])}" if content else "an empty dictionary"
        raise Unavailable(f"{path} holds no weights by name but {what}; save model.state_dict()")
    return found


def fitted(
    state: Tensors, network: nn.Module, classifier: str, where: Path, architecture: str, size: int | None = None
) -> tuple[Tensors, Tensors]:
    """The weights of a network without its classifier, under its own names, and those of its classifier.

    What wraps the names (module., model., _orig_mod., backbone.) is taken off. A network that takes one size only is built for `size`
    pixels, if that is what the weights were made for. Raises Unavailable that names what is missing, what does
    not belong to the architecture, and what has another size.
    """
    wanted = network.state_dict()
    tried = [_unwrapped(state, wanted)]
    if missing(tried[0][0], wanted, classifier):
        tried += [_unwrapped(other, wanted) for names in (state, tried[0][0]) for other in _converted(names, network)]
    values, rest = min(tried, key=lambda pair: len(missing(pair[0], wanted, classifier)))
    head = {key: value for key, value in {**rest, **values}.items() if key.startswith(f"{classifier}.")}
    values = {key: value for key, value in values.items() if not key.startswith(f"{classifier}.")}
    lacks = missing(values, wanted, classifier)
    if lacks:
        raise Unavailable(f"{where} does not fit {architecture}: it lacks {named(lacks)}")
    surplus = sorted(key for key in values if key not in wanted and not HARMLESS.match(key))
    if surplus:
        raise Unavailable(f"{where} does not fit {architecture}: it also holds {named(surplus)}")
    values = {key: value for key, value in values.items() if key in wanted}
    if whole := _not_real(values, wanted):
        raise Unavailable(
            f"{where} holds {whole}, as quantised networks have them; save it in floating point (float32, float16 or bfloat16)"
        )
    if size:
        try:
            skeletons.fit_size(network, {key: value.shape for key, value in values.items()}, size)
        except Exception as error:  # it cannot be built for this size
            raise Unavailable(f"{where} does not fit {architecture} at {size} pixels: {said(error)}") from None
        wanted = network.state_dict()
    other = [
        f"{key} ({_shape(values[key])}, not {_shape(wanted[key])})" for key in sorted(values) if values[key].shape != wanted[key].shape
    ]
    if other:
        raise Unavailable(f"{where} does not fit {architecture}: other sizes have {named(other)}")
    return values, head


def _not_real(values: Tensors, wanted: Mapping[str, torch.Tensor]) -> str:
    """Weights that should be floating point and are not, in a few words; "" if there are none."""
    other = [
        key
        for key, value in values.items()
        if wanted[key].is_floating_point() and not (value.is_floating_point() and value.layout == torch.strided)
    ]
    return f"{named(other)} as {str(values[other[0]].dtype).removeprefix('torch.')}" if other else ""


def missing(values: Mapping[str, object], wanted: Mapping[str, object], classifier: str) -> list[str]:
    """What a network needs and the values lack, its classifier left out."""
    return [key for key in wanted if key not in values and not HARMLESS.match(key) and not key.startswith(f"{classifier}.")]


def prefix(state: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    """What stands before the names of a network in those of a state dict: what makes most of them fit."""
    ends = Counter[str]()
    names = set(wanted)
    for key in state:
        parts = key.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in names:
                ends[".".join([*parts[:start], ""])] += 1
    return max(ends, key=lambda before: (ends[before], -len(before))) if ends else ""


def _unwrapped(state: Tensors, wanted: Mapping[str, object]) -> tuple[Tensors, Tensors]:
    """The values under the names of a network, and those of other parts of what was trained."""
    before = prefix(state, wanted)
    inside = {key.removeprefix(before): value for key, value in state.items() if key.startswith(before)}
    return inside, {key.rpartition("module.")[2]: value for key, value in state.items() if not key.startswith(before)}


def _converted(state: Tensors, network: nn.Module) -> Iterator[Tensors]:
    """The same under other names: as timm itself converts what papers' authors published, and as transformers names them."""
    from headstart.networks import transformers_names

    in_order = _in_order(state, network)
    if in_order:
        yield in_order
    convert = getattr(sys.modules.get(type(network).__module__), "checkpoint_filter_fn", None)
    for change in (transformers_names.to_timm, convert and (lambda values: convert(dict(values), network))):
        if change:
            try:
                yield dict(change(state))
            except Exception:  # it is for other weights
                continue


def _in_order(state: Tensors, network: nn.Module) -> Tensors:
    """The same under the names of a network whose parts were put into nn.Sequential, which numbers them; {} if they are not in order."""
    wanted = {key: value for key, value in network.state_dict().items() if not HARMLESS.match(key)}
    given = {key: value for key, value in state.items() if not HARMLESS.match(key)}
    if not all(re.match(r"\d+\.", key) for key in given) or len(given) < len(wanted):
        return {}
    pairs = list(zip(wanted.items(), given.items(), strict=False))
    fit = all(one.shape == other.shape and name.rpartition(".")[2] == key.rpartition(".")[2] for (name, one), (key, other) in pairs)
    return {name: value for (name, _), (_, value) in pairs} if fit else {}


def _dictionaries(content: Any, depth: int) -> Iterator[Tensors]:
    """State dicts within what was saved, the one that counts first."""
    if not isinstance(content, Mapping):
        return
    tensors = {key: _tensor(value) for key, value in content.items() if isinstance(key, str) and isinstance(value, _ARRAYS)}
    weights = [key for key, value in tensors.items() if value.ndim]
    if weights and len(tensors) > len(content) / 2:
        yield tensors
        return
    if depth:
        usual = [key for key in NESTED if key in content]
        for key in [*usual, *(key for key in content if key not in usual and "optim" not in str(key))]:
            yield from _dictionaries(content[key], depth - 1)


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))


def _shape(value: torch.Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"
