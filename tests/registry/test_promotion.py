"""headstart.promotion: a fair comparison, a rule of known error rates, and what either decision leaves behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from flows.results import promote
from headstart.base import weights
from headstart.data import manifest
from headstart.features import classify, of_source, predict
from headstart.linear import frozen_head
from headstart.machinery.errors import DataError, HeadstartError
from headstart.networks import cards, heads, model, sources
from headstart.registry import promotion, shelf
from headstart.statistics.goals import ACCURACY, Goal
from tests import tiny, toy

HERE = Path("registry")
CLASSES = ("ant", "bee")
TRAIN, VALIDATION, TEST = range(100, 200), range(100), range(200, 220)
SOURCE = {"name": "toy:a", "kind": "toy", "library": "timm", "architecture": "test_resnet", "weights_sha256": "0" * 64, "features": 1}
TRANSFORM = {"input_size": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "crop": 1.0}


def number(path: str) -> int:
    return int(path.removesuffix(".png").rpartition("/")[2])


def table(train: Iterable[int] = TRAIN, validation: Iterable[int] = VALIDATION, test: Iterable[int] = TEST) -> pd.DataFrame:
    """A manifest of images that are numbers; the class of an image is its number's parity."""
    plain = {"width": 32, "height": 32, "mode": "RGB", "format": "PNG", "bytes": 1, "pixels_sha256": "", "phash": "", "readable": True}
    rows = [
        {
            "path": f"{CLASSES[i % 2]}/{i}.png",
            "label": CLASSES[i % 2],
            "split": split,
            "sha256": f"{i:064d}",
            "group": i,
            "reason": "",
            **plain,
        }
        for split, images in (("train", train), ("validation", validation), ("test", test))
        for i in images
    ]
    return pd.DataFrame(sorted(rows, key=lambda row: str(row["path"])))


