"""The steps of the pipeline as functions.

Each takes what the one before gave, and options by the names that params.yaml has.

What frozen layers compute is kept in .headstart/ of the current folder, as the pipeline does; deleting it costs only time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from headstart import params
from headstart.base.devices import CPU, Device
from headstart.checks import validation
from headstart.checks.expectations import Limits
from headstart.data import encoding, manifest
from headstart.evaluation import metrics
from headstart.indexing import indexer, layout
from headstart.library.fitted import FineTuned, FittedHead
from headstart.library.models import Model
from headstart.linear import frozen_head
from headstart.machinery.errors import DataError
from headstart.networks.cards import SourceCard
from headstart.params import Aim, Block
from headstart.params.blocks import Baseline, Evaluate, FineTune, IndexImages, TrainHead, ValidateData, Verdict
from headstart.params.choosing import SelectSource
from headstart.proof import proving
from headstart.proof.contenders import FINE_TUNED, Contender, DataSet
from headstart.proof.trained import Blocks
from headstart.statistics import goals, likelihood, operating, records

if TYPE_CHECKING:
    from headstart.choice.selection import Selection
    from headstart.training.augmenting import Change

Kind = TypeVar("Kind", bound=Block)


@dataclass(frozen=True)
class Images:
    """Indexed images: a row per file, and the folder that the paths are below.

    headstart/data/manifest.py names the columns.
    """

    table: pd.DataFrame
    root: Path

    @property
    def usable(self) -> pd.DataFrame:
        """The rows of files that can be read."""
        return self.table[self.table["readable"]].reset_index(drop=True)

    @property
    def classes(self) -> list[str]:
        """The classes of the usable images, sorted."""
        return sorted(set(self.usable["label"]))

    def split(self, name: str) -> pd.DataFrame:
        """The usable rows of a split: train, validation or test."""
        return self.usable[self.usable["split"] == name].reset_index(drop=True)


def index(images: str | Path | Sequence[str | Path], labels: Sequence[str] | None = None, *, seed: int = 0, **options: Any) -> Images:
    """Decode, hash and split images: a folder CLASS/FILE or SPLIT/CLASS/FILE, or files with their labels.

    options: those of index_images in params.yaml (test_share, validation_share, ...). Raises DataError for a folder that leaves a
    label in doubt
    and for fewer than two classes, ParamsError for an option that is wrong.
    """
    block = _block(IndexImages, "index_images", options)
    if isinstance(images, str | Path):
        if labels is not None:
            raise DataError("labels go with a list of files; a folder gives its own")
        return Images(indexer.index(Path(images), **block.model_dump(), seed=seed), Path(images))
    if labels is None or len(labels) != len(images):
        raise DataError(f"{len(images)} files need as many labels, and {0 if labels is None else len(labels)} were given")
    items = [layout.Item(str(Path(path).absolute()), str(label), "") for path, label in zip(images, labels, strict=True)]
    layout.check(layout.Contents(items, [], []), "the list of files")
    return Images(indexer.index_items(Path(), items, **block.model_dump(), seed=seed), Path())


def check(images: Images, **options: Any) -> validation.Validation:
    """Check images with Great Expectations, as the stage validate_data does.

    The result names every failed check and its files.

    options: those of validate_data in params.yaml. Raises ParamsError for an option that is wrong.
    """
    block = _block(ValidateData, "validate_data", options)
    return validation.validate(images.table, Limits(**block.model_dump()))


def rank(images: Images, *, seed: int = 0, device: Device = CPU, **options: Any) -> Selection:
    """Score candidates on the training images, race the leaders on the validation images, and choose one.

    options: those of select_source in params.yaml (candidates=["wheel:efficientnet_lite0", ...]). `chosen` of the result is the card
    of the source,
    `report` holds every candidate with its scores. Raises ParamsError for a wrong name or option, HeadstartError if no candidate can
    be had.
    """
    from headstart.choice import selection

    block = _block(SelectSource, "select_source", options)
    return selection.select(images.usable, images.root, block, seed=seed, device=device)


def fit_head(
    images: Images,
    source: str | SourceCard | Selection,
    *,
    aim: Aim | None = None,
    seed: int = 0,
    device: Device = CPU,
    **options: Any,
) -> FittedHead:
    """Fit linear heads on a frozen source.

    source: a candidate's name, a card, or what `rank` gave.
    aim: what the model is to be good at, as in params.yaml: headstart.params.Aim(measure="recall", label="bees", reach=0.95).
    options: those of train_head in params.yaml.

    Raises ParamsError for a wrong name or option, networks.common.Unavailable for a source that cannot be had.
    """
    block = _block(TrainHead, "train_head", options)
    card = _card(source, images)
    wanted = aim or Aim()
    goal = goals.resolve(wanted.measure, wanted.label, wanted.reach, list(images.usable.loc[images.usable["split"] != "test", "label"]))
    fitted, summary = frozen_head.train(
        images.usable,
        images.root,
        card,
        penalties=block.penalties,
        folds=block.folds,
        balanced=block.balanced,
        seed=seed,
        goal=goal,
        device=device,
    )
    grey = manifest.grey(images.usable)
    return FittedHead(card, images.classes, fitted[frozen_head.FINAL], fitted[frozen_head.TRAIN_ONLY], block, grey, goal, summary["point"])


def fine_tune(images: Images, head: FittedHead, *, seed: int = 0, device: Device = CPU, **options: Any) -> FineTuned:
    """Unfreeze and fine-tune from a fitted head, watching the validation images.

    options: those of fine_tune in params.yaml.
    """
    from headstart.training import tuning

    block = _block(FineTune, "fine_tune", options)
    changes = _changes(images, head, seed, device) if block.strategy != "head_only" else []
    tuned = tuning.tune(images.usable, images.root, head.source, head.train_only, head.classes, block, changes, seed=seed, device=device)
    record = records.of_run(images.usable, tuned.result)
    labels = encoding.encode(images.split("validation")["label"], head.classes)
    point = operating.choose(head.goal, likelihood.softmax(tuned.result.logits), labels, head.classes)
    return FineTuned(head.source, head.classes, tuned.result, record, tuned.block, manifest.grey(images.usable), point)


def prove(
    images: Images,
    head: FittedHead,
    tuned: FineTuned,
    *,
    baseline: Baseline | None = None,
    seed: int = 0,
    device: Device = CPU,
    **options: Any,
) -> proving.Proof:
    """Whether transfer helped, in comparison with the same network trained from random weights.

    Trains that network, and compares both on the validation images.

    baseline: how it is trained (headstart.params.Baseline(epochs=5)); options: those of verdict in params.yaml (seeds, label_curve, level,
    ...).
    """
    from headstart.training import designs, scratch

    block = _block(Verdict, "verdict", options)
    fresh = scratch.settled(baseline or Baseline(), images.usable, _changes(images, head, seed, device), device)
    card, runs = designs.random_card(head.source.design, fresh.max_size, seed), {}
    plan = scratch.plan_of(fresh)
    for one in designs.trainings(images.usable, seeds=block.runs, label_curve=block.label_curve, images=fresh.max_images, seed=seed):
        done = scratch.train(one.table, images.root, card.design, head.classes, plan, seed=one.seed, device=device)
        runs[one.labels, one.number] = records.of_run(one.table, done)
    return proving.prove(
        tuned.record,
        runs,
        ships=Contender(FINE_TUNED, {}, head.source, tuned.result.logits),
        data=DataSet(images.usable, images.root, head.classes, device),
        card=head.source,
        design=card.design,
        blocks=Blocks(head.block, tuned.block, fresh),
        block=block,
        seed=seed,
    )


def evaluate(images: Images, model: Model, *, split: str = "test", seed: int = 0, **options: Any) -> metrics.Figures:
    """Measure a model on a split: figures with intervals.

    The figures are accuracy, balanced accuracy, macro F1 and calibration.

    options: those of evaluate in params.yaml.

    Raises DataError if the split is empty, or holds a class that the model does not know.
    """
    block = _block(Evaluate, "evaluate", options)
    rows = images.split(split)
    if rows.empty:
        raise DataError(f"there is no usable image in the split {split!r}")
    unknown = sorted(set(rows["label"]) - set(model.classes))
    if unknown:
        raise DataError(f"the model does not know the classes {', '.join(unknown)}; it knows {', '.join(model.classes)}")
    probabilities = model.predict_proba([images.root / path for path in rows["path"]])
    labels = encoding.encode(rows["label"], model.classes)
    named = model.card.named(probabilities)
    return metrics.describe(
        probabilities, labels, model.classes, predicted=named, draws=block.bootstrap, bins=block.calibration_bins, seed=seed
    )


def _changes(images: Images, head: FittedHead, seed: int, device: Device) -> list[Change]:
    """Which changes of the pictures keep their labels; what the source gives for them is computed once."""
    from headstart.training import augmenting

    return augmenting.measure(images.split("train"), images.root, head.source, head.classes, seed=seed, device=device)


def _block(kind: type[Kind], name: str, options: dict[str, Any]) -> Kind:
    """The typed block of these options. Raises ParamsError that lists every problem."""
    block = getattr(params.check({name: options}, name), name)
    assert isinstance(block, kind)
    return block


def _card(source: str | SourceCard | Selection, images: Images) -> SourceCard:
    if isinstance(source, SourceCard):
        return source
    if isinstance(source, str):
        from headstart.networks import sizes, sources

        loaded = sources.load(source)
        return loaded.card().at(sizes.choose(loaded, "auto", images.split("train")))
    return source.chosen
