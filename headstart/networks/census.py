"""How large the networks of timm and torchvision are, in architectures.csv, so that weights without a card are told in seconds.

`python -m headstart.networks.census` writes the table anew, in some minutes, for the versions of the libraries that are installed. What is
not in it is told by its card alone: networks of later versions and, as the table was not run to its end, the rarer ones of timm whose names
come after tf_efficientnet_cc_b0_4e.
"""

from __future__ import annotations

import csv
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from headstart.base import outputs
from headstart.machinery.progress import Progress
from headstart.networks import libraries, skeletons
from headstart.networks.state_dicts import HARMLESS

Made = TypeVar("Made")
TABLE = Path(__file__).with_name("architectures.csv")


@dataclass(frozen=True)
class Row:
    """A network without its classifier."""

    library: str
    architecture: str
    elements: int  # numbers in its weights, those that checkpoints may lack left out (state_dicts.HARMLESS)
    tensors: int  # in which they come
    features: int  # that its classifier takes
    mark: str  # of names and sizes: networks of one mark take the same weights

    @property
    def name(self) -> str:
        """As USUAL in telling.py has it."""
        return f"{self.library}:{self.architecture}"


def elements(state: Mapping[str, Any]) -> int:
    """Numbers in weights, those that checkpoints may lack left out."""
    return sum(value.numel() for key, value in state.items() if not HARMLESS.match(key))


def measured(library: str, architecture: str) -> Row:
    """Build a network without memory for its weights, and measure it. Raises what libraries raise for one that cannot be built so."""
    network, classifier, features = without_memory(lambda: _built(library, architecture))
    state = {key: value for key, value in network.state_dict().items() if not key.startswith(f"{classifier}.")}
    kept = {key: tuple(value.shape) for key, value in state.items() if not HARMLESS.match(key)}
    mark = hashlib.sha256(repr(sorted(kept.items())).encode()).hexdigest()[:8]
    return Row(library, architecture, elements(state), len(kept), features, mark)


def _built(library: str, architecture: str) -> tuple[nn.Module, str, int]:
    """A network without its classifier, the classifier's name, and how many features it takes."""
    if library == "timm":
        network, classifier = skeletons.skeleton(library, architecture)
        return network, classifier, int(getattr(network, "head_hidden_size", None) or network.num_features)  # type: ignore[arg-type]
    network, classifier, linear = skeletons.without_last_linear(skeletons.whole(library, architecture), architecture)
    return network, classifier, int(linear.in_features)  # type: ignore[arg-type]


def without_memory(make: Callable[[], Made]) -> Made:
    """What `make` builds, without memory for its weights unless it computes with them as it is built (RegNet of torchvision does)."""
    try:
        with torch.device("meta"):
            return make()
    except NotImplementedError:
        return make()


@functools.cache
def read() -> tuple[Row, ...]:
    """The table."""
    kinds = [{"int": int, "str": str}[str(one.type)] for one in fields(Row)]
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return tuple(Row(*(kind(text) for kind, text in zip(kinds, row, strict=True))) for row in rows)  # type: ignore[arg-type]


def _all() -> Iterator[Row]:
    """All networks with published weights that can be built so and end in a linear layer."""
    timm = libraries.timm()

    names = [("timm", name) for name in sorted({name.partition(".")[0] for name in timm.list_pretrained()})]
    names += [("torchvision", name) for name in skeletons.architectures("torchvision")]
    with Progress(len(names), "measuring networks") as progress:
        for library, name in names:
            try:
                row = measured(library, name)
            except Exception:  # whatever a library raises at a network that needs memory, a package or an answer
                continue
            finally:
                progress.step()
            yield row


def main() -> None:
    """Write the table."""
    rows = sorted(_all(), key=lambda row: (row.library, row.architecture))
    with outputs.whole(TABLE) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(one.name for one in fields(Row))
        table.writerows(map(astuple, rows))


if __name__ == "__main__":
    main()
