"""What a public library makes of the same frozen features of two domains: skada's methods, which domains.py prints beside ours.

    pip install --target FOLDER --no-deps pot==0.9.7.post1 skada==0.6.0; PYTHONPATH=FOLDER:. python benchmarks/domains.py ... --peers

Each method is a pipeline of skada's own parts, at skada's defaults unless noted: standardising, 100 main directions, the method, scikit-learn's
logistic regression. "shared" standardises both domains together, "apart" each by itself, which skada offers too (PerDomain) and which helps every
one of them on these images. Needs no label of the second domain, as ours do not.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from headstart.domains.spaces import Spaces

DIRECTIONS = 100
ENTROPY = (
    0.01  # of the largest cost, to which costs are scaled: with skada's costs as they come, its default of 1 ends in numbers that are none
)


def _methods() -> dict[str, Callable[[], list[Any]]]:
    """The steps of each method after standardising and main directions."""
    import skada

    head = LogisticRegression(max_iter=1000)
    return {
        "source only": lambda: [head],
        "CORAL": lambda: [skada.CORALAdapter(), head],
        "optimal transport": lambda: [skada.OTMappingAdapter(), head],
        "entropic optimal transport": lambda: [skada.EntropicOTMappingAdapter(reg_e=ENTROPY, norm="max"), head],
        "JDOT": lambda: [skada.JDOTClassifier(head)],
    }


def answers(spaces: Spaces) -> dict[str, np.ndarray]:
    """The classes (m,) that each method gives the images of the second domain, by its name and how it was standardised.

    JDOT fails where it leaves a class without an image; such a draw has no answer of it.
    """
    import skada
    from skada.utils import source_target_merge

    a, b = (layers[-1].astype(np.float64) for layers in (spaces.source, spaces.target))
    x, where = source_target_merge(a, b)
    y = np.concatenate([spaces.labels, np.full(len(b), -1)])
    found = {}
    for name, steps in _methods().items():
        for how, scaler in (("shared", StandardScaler()), ("apart", skada.PerDomain(StandardScaler()))):
            pipeline = skada.make_da_pipeline(scaler, PCA(DIRECTIONS, random_state=0), *steps())
            with warnings.catch_warnings(), contextlib.suppress(ValueError):
                warnings.simplefilter("ignore")
                pipeline.fit(x, y, sample_domain=where)
                found[f"{name}, {how}"] = np.asarray(pipeline.predict(x[where < 0], sample_domain=where[where < 0]))
    return found
