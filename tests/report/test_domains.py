"""The section on a second domain: what was decided and why, its accuracy, what each source says; no section without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests.left import changed, leave, rendered

TESTED = {
    **{"n": 30, "adapted": 0.7, "adapted_interval": [0.51, 0.85], "plain": 0.3, "plain_interval": [0.15, 0.49]},
    **{"difference": 0.4, "difference_interval": [0.2, 0.6], "better": True},
}
MADE = {
    **{"setting": "two_domains", "images": 420, "adapted": True, "reason": "the sources agree", "method": "balanced_em", "source": "a"},
    **{
        "agreement": [0.6, 0.1, 0.4, 0.5],
        "accuracy": [0.7, 0.4, 0.93],
        "renamed": 150,
        "shares": {"ants": [0.25, 0.02], "bees": [0.75, 0.98]},
    },
    "sources": [{"name": "wheel:<b>", "agrees": 0.67, "carried_back": 0.7, "nuclear_norm": 0.83}],
}


def test_no_second_domain_no_section(tmp_path: Path) -> None:
    assert "second domain" not in rendered(leave(tmp_path)).text


def test_what_was_decided(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["adapt"], **MADE)
    text = rendered(paths).text
    for words in (
        "The labels were carried over to 420 images of a second domain: the sources agree.",
        "about 70.0%, between 40.0% and 93.0%",
        "Label the images that reports/target/label_these.csv names",
        "wheel:<b> 0.67 70.0% 0.83",
        "ants 25.0% 2.0%",
        "ants: 25.0% of the labelled images, 2.0% of the target as it is labelled now",
    ):
        assert words in text


def test_what_labels_say(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["adapt"], **MADE, labelled=TESTED)
    assert (
        "Of 30 images with a label the adapted model has 70.0% right (95% interval 51.0% to 85.0%), the plain one 30.0%"
        in rendered(paths).text
    )


def test_a_refusal_claims_no_accuracy(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["adapt"], **{**MADE, "adapted": False, "reason": "they agree too little"})
    text = rendered(paths).text
    assert "The labels were not carried over to 420 images of a second domain: they agree too little." in text
    assert "about 70.0%" not in text


def test_both_domains_are_drawn_before_and_after(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["adapt"], **MADE)
    known = pd.read_parquet(paths["predictions"])["path"].head(12).tolist()
    n = len(known)
    rows = {"path": known, "domain": ["labelled"] * 6 + ["target"] * 6, "before": ["ants"] * n, "after": ["ants"] * 6 + ["<bees>"] * 6}
    paths["target"].mkdir(parents=True)
    pd.DataFrame({**rows, **{f"{axis}_{when}": np.linspace(0, 1, n) for axis in "xy" for when in ("before", "after")}}).to_parquet(
        paths["target"] / "map.parquet"
    )
    page = rendered(paths)
    assert "12 images of both domains, near each other if the source finds them alike" in page.text
    assert "150 of 420 images get another label than the model as it is gives." in page.text
    inputs = [attributes for tag, attributes in page.elements if tag == "input"]
    for when, target in (("before", "ants"), ("after", "<bees>")):
        names = [one["aria-label"] for one in inputs if one["name"] == when]
        assert sorted(names) == sorted(["ants (labelled)"] * 6 + [f"{target} (as named in the target)"] * 6)
    classes = [attributes.get("class") for tag, attributes in page.elements if tag == "g"]
    assert classes.count("k0 hollow") == 6 + 1, "the target before, and the legend"
    assert classes.count("k1 hollow") == 6, "the target after"


def test_a_refusal_says_that_the_labels_of_the_map_were_refused(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["adapt"], **{**MADE, "adapted": False, "reason": "they agree too little"})
    assert "150 of 420 images would get another label" in rendered(paths).text
