"""Every member of a family keeps the family's contract: a name, words, one signature, and a way to it from params.yaml.

Families are functions in a dict (or checks in a list) beside them: scores, remedies, checks, kinds of source, strategies, regularisers.
What a member computes is tested beside it; who adds a member finds out here what else it needs.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import pytest
import torch

from headstart.checks.expectations import CHECKS, Check, Limits
from headstart.choice.scores import SCORES, Inputs
from headstart.data import manifest
from headstart.machinery.errors import HeadstartError
from headstart.networks import heads
from headstart.networks.common import Listing, Source
from headstart.networks.sources import KINDS, LISTS
from headstart.params.blocks import FineTune, ValidateData
from headstart.params.choosing import SelectSource
from headstart.params.developing import TrainSource
from headstart.proof.contenders import Contender
from headstart.proof.remedies import REMEDIES, Context
from headstart.report import choice
from headstart.training.regularisers import REGULARISERS
from headstart.training.strategies import STRATEGIES, Phase
from headstart.words import naming

FUNCTIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "scores": {name: score.rows for name, score in SCORES.items()},
    "remedies": dict(REMEDIES),
    "strategies": dict(STRATEGIES),
    "regularisers": dict(REGULARISERS),
}
MEMBERS = [(family, name) for family, members in FUNCTIONS.items() for name in members]


def choices(block: type[Any], name: str) -> set[str]:
    """The words that a parameter takes."""
    annotation = block.model_fields[name].annotation
    assert get_origin(annotation) is Literal
    return set(get_args(annotation))


@pytest.mark.parametrize(("family", "name"), MEMBERS)
def test_a_member_is_called_as_its_function_and_says_what_it_does(family: str, name: str) -> None:
    function = FUNCTIONS[family][name]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert function.__name__ == name
    first = (function.__doc__ or "").strip().splitlines()[0]
    assert len(first) > 5, "a docstring"
    assert first[0].isupper()


@pytest.mark.parametrize("family", FUNCTIONS)
def test_members_have_one_signature(family: str) -> None:
    shapes = {
        name: ([(p.name, p.kind) for p in inspect.signature(function).parameters.values()], get_type_hints(inspect.unwrap(function)))
        for name, function in FUNCTIONS[family].items()
    }
    first = next(iter(shapes.values()))
    assert all(shape == first for shape in shapes.values()), shapes


# Scores


def inputs() -> Inputs:
    """Features that tell three classes apart in part, with a classifier of the source's own."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = (random.normal(size=(60, 8)) + 2 * np.eye(8)[labels]).astype(np.float32)
    classifier = heads.Head(random.normal(size=(5, 8)).astype(np.float32), np.zeros(5, np.float32))
    return Inputs(features, labels, np.arange(60) // 3 % 4, 3, 5, classifier, 0.75, (features[:, :4],))


@pytest.mark.parametrize("name", SCORES)
def test_a_score_gives_each_image_a_number(name: str) -> None:
    rows = SCORES[name].rows(inputs())
    assert rows
    for key, values in rows.items():
        assert values.shape == (60,), key
        assert np.isfinite(values).all(), key
        assert key in choice.COLUMNS, f"the report has no heading for {key}"
    assert set(SCORES[name].votes) <= set(rows)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_described(name: str) -> None:
    score = SCORES[name]
    assert all(len(words) > 3 for words in (score.title, score.paper, score.assumptions, score.cost))
    assert score.assumptions.endswith(".")


def test_no_two_scores_give_the_same_key() -> None:
    keys = [key for score in SCORES.values() for key in score.rows(inputs())]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(choice.COLUMNS), "a heading of the report without a score"
    assert any(score.votes for score in SCORES.values())


# Remedies


@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedy_makes_a_contender_of_its_name_that_has_words(name: str) -> None:
    function = REMEDIES[name]
    assert get_type_hints(function, {"Context": Context, "Contender": Contender})["return"] == Contender | None
    words = naming.CONTENDERS[name]
    assert all(dataclasses.astuple(words)), "what it changes is told in the report"
    assert f'context.tuned("{name}"' in inspect.getsource(function)


def test_remedies_are_listed_in_the_order_in_which_they_are_tried() -> None:
    assert [name for name in naming.CONTENDERS if name in REMEDIES] == list(REMEDIES)
    assert not set(naming.CONTENDERS) - set(REMEDIES) - {"fine_tuned", "head", "average", "both", "scratch"}


# Checks


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.name))
def test_a_check_is_an_expectation_with_words(check: Check) -> None:
    limits = Limits(*(field.default for field in ValidateData.model_fields.values()))
    assert re.fullmatch(r"[a-z_]+", check.name)
    assert re.fullmatch(r"Expect[A-Za-z]+", check.expectation)
    assert check.severity in ("critical", "warning")
    assert isinstance(check.arguments(limits), dict)
    said = (check.expected(limits), check.why)
    assert all(words and not words.endswith(".") for words in said), "they become parts of a sentence"
    assert check.remedy.endswith(".")
    assert list(inspect.signature(check.found).parameters) == ["failing", "frame"]
    if check.values:
        assert list(inspect.signature(check.values).parameters) == ["frame"]
        nothing = pd.DataFrame({field.name: [] for field in manifest.SCHEMA})
        assert len(check.values(nothing.astype({"readable": bool, "label": str}))) == 0