class Run:
    """What a run leaves in the current folder, with networks that are lists of the images they get wrong."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, list[int]]] = []  # who was asked about which images
        self.wrong: dict[str, set[int]] = {}
        patch.setattr(classify, "logits", self._logits)
        patch.setattr(of_source, "of_source", lambda card, rows, root, device: rows)
        patch.setattr(heads, "load", lambda path, name: _Twin(self, Path(path).read_text(), name))

    def _logits(self, values: dict[str, np.ndarray], card: Any, rows: pd.DataFrame, root: Path, device: Any, what: str) -> np.ndarray:
        return self.answer(what.removesuffix(" model, images"), rows, self.wrong[weights.digest(values)])

    def answer(self, who: str, rows: pd.DataFrame, wrong: set[int]) -> np.ndarray:
        numbers = [number(path) for path in rows["path"]]
        self.asked.append((who, sorted(numbers)))
        return np.eye(2)[[(i + (i in wrong)) % 2 for i in numbers]]

    def leave(self, wrong: Collection[int] = (), data: pd.DataFrame | None = None, ships: str = "fine_tuned", **card: Any) -> None:
        """The outputs of a run whose model gets the images `wrong` wrong."""
        self.asked.clear()
        data = table() if data is None else data
        manifest.write(data, Path("data/clean.parquet"))
        final = Path("models/final")
        final.mkdir(parents=True, exist_ok=True)
        weights.write(final / cards.WEIGHTS, {"wrong": np.array([len(self.wrong), *sorted(wrong)])})
        self.wrong[weights.digest(weights.read(final / cards.WEIGHTS))] = set(wrong)
        known = {"library": "timm", "architecture": "test_resnet", "weights_sha256": "0" * 64, "transform": TRANSFORM}
        made = {"classes": list(CLASSES), "data_sha256": manifest.split_hash(data), "shipped": ships, "source": "toy:a"}
        (final / cards.CARD).write_text(json.dumps({**known, **made, **card}))
        Path("models/source.json").write_text(json.dumps({**SOURCE, **TRANSFORM}))

    def twin(self, wrong: Collection[int]) -> None:
        """The head that was fitted on train alone gets these wrong."""
        Path("models/head").mkdir(parents=True, exist_ok=True)
        Path("models/head/head.safetensors").write_text(json.dumps(sorted(wrong)))


class _Twin:
    def __init__(self, run: Run, content: str, name: str) -> None:
        assert name == "train_only"
        self.logits = lambda rows: run.answer("twin", rows, set(json.loads(content)))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run(monkeypatch)


def stands() -> dict[str, bytes]:
    """Every file of the registry that a refusal must not touch."""
    return {str(path): path.read_bytes() for path in sorted(HERE.rglob("*")) if path.is_file() and path.parent != HERE}


def decisions() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / "history.jsonl").read_text().splitlines()]


def test_the_first_model_is_promoted(run: Run) -> None:
    run.leave(wrong=range(10))
    entry = promotion.promote()
    assert (entry["decision"], entry["forced"], entry["reason"]) == ("promoted", False, "there was no current model")
    assert (entry["split"], entry["n"], entry["accuracy"], entry["difference"]) == ("validation", 100, 0.9, None)
    assert (entry["source"], entry["shipped"], entry["standing"]) == ("toy:a", "fine_tuned", None)
    assert entry["data_sha256"] == manifest.split_hash(table())
    assert pd.Timestamp(entry["when"]).utcoffset() == pd.Timedelta(0)
    for name in ("model.safetensors", "card.json"):
        assert (HERE / "model" / name).read_bytes() == Path("models/final", name).read_bytes()
    assert decisions() == [entry] == [json.loads((HERE / "model/promotion.json").read_text())]
    assert run.asked == [("new", list(VALIDATION))], "no other split is looked at"
    text = promote.describe(entry, HERE).splitlines()
    assert text == [
        f"promoted as {entry['model']}: there was no current model",
        "right on 90.0% of 100 validation images",
        "model       registry/model/",
    ]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ((), "it is better, by 4.5 points at the least"),
        (range(10), "it is not shown to be worse, nor to be better: it may be up to 2.3 points worse or 2.3 points better"),
        (range(12), "it is not shown to be worse, nor to be better: it may be up to 5.2 points worse or 1.2 points better"),
    ],
)
def test_what_is_not_worse_is_promoted_and_what_stood_is_kept(run: Run, wrong: range, reason: str) -> None:
    run.leave(wrong=range(10))
    first = promotion.promote()
    before = stands()
    run.leave(wrong=wrong)
    entry = promotion.promote()
    assert (entry["decision"], entry["forced"], entry["reason"], entry["standing"]) == ("promoted", False, reason, first["model"])
    assert entry["difference"] == pytest.approx((10 - len(wrong)) / 100)
    assert (HERE / "model").readlink() == Path("history", entry["model"])
    assert {path: content for path, content in stands().items() if path in before} == before
    assert decisions() == [first, entry]
    assert run.asked == [("new", list(VALIDATION))], "what the standing model answered is on record"


def test_what_is_worse_is_refused_and_changes_nothing_unless_forced(run: Run) -> None:
    run.leave(wrong=range(10))
    first = promotion.promote()
    before = stands()
    run.leave(wrong=range(5, 25))
    entry = promotion.promote()
    assert (entry["decision"], entry["model"], entry["standing"]) == ("refused", None, first["model"])
    assert (entry["accuracy"], entry["standing_accuracy"], entry["gained"], entry["lost"]) == (0.8, 0.9, 5, 15)
    assert entry["reason"].startswith("it is worse, by ")
    assert stands() == before
    assert decisions() == [first, entry]
    text = promote.describe(entry, HERE).splitlines()
    assert text[0] == f"refused: {entry['reason']}"
    assert text[1] == f"right on 80.0% of 100 validation images; the current model, {first['model']}, on 90.0%"
    assert text[2].startswith("the new one alone is right on 5, the current one alone on 15;")
    assert text[3].startswith("difference -10.0 points; with 95% confidence each, no less than -17.2 and no more than -2.4")
    assert text[-1] == "registry/model is as before; --force promotes all the same"
    forced = promotion.promote(force=True)
    assert (forced["decision"], forced["forced"], forced["reason"]) == ("promoted", True, entry["reason"])
    assert promote.describe(forced, HERE).startswith(f"promoted by --force as {forced['model']}: it is worse")
    assert decisions() == [first, entry, forced]
    assert {path: content for path, content in stands().items() if path in before} == before


def test_the_very_model_that_stands_is_left_standing(run: Run) -> None:
    run.leave(wrong=range(10))
    first = promotion.promote()
    before = stands()
    for force in (False, True):
        entry = promotion.promote(force=force)
        assert (entry["decision"], entry["model"]) == ("unchanged", first["model"])
    assert stands() == before
    assert decisions() == [first]
    assert promote.describe(entry, HERE).startswith("unchanged: this very model is current already\n")


def test_force_says_nothing_where_it_was_not_needed(run: Run) -> None:
    run.leave()
    assert promotion.promote(force=True)["forced"] is False


def test_other_classes_are_compared_on_those_that_both_know(run: Run) -> None:
    run.leave()
    promotion.promote()
    run.leave(wrong=VALIDATION, classes=["bee", "ant"])
    assert promotion.promote()["difference"] == 0, "the order of classes is each model's own"
    before = stands()
    run.leave(classes=["ant", "cat"])
    entry = promotion.promote()
    assert entry["decision"] == "refused", "a class that is gone is lost, whatever the rest shows"
    assert entry["reason"].startswith("it no longer knows bee; on what both know, it is")
    assert (entry["n"], entry["standing_accuracy"]) == (50, 1.0)
    assert stands() == before
    run.leave(classes=["cat", "dog"])
    entry = promotion.promote()
    assert (entry["decision"], entry["n"], entry["difference"]) == ("refused", 100, None)
    assert "it has no class of the current model (new: cat, dog; gone: ant, bee)" in entry["reason"]
    forced = promotion.promote(force=True)
    assert (forced["decision"], forced["forced"]) == ("promoted", True)


@pytest.mark.parametrize(("wrong", "decision"), [(range(24), "refused"), (range(90, 100), "promoted")])
def test_a_class_that_is_new_is_no_reason(run: Run, wrong: range, decision: str) -> None:
    """Ten of the images are now of a class that the current model cannot know: on these nobody is compared."""
    run.leave()
    promotion.promote()
    data = table()
    data.loc[data["path"].map(number).isin(range(90, 100)), "label"] = "cat"
    batch = np.where(data["path"].map(number) < 50, "monday", "tuesday")
    run.leave(wrong=wrong, classes=[*CLASSES, "cat"], data=data.assign(batch=batch))
    entry = promotion.promote()
    assert (entry["decision"], entry["n"], entry["standing_accuracy"]) == (decision, 90, 1.0)
    assert entry["notes"] == ["the classes differ (new: cat); compared on 90 images of those that both know"]
    assert [(one["name"], one["n"], one["standing_accuracy"]) for one in entry["batches"]] == [("monday", 50, 1.0), ("tuesday", 40, 1.0)]
    assert entry["batches"][0]["accuracy"] == pytest.approx(26 / 50 if decision == "refused" else 1)
    text = promote.describe(entry, HERE)
    assert ("batch monday: 52.0% of 50, the current model 100.0%; between" in text) == (decision == "refused")
    assert ("points: worse\nbatch tuesday: 100.0% of 40" in text) == (decision == "refused")


def test_images_that_the_standing_model_was_trained_on_do_not_count(run: Run) -> None:
    """New data: 40 images of its training and 30 new ones are now in the validation split."""
    run.leave(wrong=[*range(30), 300, 301])
    promotion.promote()
    run.leave(
        wrong=[*range(20, 50), *range(100, 140), 301], data=table(range(140, 200), [*range(20, 100), *range(100, 140), *range(300, 330)])
    )
    entry = promotion.promote()
    assert (entry["n"], entry["gained"], entry["lost"]) == (110, 1, 20)
    assert entry["standing_accuracy"] == pytest.approx(1 - 12 / 110)
    assert entry["notes"] == ["left out of the comparison: 40 of 150 images, on which the current model was trained"]
    assert ("current", list(range(300, 330))) in run.asked, "it is asked only about what it has not answered"
    assert f"note: {entry['notes'][0]}" in promote.describe(entry, HERE)


def test_where_it_was_trained_on_all_of_them_nothing_can_be_said(run: Run) -> None:
    run.leave()
    promotion.promote()
    run.leave(data=table(VALIDATION, TRAIN))
    entry = promotion.promote()
    assert entry["decision"] == "refused"
    assert "trained on all of them" in entry["reason"]
    assert promotion.promote(force=True)["forced"] is True


def test_a_frozen_head_is_compared_through_its_twin_that_did_not_see_validation(run: Run) -> None:
    run.twin(wrong=range(20))
    run.leave(wrong=(), ships="head")
    first = promotion.promote()
    assert first["accuracy"] == 0.8, "not the 100% of the head that was fitted on these images"
    run.leave(wrong=range(22), ships="average")
    entry = promotion.promote()
    assert (entry["decision"], entry["standing_accuracy"], entry["gained"], entry["lost"]) == ("promoted", 0.8, 0, 2)
    assert run.asked == [("new", list(VALIDATION))]
    run.leave(wrong=(), ships="head")
    assert promotion.promote(split="test")["n"] == len(TEST)
    assert run.asked == [("new", list(TEST)), ("current", list(TEST))], "it was not fitted on test images, so it answers itself"
    run.leave(ships="fine_tuned")
    entry = promotion.promote()
    assert "trained on all of them" in entry["reason"], "its twin was not asked about validation images when it was promoted"


def test_a_network_that_was_fitted_on_validation_is_compared_through_its_twin_too(run: Run) -> None:
    run.leave(wrong=(), fitted_on=["train", "validation"])
    with pytest.raises(HeadstartError, match=r"models/chosen/twin\.safetensors is missing; run `headstart run` first"):
        promotion.promote()
    Path("models/chosen").mkdir()
    weights.write(Path("models/chosen") / cards.TWIN, {"wrong": np.array([99.0])})
    run.wrong[weights.digest({"wrong": np.array([99.0])})] = set(range(20))
    assert promotion.promote()["accuracy"] == 0.8, "not the 100% of the network that was fitted on these images"


def test_another_runs_source_is_not_taken_for_the_heads(run: Run) -> None:
    run.leave(ships="head", weights_sha256="1" * 64)
    with pytest.raises(HeadstartError, match=r"models/final was not made on the source in models/source\.json"):
        promotion.promote()


def test_without_the_record_of_its_images_the_standing_model_may_be_flattered(run: Run) -> None:
    run.leave()
    promotion.promote()
    (HERE / "model/images.parquet").unlink()
    run.leave()
    assert promotion.promote()["notes"] == [], "the same data: it was not trained on them"
    (HERE / "model/images.parquet").unlink()
    run.leave(data=table(validation=range(50)))
    entry = promotion.promote()
    assert ("current", list(range(50))) in run.asked
    [note] = entry["notes"]
    assert "its figure flatter it" in note


def test_the_test_split_is_read_only_when_asked_for(run: Run) -> None:
    run.leave(wrong=[200])
    promotion.promote()
    known = pd.read_parquet(HERE / "model/images.parquet")
    assert known.loc[known["answer"].notna(), "split"].unique().tolist() == ["validation"]
    assert len(known) == 220
    run.leave(wrong=[201, 202])
    entry = promotion.promote(split="test")
    assert (entry["split"], entry["n"], entry["accuracy"], entry["standing_accuracy"]) == ("test", 20, 0.9, 0.95)


def test_models_and_data_of_different_runs_are_refused(run: Run) -> None:
    with pytest.raises(HeadstartError, match=r"models/final/card\.json is missing: no model has been made yet; run `headstart run` first"):
        promotion.promote()
    run.leave()
    manifest.write(table(validation=range(50)), Path("data/clean.parquet"))
    with pytest.raises(HeadstartError, match=r"models/final was not made from the data in data/clean\.parquet"):
        promotion.promote()
    run.leave(data=table(test=()))
    with pytest.raises(DataError, match="no image in the test split"):
        promotion.promote(split="test")
    assert not HERE.exists()


def test_a_standing_model_that_cannot_be_read_stays_unless_forced(run: Run) -> None:
    run.leave()
    first = promotion.promote()
    (HERE / "model/model.safetensors").unlink()
    run.leave()
    with pytest.raises(HeadstartError, match=r"lacks model\.safetensors; fetch it again \(`dvc pull`\), or replace it with --force"):
        promotion.promote()
    assert (HERE / "model").readlink().name == first["model"]
    entry = promotion.promote(force=True)
    assert (entry["decision"], entry["forced"]) == ("promoted", True)
    assert "lacks model.safetensors" in entry["reason"]


def test_each_run_s_ranking_is_noted_whatever_the_decision(run: Run) -> None:
    Path("reports").mkdir()
    rows = [{"name": name, "status": "ranked"} for name in "ab"]
    for wrong, winner in ((0, "a"), (50, "b"), (60, "b")):
        report = {"candidates": rows, "race": {"winner": winner, "kendall_tau": 1.0, "regret": 0.0}}
        Path("reports/ranking.json").write_text(json.dumps(report))
        run.leave(wrong=range(wrong))
        entry = promotion.promote()
    assert shelf.foretold(HERE) == (1, 2)
    assert entry["decision"] == "refused"
    assert "in the last 2 races, the ranking's first came first 1 time\n" in promote.describe(entry, HERE)


@pytest.mark.parametrize(("aim", "decision"), [(None, "promoted"), (ACCURACY, "promoted"), (Goal("balanced_accuracy"), "refused")])
def test_a_model_is_compared_by_what_it_aims_at(run: Run, aim: Goal | None, decision: str) -> None:
    """The new model has 20 of 90 ants more right than the current one, and 9 of 10 bees fewer."""
    ants, bees = range(0, 180, 2), range(1, 21, 2)
    data = table(train=range(300, 320), validation=[*ants, *bees], test=())
    said = {} if aim is None else {"aim": asdict(aim)}
    run.leave(wrong=ants[:20], data=data, **said)
    promotion.promote()
    run.leave(wrong=bees[:9], data=data, **said)
    entry = promotion.promote()
    assert (entry["decision"], entry["difference"]) == (decision, pytest.approx(0.11))
    assert ("by balanced accuracy, which it aims at, it is worse" in entry["reason"]) == (decision == "refused")


# The rule


def figures(gained: int, lost: int, n: int) -> dict[str, Any]:
    ours, theirs = np.ones(n, bool), np.ones(n, bool)
    theirs[:gained], ours[gained : gained + lost] = False, False
    return promotion.compare(ours, theirs)


def test_the_figures_are_those_of_the_definition() -> None:
    found = figures(5, 15, 100)
    assert (found["n"], found["gained"], found["lost"]) == (100, 5, 15)
    assert (found["accuracy"], found["standing_accuracy"]) == (0.85, 0.95)
    assert found["difference"] == pytest.approx(-0.10)
    assert found["standard_error"] == pytest.approx(np.std([1] * 5 + [-1] * 15 + [0] * 80, ddof=1) / 10)
    laplace = np.array([1] * 6 + [-1] * 16 + [0] * 80)  # one more either way
    reach = 1.6448536 * laplace.std() / np.sqrt(102)
    assert found["interval"] == pytest.approx([laplace.mean() - reach, laplace.mean() + reach])


def test_few_images_prove_nothing() -> None:
    for gained, lost, n in ((0, 0, 1), (0, 0, 10), (0, 1, 1), (0, 3, 100)):
        found = figures(gained, lost, n)
        assert promotion.not_worse(found["interval"])[0]
        assert -1 <= found["interval"][0] < 0 <= found["interval"][1] <= 1
    assert figures(0, 0, 10)["interval"][0] < -0.15
    assert not promotion.not_worse(figures(0, 5, 100)["interval"])[0]


@pytest.mark.parametrize(("n", "apart"), [(20, 0.1), (20, 0.4), (50, 0.1), (50, 0.3), (150, 0.02), (150, 0.1), (600, 0.02), (600, 0.05)])
def test_equal_models_are_seldom_refused_and_much_worse_ones_mostly(n: int, apart: float) -> None:
    """Exact: the discordant images are binomial, and so are those of them that the new model wins."""

    def refused(share: float) -> float:
        chance = 0.0
        for discordant in range(n + 1):
            weight = binom.pmf(discordant, n, apart)
            if weight > 1e-6:
                promoted = [promotion.not_worse(figures(won, discordant - won, n)["interval"])[0] for won in range(discordant // 2 + 1)]
                assert promoted == sorted(promoted), "more wins never count against it"
                chance += weight * binom.cdf(promoted.index(True) - 1, discordant, share)
        return float(chance)

    assert refused(0.5) <= 0.055
    if n * apart >= 15:
        assert refused(0.15) >= 0.8


# With real networks


def test_a_real_model_stands_and_predicts_and_only_the_promotion_split_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images, final = Path("data/images"), Path("models/final")
    data = tiny.table(images, per_class=10)
    manifest.write(data, Path("data/clean.parquet"))
    card = sources.load(tiny.checkpoint(tmp_path / "source")).card()
    made, _ = frozen_head.train(data, images, card, penalties=[1.0, 0.1], folds=2, balanced=False, seed=0)
    Path("models/head").mkdir(parents=True)
    heads.save(Path("models/head/head.safetensors"), made)
    Path("models/source.json").write_text(json.dumps(card.to_json()))
    held = data[data["split"] == "validation"]
    for path in data.loc[data["split"] != "validation", "path"]:
        (images / path).unlink()

    def ships(arm: str, head: heads.Head) -> dict[str, Any]:
        final.mkdir(exist_ok=True)
        model.save(final / cards.WEIGHTS, model.of(sources.load(card.name), head))
        known = {"classes": tuple(toy.CLASSES), "data_sha256": manifest.split_hash(data), "shipped": arm, "source": card.name}
        network = {name: getattr(card, name) for name in ("library", "architecture", "kind", "weights_sha256", "transform")}
        (final / cards.CARD).write_text(json.dumps(cards.ModelCard(**known, **network).to_json()))
        return promotion.promote()

    def answers(folder: Path) -> list[str]:
        return [label for _, label, *_ in predict.predict([images / path for path in held["path"]], folder)]

    first = ships("head", made["final"])
    assert first["n"] == len(held)
    twin = made["train_only"].logits(of_source.of_source(card, held, images)).argmax(1)
    known = pd.read_parquet(HERE / "model/images.parquet").dropna(subset="answer")
    assert known["sha256"].tolist() == held["sha256"].tolist()
    assert known["answer"].tolist() == [toy.CLASSES[i] for i in twin]
    turned = heads.Head(made["final"].weight[[1, 2, 0]], made["final"].bias[[1, 2, 0]])  # wrong wherever the head is right
    entry = ships("fine_tuned", turned)
    assert entry["accuracy"] == (np.array(answers(final)) == held["label"].to_numpy()).mean() < first["accuracy"]
    assert entry["standing_accuracy"] == first["accuracy"]
    assert (entry["decision"], (HERE / "model").readlink().name) == ("refused", first["model"])
    stood = weights.digest(weights.read(HERE / "model/model.safetensors"))
    assert stood == weights.digest(model.of(sources.load(card.name), made["final"]).weights())
    shutil.rmtree("models")
    assert set(answers(HERE / "model")) <= set(toy.CLASSES)
