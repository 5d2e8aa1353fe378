"""The README of an export in the form of a model hub: what the model is, from facts alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from headstart.exporting import told
from headstart.exporting.told import Told
from headstart.networks import pairing
from headstart.networks.cards import ModelCard

_ONE = """\
    import timm, torch
    from PIL import Image
    model = timm.create_model("local-dir:.", pretrained=True).eval()     # in this folder; hf-hub:OWNER/NAME once it is on a hub
    look = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    probabilities = model(look(Image.open("photo.jpg").convert("RGB"))[None]).softmax(1)
    print(model.pretrained_cfg["label_names"][int(probabilities.argmax())])

With transformers: `AutoModelForImageClassification.from_pretrained(".")` and `AutoImageProcessor.from_pretrained(".")`."""
_PAIR = """\
The mean of their logits counts; neither is a model by itself.

    import timm, torch
    from PIL import Image
    models = [timm.create_model(f"local-dir:{name}", pretrained=True).eval() for name in ("first", "second")]     # in this folder
    look = timm.data.create_transform(**timm.data.resolve_model_data_config(models[0]))
    picture = look(Image.open("photo.jpg").convert("RGB"))[None]
    probabilities = torch.stack([model(picture) for model in models]).mean(0).softmax(1)
    print(models[0].pretrained_cfg["label_names"][int(probabilities.argmax())])

With transformers: `AutoModelForImageClassification.from_pretrained("first")`, the same with "second", and the mean of their `logits`."""


def text(card: ModelCard, done: Told) -> str:
    """The model card, with the head that model hubs read."""
    size = card.transform.input_size
    return f"""---
pipeline_tag: image-classification
library_name: timm
tags: [image-classification, timm, transformers]
{f"license: {card.licence}" if card.licence else "# license: that of the weights it was made from and that of your images"}
---
# {_name(card)}: {", ".join(card.classes[:12])}{", ..." if len(card.classes) > 12 else ""}

{"Two networks side by side," if _pair(card) else "A"} {_name(card)} that tell{"" if _pair(card) else "s"} {len(card.classes)} classes apart on pictures of {size} by {size} pixels. Made by transfer from `{card.source or card.kind or "weights of one's own"}`{_ships(card)}.

{_PAIR if _pair(card) else _ONE}

## How good

{_metrics(card)}

## What it is for, and what it does not know

It was made from images of {", ".join(card.classes[:12])}{", ..." if len(card.classes) > 12 else ""} and names one of these for every picture, whatever it shows.{_point(card)}{_limits(card)}

## How it was checked

{" ".join(told.said(done))}
"""


def _pair(card: ModelCard) -> bool:
    return card.architecture.startswith(pairing.PREFIX)


def _name(card: ModelCard) -> str:
    return card.architecture.removeprefix(pairing.PREFIX)


def _ships(card: ModelCard) -> str:
    words = {
        "both": "its frozen base with a new head, and the fine-tuned network",
        "head": "a new head on its frozen base",
        "fine_tuned": "fine-tuned",
        "average": "an average of its frozen base and the fine-tuned network",
    }
    return f" ({words[card.shipped]})" if card.shipped in words else ""


def _metrics(card: ModelCard) -> str:
    """The figures of the test images, if the card has them."""
    shown = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "ece": "expected calibration error"}
    found = {name: card.metrics.get(key) for key, name in shown.items()}
    rows = [f"| {name} | {value:.3f} |" for name, value in found.items() if isinstance(value, (int, float))]
    table = "\n".join(["| on the test images | |", "|---|---|", *rows]) if rows else "Not measured."
    intervals = card.metrics.get("interval")
    if isinstance(intervals, Mapping) and (ends := cast(Mapping[str, list[float]], intervals).get("accuracy")):
        table += f"\n\nThe accuracy on new images of this kind lies between {ends[0]:.1%} and {ends[1]:.1%} (95% interval)."
    return table


def _point(card: ModelCard) -> str:
    """That a class other than the likeliest may be named."""
    if card.point is None or len(set(card.point.factors)) == 1:
        return ""
    factors = ", ".join(f"{name} {factor:.3g}" for name, factor in zip(card.classes, card.point.factors, strict=True))
    return f" The class of the largest product of probability and factor is to be named ({factors}): that is what it was chosen for."


def _limits(card: ModelCard) -> str:
    if card.unsure is None:
        return ""
    return f" An answer below {card.unsure.confidence:.3f} is better left to a person."