def test_checks_have_names_of_their_own() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    columns = {(check.column, check.values is None) for check in CHECKS}
    assert len({column for column, _ in columns}) == len(columns), "a column that is computed is named as none of the manifest's"


def test_every_parameter_of_validate_data_is_a_limit_of_some_check() -> None:
    asked: set[str] = set()

    class Asking:
        def __getattr__(self, name: str) -> int:
            asked.add(name)
            return 1

    limits: Any = Asking()
    for check in CHECKS:
        check.arguments(limits)
    assert asked == {field.name for field in dataclasses.fields(Limits)} == set(ValidateData.model_fields)


# Kinds of source


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_source_loads_by_name_and_refuses_what_it_does_not_know(kind: str) -> None:
    load = KINDS[kind]
    (parameter,) = inspect.signature(load).parameters.values()
    hints = get_type_hints(load)
    assert (hints[parameter.name], hints["return"]) == (str, Source)
    assert load.__doc__
    with pytest.raises(HeadstartError, match="no_such_thing"):
        load("no_such_thing")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_source_is_listed_and_told_of(kind: str) -> None:
    assert f"{kind}:" in (SelectSource.model_fields["candidates"].description or "")
    assert isinstance(LISTS[kind], Listing)
    assert LISTS[kind].names("no_such_thing_*") == []


# Strategies and regularisers


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_a_list_of_phases_that_train_known_stages(name: str) -> None:
    stages = ["stem", "middle", "last"]
    phases = STRATEGIES[name](stages, depth=2, epochs=3, rate=1e-3, decay=0.5)
    assert bool(phases) == (name != "head_only")
    for phase in phases:
        assert isinstance(phase, Phase)
        assert phase.epochs == 3
        assert phase.rates["head"] == 1e-3
        assert set(phase.rates) <= {"head", *stages}
        assert all(0 < rate <= 1e-3 for rate in phase.rates.values())
    assert len({phase.name for phase in phases}) == len(phases)


def test_every_strategy_can_be_asked_for() -> None:
    assert choices(FineTune, "strategy") == choices(TrainSource, "strategy") == set(STRATEGIES)


@pytest.mark.parametrize("name", REGULARISERS)
def test_a_regulariser_is_a_scalar_that_is_nothing_at_the_source(name: str) -> None:
    weights = [torch.ones(2, 3, requires_grad=True)]
    features = torch.ones(4, 3, requires_grad=True)  # all alike: they differ in no direction
    loss = REGULARISERS[name](features, weights, [torch.ones(2, 3)])
    assert loss.shape == ()
    assert loss.item() == pytest.approx(0, abs=1e-9)


def test_every_regulariser_can_be_asked_for() -> None:
    assert choices(FineTune, "regulariser") == set(REGULARISERS)
