"""A whole model as one ONNX file: a picture of any size in, probabilities out, and what must be known of it in its metadata."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from headstart.exporting.preparing import Prepare
from headstart.networks import model
from headstart.networks.cards import ModelCard

OPSET = 17
PICTURE, PROBABILITIES = "picture", "probabilities"
_EXAMPLE = (75, 50)  # height and width that the export is traced with; any other will do


class Whole(nn.Module):
    """uint8 (height, width, 3) -> probabilities (classes,)."""

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.prepare, self.network = Prepare(card.transform), network

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.network(self.prepare(picture))[0].softmax(0)


def write(arrays: dict[str, np.ndarray], card: ModelCard, path: Path) -> None:
    """Export a model, given by its weights and its card, to `path`.

    Raises HeadstartError if weights and card do not fit together; what the exporter of PyTorch raises for a network that ONNX cannot hold.
    """
    whole = Whole(model.rebuild(card, {key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}), card).eval()
    example = torch.zeros(*_EXAMPLE, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the older exporter, as in features/engines.py
        torch.onnx.export(
            whole,
            (example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[PICTURE],
            output_names=[PROBABILITIES],
            dynamic_axes={PICTURE: {0: "height", 1: "width"}},
        )
    tell(path, card)


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
        "card": card.to_json(),
    }
