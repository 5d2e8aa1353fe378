"""Batches over time: is the head one in any order, what is forgotten, is drift found and nothing else, and what does an update cost?

    python benchmarks/batches.py DIGITS PHOTOS SKETCHES [--source wheel:efficientnet_lite0] [--draws 20] [--fine-tuned]

DIGITS holds ten classes, a folder each, which come in five batches of two; PHOTOS and SKETCHES hold the same classes. All on the frozen source,
whose features are kept in .headstart/ of the current folder. Data sets are made in batches.tmp/ there, and removed.

Ends with a line of JSON:

- `orders`: whether the bytes of the head are equal after the five batches in three random orders, and in one run on all without features at hand;
- `final`, `at_once`: accuracy on the test images after the five batches, and of the same images imported at once, with splits drawn at once;
- `forgetting`: mean over the first four batches of the best accuracy that a head had on its test images before, less the final one: the usual
  measure. It counts that ten classes are harder to tell apart than two; `worst_beside_at_once` does not: the final accuracy on a batch less
  that of the run on all at once, of the worst batch;
- `fine_tuned`, with --fine-tuned alone and instead of all else: the same figures of what ships after fine_tune with its defaults: the network, if it
  is right on more validation images by more than a paired standard error, else the head;
- `drift`: alarms at 0.01 of `draws`, by number of new photos among 300 earlier ones: `none` of them sketches, `planted` a third, `all`;
- `update`: seconds to add a hundredth more images, index, look at what is new and fit the head, against the same from nothing.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from workspace import report

from headstart.continual import drift
from headstart.features import extraction, of_source
from headstart.importing import datasets, joining
from headstart.importing.joining import Indexing
from headstart.importing.options import Options
from headstart.indexing.arrivals import Cut
from headstart.library import steps as library
from headstart.linear import frozen_head
from headstart.networks import heads, sources
from headstart.networks.cards import SourceCard
from headstart.params import TrainHead

HERE = Path("batches.tmp")
HOW = Indexing(Cut(0.2, 0.2, 4, 20, 0), 100_000_000)
SIZES = (6, 12, 30, 60)  # new photos
BEFORE, LEVEL = 300, 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("digits", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("sketches", type=Path)
    parser.add_argument("--source", default="wheel:efficientnet_lite0")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--fine-tuned", action="store_true")
    given = parser.parse_args()
    card = sources.load(given.source).card()
    shutil.rmtree(HERE, ignore_errors=True)
    if given.fine_tuned:
        report({"source": given.source, "fine_tuned": fine_tuned(given.digits, card)})
        shutil.rmtree(HERE)
        return
    report(
        {
            "source": given.source,
            **digits(given.digits, card),
            "drift": drifts(given.photos, given.sketches, card, given.draws),
            "update": update(given.digits, card),
        }
    )
    shutil.rmtree(HERE)


def digits(folder: Path, card: SourceCard) -> dict[str, Any]:
    """Five batches of two classes, in three random orders and at once."""
    pairs = in_pairs(folder)
    found, steps = [], list[dict[str, float]]()
    for number, order in enumerate(np.random.default_rng(0).permuted([list(pairs)] * 3, axis=1).tolist()):
        images = HERE / f"order{number}"
        heard = [grown(images, folder, pairs[name], name, card, number == 0) for name in order]
        steps = [accuracies for _, accuracies in heard] if number == 0 else steps
        table = HOW.index(images)
        found.append(fitted(table, images, card)[0])
    shutil.rmtree(extraction.FOLDER)
    anew, final = fitted(table, images, card)
    batch_of = {label: name for name, labels in pairs.items() for label in labels}
    plain = HERE / "at once"
    datasets.import_dataset(str(folder), plain, current=HERE / "none")
    table_at_once = HOW.index(plain)
    _, at_once = fitted(table_at_once.assign(batch=table_at_once["label"].map(batch_of)), plain, card)
    return {
        "orders": len({*found, anew}) == 1,
        "final": final[""],
        "at_once": at_once[""],
        "n_test": int((table["split"] == "test").sum()),
        "forgetting": forgetting(steps),
        "worst_beside_at_once": min(final[name] - at_once[name] for name in pairs),
        "steps": steps,
    }


def in_pairs(folder: Path) -> dict[str, tuple[str, ...]]:
    """The classes of each batch."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return {f"batch{number}": tuple(names[2 * number : 2 * number + 2]) for number in range(len(names) // 2)}


def forgetting(steps: list[dict[str, float]]) -> float:
    """Mean over the batches but the last of the best accuracy before, less the final one."""
    seen = [name for name in steps[-1] if name and any(name in step for step in steps[:-1])]
    return float(np.mean([max(step[name] for step in steps[:-1] if name in step) - steps[-1][name] for name in seen]))


def fine_tuned(folder: Path, card: SourceCard) -> dict[str, Any]:
    """Five batches of two classes in the order of their names, and all at once: what ships after fine_tune."""
    pairs, images, steps = in_pairs(folder), HERE / "growing", list[dict[str, float]]()
    for name, labels in pairs.items():
        grown(images, folder, labels, name, card, False)
        steps.append(shipped(HOW.index(images), images, card))
        print({key: round(value, 4) for key, value in steps[-1].items()}, flush=True)
    plain = HERE / "at once"
    datasets.import_dataset(str(folder), plain, current=HERE / "none")
    table = HOW.index(plain)
    batch_of = {label: name for name, labels in pairs.items() for label in labels}
    at_once = shipped(table.assign(batch=table["label"].map(batch_of)), plain, card)
    return {
        **{"final": steps[-1][""], "at_once": at_once[""], "forgetting": forgetting(steps)},
        **{"worst_beside_at_once": min(steps[-1][name] - at_once[name] for name in pairs), "steps": steps},
    }


