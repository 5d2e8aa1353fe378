"""headstart.words.naming: one table, and nothing that a contender may be called is missing from it."""

from __future__ import annotations

import dataclasses

import pytest

from headstart.words import naming


@pytest.mark.parametrize(
    ("name", "mix", "title", "subject", "terminal"),
    [
        ("head", None, "Frozen head", "the frozen head", "frozen head"),
        ("fine_tuned", None, "Fine-tuned", "the fine-tuned model", "fine-tuned model"),
        (
            "average",
            0.25,
            "Average, 25% fine-tuned",
            "the average with 25% fine-tuned weights",
            "average of frozen head and fine-tuned model, 25% fine-tuned",
        ),
        ("scratch", None, "From random weights", "the network from random weights", "network from random weights"),
        ("l2_sp", None, "L2-SP", "L2-SP", "fine-tuned model (L2-SP)"),
        ("not_yet_known", None, "Not yet known", "not yet known", "fine-tuned model (not yet known)"),
    ],
)
def test_a_contender_has_its_words(name: str, mix: float | None, title: str, subject: str, terminal: str) -> None:
    assert naming.title(name, mix) == title
    assert naming.subject(name, mix) == subject
    assert naming.terminal(name, mix) == terminal


def test_a_headline_names_the_network() -> None:
    for name in [*naming.CONTENDERS, "not_yet_known"]:
        assert naming.headline(name, "resnet50").count("resnet50") == 1
        assert naming.contender(name).outcome.endswith(".")


def test_no_two_contenders_have_the_same_words() -> None:
    for field in ("short", "subject", "headline", "terminal"):
        words = [getattr(one, field) for one in naming.CONTENDERS.values()]
        assert len(set(words)) == len(words), field
    assert [field.name for field in dataclasses.fields(naming.Words)] == ["short", "subject", "headline", "terminal", "outcome", "change"]


def test_every_answer_has_its_words() -> None:
    assert list(naming.ANSWERS) == list(naming.SAID) == ["positive", "none_shown", "negative"]
    assert [words.format(answer="it") for words in naming.TEST.values()] == ["confirm it", "contradict it", "leave it open"]
