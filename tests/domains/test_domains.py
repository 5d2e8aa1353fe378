"""Labels are carried over between made-up domains: every method runs, what can be trusted is done, and what cannot is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headstart.domains import agreement, deciding, labelled, mapping
from headstart.domains.methods import METHODS
from headstart.domains.spaces import Spaces
from headstart.statistics.probabilities import scale, tempered, with_shares

CLASSES = 4


def seen(network: int, truth: np.ndarray, *, noise: float = 1.0, moved: float = 6.0, known: bool = True) -> Spaces:
    """Two domains as one made-up network sees them: its own directions for the classes, the second domain moved and stretched.

    `known`: whether the second domain holds the classes at all.
    """
    random = np.random.default_rng(network)
    labels = np.arange(160) % CLASSES
    means = random.normal(size=(CLASSES, 24)) * 3
    others = np.random.default_rng([network, 7]).normal(size=(CLASSES, 24)) * 3
    a = means[labels] + random.normal(size=(160, 24))
    b = (means if known else others)[truth] + noise * random.normal(size=(len(truth), 24))
    b = b * random.uniform(0.3, 3, 24) + moved * random.normal(size=24)
    return Spaces((a[:, :12], a), (b[:, :12], b), labels, CLASSES)


TRUTH = np.arange(120) % CLASSES


def views(**made: object) -> dict[str, Spaces]:
    return {f"network {n}": seen(n, TRUTH, **made) for n in range(3)}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_probabilities_and_is_far_better_than_chance(name: str) -> None:
    spaces = seen(0, TRUTH)
    for q in (METHODS[name].run(spaces), METHODS[name].settled(spaces)):
        assert q.shape == (120, CLASSES)
        assert np.allclose(q.sum(1), 1)
        assert (q >= 0).all()
    assert float((METHODS[name].run(spaces).argmax(1) == TRUTH).mean()) > 1 / CLASSES + 0.2


def test_the_same_gives_the_same() -> None:
    spaces = seen(1, TRUTH)
    assert (METHODS["balanced_em"].run(spaces) == METHODS["balanced_em"].run(spaces)).all()


def test_what_the_networks_agree_on_is_carried_over() -> None:
    found = deciding.decide(views(), "balanced_em", 0)
    assert found.adapt
    assert found.kappa[0] > 0.9 > found.kappa[1]
    assert float((found.tried[0].probabilities.argmax(1) == TRUTH).mean()) > 0.9
    assert found.accuracy is not None
    about, low, high = found.accuracy
    assert low < about <= high


def test_what_is_noise_is_refused_with_reasons() -> None:
    found = deciding.decide(views(known=False, noise=20.0), "balanced_em", 0)
    assert not found.adapt
    assert any("agree too little" in reason for reason in found.reasons)


def test_one_network_alone_is_refused() -> None:
    found = deciding.decide({"one": seen(0, TRUTH)}, "balanced_em", 0)
    assert (found.adapt, found.accuracy) == (False, None)
    assert "two or more candidates" in found.reasons[0]


def test_few_images_are_refused() -> None:
    some = {f"network {n}": seen(n, TRUTH[:20]) for n in range(3)}
    assert any("too few" in reason for reason in deciding.decide(some, "balanced_em", 0).reasons)


def test_uneven_shares_are_found_once_it_is_settled() -> None:
    truth = np.repeat([0, 1, 2, 3], [60, 40, 12, 8])
    spaces = seen(2, truth)
    first, last = METHODS["balanced_em"].run(spaces), METHODS["balanced_em"].settled(spaces)
    assert (last.argmax(1) == truth).mean() > (first.argmax(1) == truth).mean()


def test_agreement_beyond_chance() -> None:
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert agreement.kappa(a, a, 2) == 1
    assert agreement.kappa(a, b, 2) == 0
    assert agreement.kappa(np.zeros(4, int), np.zeros(4, int), 2) == 0
    assert agreement.with_others([a, a, b], 2).tolist() == [0.5, 0.5, 0]


def test_nuclear_norm_is_one_if_sure_and_even() -> None:
    assert agreement.nuclear_norm(np.eye(4)[TRUTH]) == pytest.approx(1)
    assert agreement.nuclear_norm(np.full((8, 4), 0.25)) == pytest.approx(0.25)


def test_temperature_and_shares() -> None:
    logits = np.random.default_rng(0).normal(size=(200, 4))
    q = tempered(logits, 0.6)
    assert q.max(1).mean() == pytest.approx(0.6, abs=1e-3)
    assert scale(logits, 0.8) > scale(logits, 0.4)
    assert with_shares(q, np.array([0.4, 0.3, 0.2, 0.1])).mean(0) == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=0.01)


@pytest.mark.parametrize(("adapted", "plain", "better"), [(20, 8, True), (8, 20, False), (14, 13, None)])
def test_labels_decide(adapted: int, plain: int, better: bool | None) -> None:
    paths, classes = [f"{i}.png" for i in range(30)], ["a", "b"]
    labels = dict.fromkeys(paths[:24], "a")
    found = labelled.test(paths, labels, classes, np.eye(2)[(np.arange(30) >= adapted).astype(int)], (np.arange(30) >= plain).astype(int))
    assert found is not None
    assert (found["n"], found["better"]) == (24, better)
    low, high = found["adapted_interval"]
    assert low < found["adapted"] < high


def test_labels_of_no_image_say_nothing() -> None:
    assert labelled.test(["a.png"], {"b.png": "a"}, ["a"], np.ones((1, 1)), np.zeros(1, int)) is None


def table(labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(len(labels))],
            "sha256": [f"{i:064d}" for i in range(len(labels))],
            "label": [f"c{k}" for k in labels],
        }
    )


def test_the_maps_put_classes_together_once_each_domain_is_standardised() -> None:
    spaces = seen(0, TRUTH, moved=20.0)
    names = [f"c{k}" for k in TRUTH]
    drawn = mapping.places(table(spaces.labels), table(TRUTH).assign(label=""), spaces, ["c0"] * 120, names, 200, 0)
    assert drawn.columns.tolist() == list(mapping.COLUMNS)
    assert drawn["domain"].value_counts().to_dict() == {"labelled": 100, "target": 100}
    assert set(drawn.loc[drawn["domain"] == "target", "before"]) == {"c0"}
    own = drawn["domain"].to_numpy() == "target"

    def mixed(when: str) -> float:
        """How many target images have a labelled image of their class as their nearest labelled one."""
        xy = drawn[[f"x_{when}", f"y_{when}"]].to_numpy()
        near = ((xy[own][:, None] - xy[~own]) ** 2).sum(2).argmin(1)
        return float((drawn.loc[~own, "after"].to_numpy()[near] == drawn.loc[own, "after"].to_numpy()).mean())

    assert mixed("after") > 0.9 > mixed("before")


def test_too_few_images_have_no_map() -> None:
    spaces = seen(0, TRUTH[:8])
    assert mapping.places(table(spaces.labels), table(TRUTH[:8]), spaces, ["c0"] * 8, ["c0"] * 8, 200, 0).empty
