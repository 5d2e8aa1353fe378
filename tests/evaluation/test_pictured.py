"""headstart.evaluation.pictured: what counted for the worst mistakes, and a map that keeps neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.base import outputs
from headstart.evaluation import occlusion, pictured
from headstart.evaluation.outlying import Outliers
from headstart.features.engines import Engine
from headstart.features.transforms import View
from headstart.statistics import plane
from tests import toy


def groups(n: int = 30, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Features of three classes (3 n, width), apart from each other, and the classes (3 n,)."""
    random = np.random.default_rng(0)
    centres = 3 * random.normal(size=(3, width))
    labels = np.repeat(np.arange(3), n)
    return (centres[labels] + random.normal(size=(3 * n, width))).astype(np.float32), labels


def table(labels: np.ndarray) -> pd.DataFrame:
    names = [f"{number:04}.png" for number in range(len(labels))]
    shas = [f"{number:064x}" for number in range(len(labels))]
    return pd.DataFrame({"path": names, "label": [f"c{label}" for label in labels], "split": "train", "sha256": shas})


def test_neighbours_stay_neighbours_the_same_way_every_time() -> None:
    features, labels = groups()
    places = plane.project(features, 0)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(len(places))
    assert (labels[distances.argmin(1)] == labels).mean() > 0.95
    np.testing.assert_array_equal(places, plane.project(features, 0))


def test_the_map_is_of_so_many_images_of_every_class() -> None:
    features, labels = groups()
    found = pictured.mapped(table(labels), features, 45, 0)
    assert list(found.columns) == ["path", "label", "split", "x", "y"]
    assert dict(found["label"].value_counts()) == {"c0": 15, "c1": 15, "c2": 15}
    assert (found[["x", "y"]].min().min(), found[["x", "y"]].max().max()) == (0.0, 1.0)
    whole = pictured.mapped(table(labels), features, 1000, 0)
    assert list(whole["path"]) == list(table(labels)["path"])


@pytest.mark.parametrize(("most", "images"), [(0, 90), (1000, pictured.FEWEST - 1)])
def test_no_map(most: int, images: int) -> None:
    features, labels = groups()
    found = pictured.mapped(table(labels[:images]), features[:images], most, 0)
    assert (len(found), list(found.columns)) == (0, ["path", "label", "split", "x", "y"])


def test_features_of_one_direction_have_a_map() -> None:
    assert np.isfinite(plane.project(np.ones((12, 5), np.float32), 0)).all()


def test_the_worst_mistakes_are_looked_at(tmp_path: Path) -> None:
    calls = 0

    def run(squares: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += len(squares)
        return np.stack([squares[:, :8, :8].mean((1, 2, 3)) / 50, 0 * squares[:, 0, 0, 0]], axis=1).astype(np.float32)

    for name in "abc":
        toy.photo(size=48).save(tmp_path / f"{name}.png")
    rows = {
        "path": ["a.png", "b.png", "c.png"],
        "correct": [False, True, False],
        "probability": [0.6, 1.0, 0.9],
        "predicted": ["x", "x", "y"],
    }
    heat = pictured.counted(pd.DataFrame(rows), tmp_path, Engine("test", 1, run), View(32, "bilinear", 0.9), ["x", "y"], 1)
    assert (heat["crop"], list(heat["parts"])) == (0.9, ["c.png"])
    assert calls == (occlusion.CELLS - occlusion.COVER + 1) ** 2 + 1
    table = pd.DataFrame({"path": ["a.png"], "label": ["x"], "split": ["test"], "x": [0.0], "y": [1.0]})
    far: Outliers = {"distance": None, "images": []}
    pictured.write(tmp_path / "seen", heat, table, far)
    assert outputs.read_json(tmp_path / "seen" / pictured.HEAT) == heat
    assert len(pd.read_parquet(tmp_path / "seen" / pictured.MAP)) == 1
