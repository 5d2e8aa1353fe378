"""A whole model as one ONNX file: a picture of any size in, probabilities out, and what must be known of it in its metadata."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from headstart.exporting.preparing import Prepare
from headstart.networks import answering, model
from headstart.networks.cards import ModelCard

OPSET = 17
PICTURE, PROBABILITIES, DISTANCE = "picture", "probabilities", "distance"
_EXAMPLE = (75, 50)  # height and width that the export is traced with; any other will do


class Whole(nn.Module):
    """uint8 (height, width, 3) -> probabilities (classes,) and the cosine distance () from the known images, 0 if none are given.

    `known` (m, width) are their features at length 1; the distance is that of `statistics.limits.distances`.
    """

    known: torch.Tensor | None

    def __init__(self, network: model.Network, card: ModelCard, known: np.ndarray | None) -> None:
        super().__init__()
        self.prepare, self.network, self.count = Prepare(card.transform), answering.Answering(network), len(card.classes)
        self.register_buffer("known", None if known is None else torch.from_numpy(np.array(known, np.float32)))
        self.neighbours = min(card.unlike.neighbours, len(known)) if card.unlike and known is not None else 0

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        given = self.network(self.prepare(picture))
        logits, features = given[0, : self.count], given[:, self.count :]
        if self.known is None:
            return logits.softmax(0), logits.sum() * 0
        unit = features / features.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return logits.softmax(0), 1 - (unit @ self.known.T)[0].topk(self.neighbours).values[-1]


def write(arrays: dict[str, np.ndarray], card: ModelCard, known: np.ndarray | None, path: Path) -> None:
    """Export a model, given by its weights, its card and the features (m, width) of images that it knows, to `path`.

    Raises HeadstartError if weights and card do not fit together; what the exporter of PyTorch raises for a network that ONNX cannot hold.
    """
    network = model.rebuild(card, {key: torch.from_numpy(np.array(value)) for key, value in arrays.items()})
    export(Whole(network, card, known).eval(), path, [PROBABILITIES, DISTANCE])
    tell(path, card)


def export(module: nn.Module, path: Path, outputs: list[str]) -> None:
    """Write a module that takes a picture, uint8 (height, width, 3) of any size, as ONNX. Raises what the exporter of PyTorch raises."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the older exporter, as in features/engines.py
        torch.onnx.export(
            module,
            (torch.zeros(*_EXAMPLE, 3, dtype=torch.uint8),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[PICTURE],
            output_names=outputs,
            dynamic_axes={PICTURE: {0: "height", 1: "width"}},
        )


def tell(path: Path, card: ModelCard) -> None:
    """Put into the metadata of an ONNX file what predict.py reads there: JSON by name."""
    import onnx

    made = onnx.load(str(path))
    onnx.helper.set_model_props(made, {name: json.dumps(value, ensure_ascii=False) for name, value in facts(card).items()})
    onnx.save(made, str(path))


def facts(card: ModelCard) -> dict[str, object]:
    """What must be known of a model beside its file. Its temperature is not among it: it is in the weights of the last layer."""
    return {
        "classes": list(card.classes),
        "factors": list(card.point.factors) if card.point else [1.0] * len(card.classes),
        "near": round(card.transform.input_size / card.transform.crop),
        "unsure": card.unsure.confidence if card.unsure else None,
        "unlike": card.unlike.distance if card.unlike else None,
        "card": card.to_json(),
    }
