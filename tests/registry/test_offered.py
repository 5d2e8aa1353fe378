"""headstart.offered: with a second domain, what counts there is promoted, and only images of it that have a label judge it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.results import promote
from headstart.base import weights
from headstart.data import manifest
from headstart.data.settings import two_domains
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.registry import promotion, shelf
from tests.registry.test_promotion import CLASSES, HERE, SOURCE, TRANSFORM, Run, table

TARGET = range(500, 560)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run(monkeypatch)


def domain(labelled: Collection[int] = TARGET) -> pd.DataFrame:
    """A second domain of images that are numbers, some of which have a label: the number's parity, as among the labelled images."""
    rows = table([], [], TARGET).assign(label="", split="")
    rows["path"] = [f"{two_domains.FOLDER}/{path}" for path in rows["path"]]
    manifest.write(rows, Path("data/target.parquet"))
    (Path("data/images") / two_domains.FOLDER).mkdir(parents=True, exist_ok=True)
    lines = [f"{path},{path.split('/')[1]}\n" for path in rows["path"] if int(path.rpartition("/")[2].removesuffix(".png")) in labelled]
    (Path("data/images") / two_domains.LABELS).write_text("".join(["path,label\n", *lines]))
    return manifest.read(Path("data/target.parquet"))


def leave(run: Run, *, plain: Collection[int] = (), adapted: Collection[int] | None = None, labelled: Collection[int] = TARGET) -> None:
    """What a run leaves whose models get these images wrong; `adapted`: None if labels were not carried over."""
    run.leave(wrong=plain)
    rows = domain(labelled)
    Path("reports").mkdir(exist_ok=True)
    Path("reports/adapt.json").write_text(json.dumps({"adapted": adapted is not None}))
    if adapted is None:
        return
    folder, known = Path("models/adapted"), table()
    folder.mkdir(exist_ok=True)
    weights.write(folder / cards.WEIGHTS, {"wrong": np.array([len(run.wrong), *sorted(adapted)])})
    run.wrong[weights.digest(weights.read(folder / cards.WEIGHTS))] = set(adapted)
    data = manifest.split_hash(pd.concat([known[known["split"] != "test"], rows]))
    made = {"classes": list(CLASSES), "data_sha256": data, "shipped": "adapted", "source": "toy:a"}
    (folder / cards.CARD).write_text(json.dumps({**SOURCE, "transform": TRANSFORM, **made}))


def current() -> str:
    found = shelf.current(HERE)
    assert found
    return str(found.card.shipped)


def test_the_adapted_model_is_what_is_promoted_and_images_with_a_label_judge_it(run: Run) -> None:
    leave(run, plain=range(500, 530), adapted=range(500, 506))
    entry = promotion.promote()
    assert (entry["decision"], entry["shipped"], entry["split"], entry["n"], entry["accuracy"]) == (
        "promoted",
        "adapted",
        "target",
        60,
        0.9,
    )
    assert [(who, len(which)) for who, which in run.asked] == [("new", 60)]
    assert current() == "adapted"
    assert "right on 90.0% of 60 target images" in promote.describe(entry, HERE)


@pytest.mark.parametrize(("adapted", "decision"), [(range(500, 504), "promoted"), (range(500, 540), "refused")])
def test_two_adapted_models_are_compared_on_the_second_domain(run: Run, adapted: range, decision: str) -> None:
    leave(run, adapted=range(500, 512))
    promotion.promote()
    leave(run, adapted=adapted)
    entry = promotion.promote()
    assert (entry["decision"], entry["n"], entry["standing_accuracy"]) == (decision, 60, 0.8)


def test_a_plain_model_of_two_domains_is_judged_by_the_second_too(run: Run) -> None:
    leave(run, adapted=range(500, 512))
    promotion.promote()
    leave(run, plain=range(500, 550))
    entry = promotion.promote()
    assert (entry["decision"], entry["shipped"], entry["n"], entry["lost"]) == ("refused", "fine_tuned", 60, 38)
    assert current() == "adapted"


def test_without_a_label_the_first_is_promoted_and_says_that_nobody_knows(run: Run) -> None:
    leave(run, adapted=(), labelled=())
    entry = promotion.promote()
    assert (entry["decision"], entry["n"], entry["accuracy"]) == ("promoted", None, None)
    assert "note: no image of the second domain has a label" in promote.describe(entry, HERE)


@pytest.mark.parametrize(("before", "after"), [(None, ()), ((), (1,)), ((), None)])
def test_without_a_label_an_adapted_model_cannot_be_compared(
    run: Run, before: tuple[int, ...] | None, after: tuple[int, ...] | None
) -> None:
    leave(run, adapted=before, labelled=())
    promotion.promote()
    kept = current()
    leave(run, plain=[1], adapted=after, labelled=())
    entry = promotion.promote()
    assert entry["decision"] == "refused"
    assert "none of which has a label, so the two cannot be compared: label the images" in entry["reason"]
    assert current() == kept
    assert promotion.promote(force=True)["decision"] == "promoted"


def test_without_a_label_plain_models_are_compared_on_the_labelled_domain_and_it_says_so(run: Run) -> None:
    leave(run, labelled=())
    promotion.promote()
    leave(run, plain=range(10), labelled=())
    entry = promotion.promote()
    assert (entry["split"], entry["n"]) == ("validation", 100)
    assert entry["notes"][0].endswith("these are images of the labelled domain")


def test_an_adapted_model_of_another_run_is_refused(run: Run) -> None:
    leave(run, adapted=())
    run.leave(data=table(range(100, 190)))
    with pytest.raises(HeadstartError, match="models/adapted was not made from the data"):
        promotion.promote()


def test_later_labelled_images_do_not_judge_an_adapted_model_that_learned_from_them(run: Run) -> None:
    """The target was labelled by hand, and is all there is now: the labelled images of before are in no split of it."""
    leave(run, adapted=())
    promotion.promote()
    Path("data/images", two_domains.FOLDER).rmdir()
    run.leave(wrong=[1], data=table(range(200, 300), [*range(90, 110), *range(600, 640)]))
    entry = promotion.promote()
    assert entry["n"] == 40, "neither the images that it trained on nor those of its validation split, as its labels came from both"
