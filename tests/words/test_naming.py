"""headstart.words.naming: one table, and nothing that a contender may be called is missing from it."""

from __future__ import annotations

import dataclasses

import pytest

from headstart.networks import pairing
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


def test_a_headline_of_a_pair_names_either_network() -> None:
    assert naming.headline("both", f"{pairing.PREFIX}resnet50") == naming.headline("both", "resnet50")


def test_no_two_contenders_have_the_same_words() -> None:
    for field in ("short", "subject", "headline", "terminal"):
        words = [getattr(one, field) for one in naming.CONTENDERS.values()]
        assert len(set(words)) == len(words), field
    assert [field.name for field in dataclasses.fields(naming.Words)] == ["short", "subject", "headline", "terminal", "outcome", "change"]


def test_every_answer_has_its_words() -> None:
    assert list(naming.ANSWERS) == list(naming.SAID) == ["positive", "none_shown", "negative", "too_few", "not tested"]
    assert naming.answer("too_few", 9) == "too few images to tell (9)"
    assert naming.answered("too_few", 1200) == "Too few images to tell whether transfer helped (1,200)."
    assert [naming.answer(name, 9) for name in naming.ANSWERS if name != "too_few"] == [
        "helped",
        "is not shown to help",
        "hurt",
        "not tested",
    ]
    said = ["confirm it", "contradict it", "leave it open", "show that it helped", "show that it hurt"]
    assert [words.format(answer="it") for words in naming.TEST.values()] == said


def test_what_would_tell_depends_on_what_there_is() -> None:
    assert naming.settle(40, 9, 45, repeated=False) == (
        "About 40 held-out images would tell, if the difference stays what it is. `headstart run --set verdict.seeds=5` holds out each of the 45 "
        "training and validation images once, and takes up to five times as long as fine_tune and baseline did."
    )
    assert "once (a part of what is needed), and takes" in naming.settle(60, 9, 45, repeated=False)
    assert naming.settle(60, 45, 45, repeated=True) == (
        "About 60 held-out images would tell, if the difference stays what it is: 15 more than there are."
    )
