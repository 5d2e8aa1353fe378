"""Both domains in one plane, before and after adapting: does the network put the images of one class together, whichever domain they are of?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from headstart.data.sampling import sample
from headstart.domains.spaces import Spaces, standardised
from headstart.statistics import plane

FEWEST = 10  # images of either domain of which maps are drawn
LABELLED, TARGET = "labelled", "target"
COLUMNS = ("path", "domain", "before", "after", "x_before", "y_before", "x_after", "y_after")


def places(
    known: pd.DataFrame, target: pd.DataFrame, spaces: Spaces, plain: Sequence[str], adapted: Sequence[str], most: int, seed: int
) -> pd.DataFrame:
    """Two maps (0 to 1 either way) of about `most` images, half of each domain, every class in proportion: columns COLUMNS; none of too few.

    known (n,), target (m,): the rows of manifests that `spaces` shows; plain, adapted (m,): labels of the target by the model as it is and by the
    adapted one; a labelled image has its own label in both. Before: the features as the network gives them. After: each domain standardised by
    itself, which is where adapting looks for classes.
    """
    named = target.assign(label=list(adapted))
    rows = [_chosen(table, most // 2, seed) for table in (known, named)]
    if min(map(len, rows)) < FEWEST:
        return pd.DataFrame(columns=list(COLUMNS))
    raw = standardised(np.concatenate([spaces.source[-1], spaces.target[-1]]))
    common = np.concatenate([np.hstack([pair[side] for pair in spaces.common]) for side in (0, 1)])
    both = np.concatenate([rows[0], len(known) + rows[1]])
    (x0, y0), (x1, y1) = (_plane(space[both], seed) for space in (raw, common))
    labels = [known["label"].to_numpy()[rows[0]], np.asarray(plain)[rows[1]], named["label"].to_numpy()[rows[1]]]
    made = {
        "path": np.concatenate([known["path"].to_numpy()[rows[0]], target["path"].to_numpy()[rows[1]]]),
        "domain": np.repeat([LABELLED, TARGET], [len(rows[0]), len(rows[1])]),
        "before": np.concatenate([labels[0], labels[1]]),
        "after": np.concatenate([labels[0], labels[2]]),
    }
    return pd.DataFrame({**made, "x_before": x0, "y_before": y0, "x_after": x1, "y_after": y1})[list(COLUMNS)]


def _chosen(table: pd.DataFrame, most: int, seed: int) -> np.ndarray:
    """The numbers of about `most` rows of a table, every class in proportion."""
    numbered = table[["sha256", "label"]].assign(row=range(len(table)))
    return sample(numbered, most, seed)["row"].to_numpy(int) if most else np.empty(0, int)


def _plane(space: np.ndarray, seed: int) -> np.ndarray:
    """x and y (2, n) of rows (n, d), 0 to 1."""
    drawn = plane.project(space, seed)
    low, high = drawn.min(0), drawn.max(0)
    return np.asarray(((drawn - low) / np.maximum(high - low, 1e-12)).T.round(4))