def shipped(table: pd.DataFrame, images: Path, card: SourceCard) -> dict[str, float]:
    """The accuracy on the test images of what ships: "" for all, and by batch."""
    some = library.Images(table, images)
    head = library.fit_head(some, card)
    tuned = library.fine_tune(some, head)
    test = some.split("test")
    model = (tuned if tuned.better else head).model()
    right = pd.Series(np.asarray(model.predict([images / path for path in test["path"]])) == test["label"].to_numpy(str))
    by_batch = right.groupby(test["batch"].to_numpy(str)).mean().to_dict()
    return {"": float(right.mean()), **{str(name): float(share) for name, share in by_batch.items() if name}}


def grown(
    images: Path, source: Path, names: tuple[str, ...], batch: str, card: SourceCard, measured: bool
) -> tuple[bytes, dict[str, float]]:
    """Add the classes `names` of a folder as a batch; the head then, if it is measured."""
    part = HERE / "part"
    shutil.rmtree(part, ignore_errors=True)
    for name in names:
        shutil.copytree(source / name, part / name)
    if images.exists():
        target = HERE / "next"
        joining.add(str(part), target, images, Path("none"), HOW, batch=batch, options=Options(fewest=1))
        shutil.rmtree(images)
        target.rename(images)
    else:
        datasets.import_dataset(str(part), images, current=HERE / "none")
        joining.name_all(images, batch, HOW)
    return fitted(HOW.index(images), images, card) if measured else (b"", {})


def fitted(table: pd.DataFrame, images: Path, card: SourceCard) -> tuple[bytes, dict[str, float]]:
    """The bytes of the head on a data set, and its accuracy on the test images: "" for all, and by batch."""
    how = TrainHead()
    made, summary = frozen_head.train(table, images, card, penalties=how.penalties, folds=how.folds, balanced=False, seed=0)
    heads.save(HERE / "head", made)
    test = table[table["split"] == "test"].reset_index(drop=True)
    logits = made["final"].logits(of_source.of_source(card, test, images))
    right = np.array(summary["classes"])[logits.argmax(1)] == test["label"]
    by_batch = {str(name): float(part.mean()) for name, part in right.groupby(test["batch"])}
    return (HERE / "head").read_bytes(), {"": float(right.mean()), **{name: share for name, share in by_batch.items() if name}}


def drifts(photos: Path, sketches: Path, card: SourceCard, draws: int) -> dict[str, Any]:
    """How often other looks are found, by how many photos are new and how many of these are sketches."""
    tables = [HOW.index(folder) for folder in (photos, sketches)]
    features = [of_source.of_source(card, table, folder)[:] for table, folder in zip(tables, (photos, sketches), strict=True)]
    labels = [table["label"].to_numpy(str) for table in tables]
    found: dict[str, Any] = {}
    for share, what in ((0, "none"), (3, "planted"), (1, "all")):
        found[what] = {}
        for size in SIZES:
            looks = [draw(features, labels, size, size // share if share else 0, seed) for seed in range(draws)]
            alarms = sum("looks" in one["found"] for one in looks)
            apart = [one["looks"]["told_apart"] for one in looks if one["looks"]["told_apart"] is not None]
            found[what][size] = {"alarms": alarms, "told_apart": round(float(np.mean(apart)), 3) if apart else None}
    return {"draws": draws, "of": found}


def draw(features: list[np.ndarray], labels: list[np.ndarray], size: int, other: int, seed: int) -> Any:
    """BEFORE photos, then `size` images, `other` of which are sketches."""
    random = np.random.default_rng(seed)
    photos, sketches = random.permutation(len(labels[0])), random.permutation(len(labels[1]))[:other]
    rows = photos[: BEFORE + size - other]
    x = np.concatenate([features[0][rows], features[1][sketches]])
    names = np.concatenate([labels[0][rows], labels[1][sketches]])
    new = np.arange(len(names)) >= BEFORE
    return drift.measure("new", x, names, np.arange(len(names)), new, level=LEVEL, permutations=999, most=2000, seed=seed)


def update(folder: Path, card: SourceCard) -> dict[str, float]:
    """Seconds of adding a hundredth more images, against those of all from nothing: import, index, features and head."""
    most, few = HERE / "most", HERE / "few"
    for path in sorted(folder.rglob("*.*")):
        place = (few if int.from_bytes(path.name.encode()) % 101 == 0 else most) / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    shutil.rmtree(extraction.FOLDER)
    images, times = HERE / "growing", []
    for step in range(2):
        started = time.monotonic()
        if step:
            joining.add(str(few), HERE / "next", images, Path("none"), HOW, options=Options(fewest=1))
            images = HERE / "next"
        else:
            datasets.import_dataset(str(most), images, current=HERE / "none")
        table = HOW.index(images)
        fitted(table, images, card)
        times.append(round(time.monotonic() - started, 1))
    return {"images": len(table), "new": len(list(few.rglob("*.*"))), "from_nothing": times[0], "update": times[1]}


if __name__ == "__main__":
    main()
