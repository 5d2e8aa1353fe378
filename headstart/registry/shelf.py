"""The registry: the current model, all that were current before it, and why.

    registry/model              a link to the folder of the current model: `headstart predict --model registry/model`
    registry/history/N-DATA/    each model ever promoted: model.safetensors, card.json, promotion.json, images.parquet
    registry/history.jsonl      a line per decision, refusals included
    registry/rankings.jsonl     a line per run: how well its ranking foretold its race

headstart/registry/promotion.py decides; this keeps. Only the link says which model is current. It is renamed into place when all else is
written, so after a kill at any moment the old model is current, or the new one, whole. images.parquet (sha256, split, answer) holds which
images a model was trained on, and the class that it gave
each image of the promotion split: the next comparison leaves out the former and reads the latter.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pandas as pd

from headstart.base import outputs, weights
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.networks.cards import ModelCard
from headstart.registry import foretelling
from headstart.registry.foretelling import Foretold

FOLDER = Path("registry")
MODEL, HISTORY, DECISIONS, RANKINGS = "model", "history", "history.jsonl", "rankings.jsonl"
ENTRY, IMAGES = "promotion.json", "images.parquet"


class OfBatch(TypedDict):
    """Two models on `n` images of a batch: shares (0-1) that are right, and the interval of new - current."""

    name: str
    n: int
    accuracy: float
    standing_accuracy: float
    interval: list[float]


class Entry(TypedDict):
    """A decision, as it is kept in history.jsonl and beside the model.

    The figures are those of promotion.Figures, None if there was nothing to compare; `standing` is the folder of the model that was
    current.
    """

    when: str  # ISO 8601
    decision: str  # promoted, refused or unchanged
    forced: bool
    reason: str
    model: str | None  # the folder of the model, if it became the current one or is it
    shipped: str | None
    source: str | None
    data_sha256: str | None
    model_sha256: str
    standing: str | None
    split: str
    n: int | None
    accuracy: float | None
    standing_accuracy: float | None
    difference: float | None
    standard_error: float | None
    interval: list[float] | None
    gained: int | None
    lost: int | None
    notes: list[str]
    batches: NotRequired[list[OfBatch]]  # the same figures of each batch of images, if they came in several


@dataclass(frozen=True)
class Model:
    """A model folder, its card, and the hash of its weights."""

    folder: Path
    card: ModelCard
    sha256: str

    @classmethod
    def read(cls, folder: Path) -> Model:
        """Raises HeadstartError if `folder` holds no readable model."""
        arrays, card = cards.read_model(folder)
        return cls(folder, card, weights.digest(arrays))


def current(registry: Path) -> Model | None:
    """The current model; None if there is none yet. Raises HeadstartError if it cannot be read."""
    link = registry / MODEL
    if not link.is_symlink():
        return None
    folder = registry / link.readlink()
    missing = [name for name in (cards.WEIGHTS, cards.CARD) if not (folder / name).is_file()]
    if missing:
        raise HeadstartError(f"the current model, {folder}, lacks {' and '.join(missing)}")
    return Model.read(folder)


def tidy(registry: Path) -> None:
    """Finish what a killed promote left.

    Its temporary files go, and the current model gets its line in the history. Raises HeadstartError if something that promote did
    not make is in the way of the link.
    """
    link = registry / MODEL
    if link.exists() and not link.is_symlink():
        raise HeadstartError(f"{link} is no link that `headstart promote` made; move it away, or name another folder with --registry")
    for pattern in (*(f".{name}.[0-9]*" for name in (MODEL, DECISIONS, RANKINGS)), f"{HISTORY}/.[0-9]*-*.[0-9]*"):
        for path in registry.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    if (link / ENTRY).is_file():
        entry = outputs.read_json(link / ENTRY)
        if all(line.get("model") != entry["model"] for line in _lines(registry / DECISIONS)):
            record(registry, entry)


def name(registry: Path, data_sha256: str) -> str:
    """A name for the next model: a number, and the data it was made from.

    The number is above those of every folder and line there is.
    """
    known = [path.name for path in registry.glob(f"{HISTORY}/*")] + [str(line.get("model")) for line in _lines(registry / DECISIONS)]
    highest = max((int(found[1]) for text in known if (found := re.match(r"(\d+)-", text))), default=0)
    return f"{highest + 1:04d}-{data_sha256[:12]}"


def store(registry: Path, model: Model, entry: Entry, images: pd.DataFrame) -> None:
    """Keep a copy of the model under the name in its entry, and make it the current one.

    The entry is recorded last. `images` are kept beside it: a row per image, with the columns sha256, split and answer.
    """
    place = Path(HISTORY, str(entry["model"]))
    with outputs.folder(registry / place) as folder:
        for file in cards.files(model.card):
            shutil.copyfile(model.folder / file, folder / file)
        images.to_parquet(folder / IMAGES, index=False)
        outputs.write_json(folder / ENTRY, entry)
    temporary = registry / f".{MODEL}.{os.getpid()}"
    temporary.symlink_to(place, target_is_directory=True)
    temporary.replace(registry / MODEL)  # from here on the promotion counts
    record(registry, entry)


def record(registry: Path, entry: Entry) -> None:
    """Add a decision to the history."""
    _append(registry / DECISIONS, entry)


def record_ranking(registry: Path, ranking: Path, data_sha256: str) -> None:
    """Note how well the ranking in a reports/ranking.json foretold its race, once per run.

    Notes nothing if there was no race.
    """
    try:
        line = foretelling.line(ranking.read_bytes(), data_sha256)
    except OSError:
        return
    known = [(one["data_sha256"], one["ranking_sha256"]) for one in rankings(registry)]
    if line and (line["data_sha256"], line["ranking_sha256"]) not in known:
        _append(registry / RANKINGS, line)


def rankings(registry: Path) -> list[Foretold]:
    """What is known of the rankings of all runs, the oldest first."""
    return _lines(registry / RANKINGS)


def foretold(registry: Path, last: int = 20) -> tuple[int, int]:
    """In how many of the `last` runs the ranking's first won the race, and how many runs those are."""
    lines = rankings(registry)[-last:]
    won = [line["winner"] == line["candidates"][0] if line["winner"] else line["regret"] <= 0 for line in lines]
    return sum(won), len(lines)


def _lines(path: Path) -> list[Any]:
    """The lines of a record, none if there is no file. Raises HeadstartError if one is no JSON."""
    texts = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    try:
        return [json.loads(text) for text in texts if text.strip()]
    except ValueError as error:
        raise HeadstartError(f"{path} is damaged ({error}): each line must be JSON; restore it, from git for example") from None


def _append(path: Path, line: Mapping[str, object]) -> None:
    """Add a line to a record, whole or not at all."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    with outputs.whole(path) as temporary:
        temporary.write_text(text + json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
