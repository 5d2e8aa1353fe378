"""An export for PyTorch alone: a program of torch.export, which needs neither Headstart nor timm."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from torch import nn

from headstart.base import outputs
from headstart.exporting import onnx_file, told
from headstart.exporting.told import Photos, Told
from headstart.machinery.errors import HeadstartError
from headstart.networks import model
from headstart.networks.cards import ModelCard

PROGRAM, FACTS = "model.pt2", "facts.json"


class Squares(nn.Module):
    """uint8 (n, size, size, 3) -> probabilities (n, classes)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(pictures)
        return logits.softmax(1)


def write(folder: Path, out: Path, known: Photos | None) -> Told:
    """Export the model in `folder` to the folder `out`, whole or not at all.

    Raises HeadstartError if there is no model, if torch.export cannot take it, and if it gives other answers then.
    """
    network, card = model.load(folder)
    with outputs.folder(out) as new:
        _save(network, card, new / PROGRAM)
        done = told.check([new / PROGRAM], torch.export.load(new / PROGRAM).module(), folder, card, known)
        (new / "README.md").write_text(_readme(card, done), encoding="utf-8")
        outputs.write_json(new / told.TOLD, done)
    return done


def _save(network: nn.Module, card: ModelCard, path: Path) -> None:
    size = card.transform.input_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            made = torch.export.export(Squares(network).eval(), (example,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
    except Exception as error:  # it raises many kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise HeadstartError(f"torch.export cannot take {card.library}'s {card.architecture}: {first[:200]}") from None
    torch.export.save(made, path, extra_files={FACTS: json.dumps(onnx_file.facts(card), ensure_ascii=False)})


def _readme(card: ModelCard, done: Told) -> str:
    seen = card.transform
    resized = round(seen.input_size / seen.crop)
    return f"""# {card.architecture} as a program of torch.export

`{PROGRAM}` needs PyTorch {card.versions.get("torch", torch.__version__)} or newer and nothing else. It takes what the network sees of n pictures and gives the probability of each class:

    import json, torch
    facts = {{"{FACTS}": ""}}
    model = torch.export.load("{PROGRAM}", extra_files=facts).module()
    facts = json.loads(facts["{FACTS}"])         # classes, factors, card
    probabilities = model(pictures)              # uint8 (n, {seen.input_size}, {seen.input_size}, 3), RGB -> float32 (n, {len(card.classes)})
    names = [facts["classes"][k] for k in (probabilities * torch.tensor(facts["factors"])).argmax(1)]

A picture is turned upright, its shorter side resized to {resized} pixels ({seen.interpolation}), and its middle of {seen.input_size} by {seen.input_size} pixels cut out. `headstart export onnx` writes a
model with that inside.

{" ".join(told.said(done))}
"""
