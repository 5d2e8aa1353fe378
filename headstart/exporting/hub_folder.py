"""An export in the form of a model hub: a folder that timm and transformers load.

model.safetensors with timm's names, config.json as timm writes it (which transformers reads too), and a model card. Of two networks side by
side each has a folder of its own, and their logits are to be averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart.base import outputs
from headstart.exporting import agreement, model_card, told
from headstart.exporting.told import Photos, Told
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards, libraries, pairing, skeletons
from headstart.networks.cards import ModelCard

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def write(folder: Path, out: Path, known: Photos | None) -> Told:
    """Export the model in `folder` to the folder `out`, whole or not at all.

    Raises HeadstartError if there is no model, if its network is not one of timm's, and if timm gives other answers for what it then loads.
    """
    arrays, card = cards.read_model(folder)
    if card.library != "timm":
        raise HeadstartError(
            f"timm and transformers do not have {card.library}'s {card.architecture}; `headstart export onnx` or `headstart export torch` writes it"
        )
    with outputs.folder(out) as new:
        parts = _parts(arrays, card)
        for part, some in parts.items():
            (new / part).mkdir(exist_ok=True)
            _save(some, card, new / part)
        done = _checked([new / part for part in parts], folder, card, known)
        (new / "README.md").write_text(model_card.text(card, done), encoding="utf-8")
        outputs.write_json(new / told.TOLD, done)
    return done


def _parts(arrays: dict[str, np.ndarray], card: ModelCard) -> dict[str, dict[str, np.ndarray]]:
    """The weights of each network, by the folder that it has; "" is the export itself."""
    if not card.architecture.startswith(pairing.PREFIX):
        return {"": arrays}
    classifier = skeletons.skeleton(card.library, card.architecture)[1]
    return pairing.apart(arrays, (f"{classifier}.weight", f"{classifier}.bias"))


def _save(arrays: dict[str, np.ndarray], card: ModelCard, new: Path) -> None:
    timm, seen = libraries.timm(), card.transform
    network = timm.create_model(card.architecture.removeprefix(pairing.PREFIX), pretrained=False, num_classes=len(card.classes))
    state = {key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}
    skeletons.fit_size(network, {key: tuple(value.shape) for key, value in state.items()}, seen.input_size)
    network.load_state_dict(state)
    timm.models.save_for_hf(
        network,
        str(new),
        model_config={"label_names": list(card.classes)},
        safe_serialization=True,
        data_config={
            "input_size": (3, seen.input_size, seen.input_size),
            "mean": seen.mean,
            "std": seen.std,
            "interpolation": seen.interpolation,
            "crop_pct": seen.crop,
        },
    )
    (new / WEIGHTS).chmod(0o644)
    content = outputs.read_json(new / CONFIG)
    # transformers gives these itself, and fails if they come twice; num_classes stands in the file once more
    content["model_args"] = {
        key: value for key, value in content.get("model_args", {}).items() if key not in ("num_classes", "in_chans", "global_pool")
    }
    outputs.write_json(
        new / CONFIG, content if content["model_args"] else {key: value for key, value in content.items() if key != "model_args"}
    )


def _checked(made: list[Path], folder: Path, card: ModelCard, known: Photos | None) -> Told:
    """What timm gives for the folders, beside the model: on the same pixels, and on files as timm itself prepares them."""
    timm = libraries.timm()
    networks = [timm.create_model(f"local-dir:{one}", pretrained=True).eval() for one in made]
    seen = card.transform
    mean, std = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in (seen.mean, seen.std))

    def probabilities(pictures: torch.Tensor) -> torch.Tensor:
        return torch.stack([network(pictures) for network in networks]).mean(0).softmax(1)

    def run(squares: torch.Tensor) -> torch.Tensor:
        return probabilities((squares.permute(0, 3, 1, 2).float() - mean) / std)

    done = told.check([one / WEIGHTS for one in made], run, folder, card, known)
    if known and (files := known.files("validation")):
        done["prepared"] = agreement.compare(_prepared(networks[0], probabilities, files), agreement.reference(folder, files))
    return done


def _prepared(network: Any, probabilities: Callable[[torch.Tensor], torch.Tensor], files: list[Path]) -> np.ndarray:
    """The probabilities (n, classes) of files that timm reads by itself, as its documentation says."""
    from PIL import Image, ImageOps

    data = libraries.timm().data
    transform = data.create_transform(**data.resolve_model_data_config(network))
    with torch.inference_mode():
        each = [probabilities(transform(ImageOps.exif_transpose(Image.open(file)).convert("RGB"))[None])[0] for file in files]
    return torch.stack(each).numpy()
