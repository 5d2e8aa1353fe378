"""headstart.evaluation.caveats: what to keep in mind of a result, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.evaluation import caveats

ROW = {"precision": 0.95, "recall": 0.95, "f1": 0.95, "n": 2500}
FIGURES = {
    "accuracy": 0.95,
    "balanced_accuracy": 0.95,
    "macro_f1": 0.95,
    "ece": 0.02,
    "interval": {"accuracy": [0.94, 0.96]},
    "per_class": {"ants": ROW, "bees": ROW},
}
VERDICT = {"answer": "positive", "standing": "indicative", "settle": "", "pretrained_against_random": {"asymptote": {"n_images": 9}}}


def told(**values: Any) -> list[str]:
    test = {**FIGURES, **values.pop("test", {})}
    head = {**FIGURES, **values.pop("head", {})}
    usual = {"shipped": "fine_tuned", "source": "wheel:lite0", "n_validation": 4000, "n_test": 5000, "sure": 0.97}
    verdict = {**VERDICT, **values.pop("verdict", {})}
    return caveats.caveats(caveats.Seen(**{**usual, "verdict": verdict, "transfer": {"says": "confirms"}, **values}, test=test, head=head))


def test_a_result_of_many_images_has_none() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"missed": "recall"}, "The recall that was asked for is not shown to be reached"),
        (
            {"test": {"interval": {"accuracy": [0.8, 0.95]}}},
            "The interval is wide: the accuracy on new images of this kind may lie anywhere from 80.0%",
        ),
        (
            {"n_test": 12, "test": {"interval": {"accuracy": [0.779, 1.0]}}},
            "Only 12 images were tested: one image more or less is 8.3%, and the accuracy",
        ),
        (
            {"n_validation": 9},
            "What ships was chosen on 9 validation images: between two models, less than 28 points cannot be told there.",
        ),
        ({"head": {"accuracy": 1.0}}, "On the test images the frozen head did better (100%)"),
        ({"test": {"balanced_accuracy": 0.9}}, "Rare classes do worse"),
        ({"test": {"ece": 0.09}}, "The stated probabilities are off by 9.0% on average: the model is too sure."),
        (
            {"test": {"ece": 0.09}, "sure": 0.8},
            "The stated probabilities are off by 9.0% on average: the model is less sure than it could be.",
        ),
        ({"test": {"per_class": {"ants": {**ROW, "n": 9}}}}, "1 class has fewer than 10 test images (ants)"),
        ({"test": {"per_class": {"ants": {**ROW, "recall": 0.5}}}}, "Some classes are often missed: ants (50.0% found)."),
        ({"verdict": {"answer": "negative"}}, "Transfer hurt (indicative)"),
        ({"verdict": {"answer": "too_few", "settle": "More would."}}, "Too few images to tell whether transfer helped (9). More would."),
        ({"transfer": {"says": "contradicts"}}, "The test images contradict the answer on transfer."),
    ],
)
def test_each_is_told_where_it_holds(values: dict[str, Any], words: str) -> None:
    (said,) = told(**values)
    assert said.startswith(words)


def test_a_head_that_ships_is_not_compared_with_itself() -> None:
    assert told(shipped="head", head={"accuracy": 1.0}) == []
