"""Each expectation fails on what it is for, holds on what it is not for, and says so in words that name classes and files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from headstart.checks import validation
from headstart.checks.expectations import CHECKS, Limits
from headstart.data import manifest
from headstart.machinery.errors import DataError, HeadstartError
from headstart.words import formats, lists

LIMITS = Limits(min_images_per_class=5, max_unreadable_share=0.05, max_imbalance=10.0, min_side=16)
SPLITS = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2


def table(labels: tuple[str, ...] = ("ant", "bee")) -> pd.DataFrame:
    """A sound manifest: ten images a label, in all three splits."""
    rows = [
        {
            "path": f"{label}/{number}.png",
            "label": label,
            "split": split,
            "width": 32,
            "height": 24,
            "mode": "RGB",
            "format": "PNG",
            "bytes": 100,
            "sha256": f"{label}{number}",
            "pixels_sha256": f"{label}{number}",
            "phash": "0" * 16,
            "group": 100 * place + number,
            "readable": True,
            "reason": "",
        }
        for place, label in enumerate(labels)
        for number, split in enumerate(SPLITS)
    ]
    return pd.DataFrame(rows).sort_values("path", ignore_index=True)


def change(frame: pd.DataFrame, paths: list[str], **values: object) -> pd.DataFrame:
    assert set(paths) <= set(frame["path"])
    frame = frame.copy()
    frame.loc[frame["path"].isin(paths), list(values)] = list(values.values())
    return frame


def unreadable(frame: pd.DataFrame, paths: list[str], reason: str = "truncated") -> pd.DataFrame:
    empty = {"split": "", "width": 0, "height": 0, "mode": "", "pixels_sha256": "", "group": -1}
    return change(frame, paths, readable=False, reason=reason, **empty)


def failed(frame: pd.DataFrame, limits: Limits = LIMITS) -> dict[str, dict[str, object]]:
    result = validation.validate(frame, limits)
    return {failure["name"]: failure for failure in [*result["critical"], *result["warnings"]]}


def bees(*numbers: int) -> list[str]:
    return [f"bee/{number}.png" for number in numbers]


BAD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], list[str], list[str]]] = {
    # name: how to break the table, the files that must be named, words that the message must hold
    "usable_images": (lambda f: unreadable(f, list(f["path"])), [], ["none of 20 files is a usable image"]),
    "two_classes": (lambda f: f[f["label"] == "ant"], [], ["belong to 1 class: 'ant'"]),
    "images_per_class": (
        lambda f: unreadable(f[~f["path"].isin(bees(*range(1, 9)))], bees(9)),
        bees(0, 9),
        ["class 'bee' has 1 usable image (1 file unreadable)", "at least 5 usable images"],
    ),
    "classes_in_every_split": (
        lambda f: change(f, bees(6, 7, 8, 9), split="train"),
        bees(*range(10)),
        ["class 'bee' has no usable image in validation and test"],
    ),
    "labels_that_differ": (
        lambda f: change(f, bees(0, 1, 2, 6, 8), label="Bee"),
        bees(*range(10)),
        ["'Bee' and 'bee'", "upper and lower case"],
    ),
    "same_pixels_in_two_splits": (
        lambda f: change(f, bees(0, 9), pixels_sha256="same"),
        bees(0, 9),
        ["1 set of identical images", "bee/0.png (train) and bee/9.png (test)"],
    ),
    "same_pixels_under_two_labels": (
        lambda f: change(f, ["ant/1.png", "bee/0.png"], pixels_sha256="same"),
        ["ant/1.png", "bee/0.png"],
        ["ant/1.png (ant) and bee/0.png (bee)"],
    ),
    "unreadable_share": (
        lambda f: unreadable(f, bees(3, 4)),
        bees(3, 4),
        ["2 of 20 files (10%) cannot be read: truncated (2)", "at most 5%"],
    ),
    "unreadable_files": (lambda f: unreadable(f, bees(3), "zero bytes"), bees(3), ["1 of 20 files (5%)", "zero bytes (1)"]),
    "near_duplicates_in_two_splits": (
        lambda f: change(f, bees(0, 9), group=7777),
        bees(0, 9),
        ["1 set of near-duplicates", "bee/0.png (train) and bee/9.png (test)"],
    ),
    "near_duplicates_under_two_labels": (
        lambda f: change(f, ["ant/1.png", "bee/0.png"], group=7777),
        ["ant/1.png", "bee/0.png"],
        ["ant/1.png (ant) and bee/0.png (bee)"],
    ),
    "lookalikes_under_two_labels": (
        lambda f: change(f.assign(lookalike=f["group"], twin=f["group"]), ["ant/1.png", "bee/0.png"], lookalike=7777),
        ["ant/1.png", "bee/0.png"],
        ["1 set of look-alikes", "ant/1.png (ant) and bee/0.png (bee)", "No label needs changing on this alone"],
    ),
    "groups_in_two_splits": (
        lambda f: change(change(f.assign(together=""), bees(0, 9, 8), together="patient 7"), bees(1, 2), together="patient 8"),
        bees(0, 8, 9),
        ["1 of 2 groups lie in more than one split ('patient 7'); 2 of 4 test images belong to them"],
    ),
    "classes_without_test": (
        lambda f: f[~f["path"].isin(bees(1, 2, 3, 4, 5, 7, 8, 9))],
        bees(0, 6),
        ["1 class has too few images for a test: 'bee'"],
    ),
    "balance": (
        lambda f: pd.concat([f, *(change(f[f["label"] == "ant"], [], mode="L").assign(path=lambda g, n=n: f"ant/{n}-" + g["label"] + g["path"].str[4:],
            pixels_sha256=lambda g, n=n: f"{n}-" + g["sha256"], group=lambda g, n=n: 1000 * n + g["group"]) for n in range(1, 11))]),
        bees(*range(10)),
        ["class 'bee' has 10 images, where the largest, 'ant', has 110", "at most 10 times"],
    ),
    "sides": (lambda f: change(f, bees(2), width=16, height=15), bees(2), ["1 image is small", "bee/2.png, has 16x15 pixels"]),
    "aspect": (lambda f: change(f, bees(2), width=130, height=32), bees(2), ["bee/2.png, has 130x32 pixels"]),
    "modes": (lambda f: change(change(f, bees(2), mode="CMYK"), bees(1, 3), mode="I;16"), bees(1, 2, 3), ["I;16 (2) and CMYK (1)"]),
    "classes_of_one_batch": (
        lambda f: f.assign(batch=["first" if label == "ant" or number % 2 else "second" for number, label in enumerate(f["label"])]),
        [path for path in table()["path"] if path.startswith("ant")],
        ["1 class comes in one batch alone: 'ant' in first"],
    ),
    "batches_of_one_class": (
        lambda f: change(f.assign(batch="first"), bees(0, 1), batch="second"), bees(0, 1), ["1 batch has one class: second holds 'bee' alone"]
    ),
}  # fmt: skip

GOOD: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    # just inside the limit, or what only looks like a failure
    "images_per_class": lambda f: f[~f["path"].isin(bees(0, 1, 2, 3, 6))],
    "same_pixels_in_two_splits": lambda f: change(f, bees(0, 1), pixels_sha256="same"),
    "same_pixels_under_two_labels": lambda f: change(f, bees(0, 9), pixels_sha256="same"),
    "unreadable_share": lambda f: unreadable(f, bees(3)),
    "near_duplicates_in_two_splits": lambda f: change(f, bees(8, 9), group=7777),
    "near_duplicates_under_two_labels": lambda f: change(f, bees(8, 0), group=7777),
    "groups_in_two_splits": lambda f: change(f.assign(together=""), bees(0, 1), together="patient 7"),
    "lookalikes_under_two_labels": lambda f: change(f.assign(twin=f["group"]), ["ant/1.png", "bee/0.png"], lookalike=7, twin=7, group=7),
    "classes_without_test": lambda f: f[~f["path"].isin(bees(1, 2, 3, 4, 5, 7, 8))],
    "sides": lambda f: change(f, bees(2), width=16, height=16),
    "aspect": lambda f: change(f, bees(2), width=128, height=32),
    "modes": lambda f: change(f, bees(2), mode="L"),
    "classes_in_every_split": lambda f: unreadable(f, bees(8)),
    "labels_that_differ": lambda f: change(f, bees(0, 1, 2, 3, 4, 6, 8), label="Bees"),
    "classes_of_one_batch": lambda f: f.assign(batch="first"),
    "batches_of_one_class": lambda f: change(f.assign(batch="first"), ["ant/0.png", *bees(0)], batch="second"),
}


def test_the_cases_cover_every_check() -> None:
    names = [check.name for check in CHECKS]
    assert sorted(BAD) == sorted(names)
    assert set(GOOD) < set(names)
    assert len(set(names)) == len(names)
    assert len({check.column for check in CHECKS}) == len({(check.column, check.values) for check in CHECKS if check.values}) + 1


def test_a_sound_table_passes_everything() -> None:
    result = validation.validate(table(), LIMITS)
    assert result["success"]
    assert result["critical"] == result["warnings"] == result["quarantined"] == []
    assert all(item["success"] for item in result["expectations"])
    assert result["images"]["per_split"]["train"] == {"ant": 6, "bee": 6}


@pytest.mark.parametrize("name", BAD)
def test_a_check_fails_and_names_what_is_wrong(name: str) -> None:
    spoil, files, words = BAD[name]
    result = validation.validate(spoil(table()).sort_values("path"), LIMITS)
    severity = next(check.severity for check in CHECKS if check.name == name)
    failures = {failure["name"]: failure for failure in result["critical" if severity == "critical" else "warnings"]}
    assert name in failures
    assert sorted(failures[name]["files"]) == files
    assert failures[name]["n_files"] == len(files)
    for word in words:
        assert word.lower() in failures[name]["message"].lower()
    assert result["success"] == (not result["critical"])
    for failure in failures.values():
        assert failure["message"][0] == failure["message"][0].upper()
        assert failure["message"].endswith(".")
        assert not any(gap in failure["message"] for gap in ("nan", " None", "<NA>", "  ", "np."))


@pytest.mark.parametrize("name", GOOD)
def test_a_check_holds_within_its_limit(name: str) -> None:
    assert name not in failed(GOOD[name](table()))


def test_the_limits_are_the_parameters() -> None:
    frame = unreadable(change(table(), bees(2), width=20, height=20), bees(3, 4))
    assert {"sides", "unreadable_share"} & set(failed(frame)) == {"unreadable_share"}
    looser = Limits(min_images_per_class=5, max_unreadable_share=0.1, max_imbalance=10.0, min_side=21)
    assert {"sides", "unreadable_share"} & set(failed(frame, looser)) == {"sides"}
    assert "images_per_class" in failed(table(), Limits(11, 0.1, 10.0, 1))
    assert "balance" in failed(table().drop(index=[15, 16]), Limits(3, 0.1, 1.2, 1))


def test_shares_that_are_exactly_allowed_pass() -> None:
    for tenths in (3, 7, 9):  # 1 - 0.7 is not 0.3 in floating point
        paths = [f"{label}/{number}.png" for label in ("ant", "bee") for number in range(tenths)]
        assert "unreadable_share" not in failed(unreadable(table(), paths), Limits(3, tenths / 10, 10.0, 1))


def test_an_empty_table_is_refused() -> None:
    result = validation.validate(table().head(0), LIMITS)
    names = [failure["name"] for failure in result["critical"]]
    assert names == ["usable_images", "two_classes"]
    assert "no files" in result["critical"][0]["message"].lower()


def test_copies_stand_beside_each_other() -> None:
    frame = change(change(table(), ["ant/0.png", "bee/9.png"], pixels_sha256="one"), ["ant/1.png", "bee/8.png"], pixels_sha256="two")
    assert failed(frame)["same_pixels_in_two_splits"]["files"] == ["ant/0.png", "bee/9.png", "ant/1.png", "bee/8.png"]


def test_the_order_is_that_of_the_list_and_rows_may_come_in_any() -> None:
    frame = unreadable(change(table(), bees(0, 9), pixels_sha256="same"), bees(3, 4))
    result = validation.validate(frame, LIMITS)
    assert [item["column"] for item in result["expectations"]] == [check.column for check in CHECKS]
    assert result["expectations"][0]["expectation"] == "expect_column_distinct_values_to_contain_set"
    assert validation.validate(frame.set_axis(range(100, 120)), LIMITS) == result


def test_long_lists_are_cut_and_counted() -> None:
    result = validation.validate(change(table(tuple("abcdefg")), list(table(tuple("abcdefg"))["path"]), mode="P"), LIMITS)
    (warning,) = result["warnings"]
    assert (len(warning["files"]), warning["n_files"]) == (validation.LISTED, 70)


def test_every_file_is_listed_somewhere(tmp_path: Path) -> None:
    frame = table(tuple("abcdefg")).assign(mode="P", origin=lambda f: "camera/" + f["path"])
    frame = unreadable(change(frame, ["a/0.png", "b/9.png"], pixels_sha256="same"), ["c/0.png"], "zero bytes")
    result, lists = validation.validate_whole(frame, LIMITS)
    validation.write_lists(lists, tmp_path / "lists")
    names = [failure["name"] for failure in [*result["critical"], *result["warnings"]]]
    assert sorted(path.stem for path in (tmp_path / "lists").glob("*.csv")) == sorted(names)
    found = pd.read_csv(tmp_path / "lists/modes.csv")
    assert (list(found.columns), len(found)) == (["path", "origin", "split", "label", "set", "reason"], 69)
    two = pd.read_csv(tmp_path / "lists/same_pixels_in_two_splits.csv")
    assert two[["path", "origin", "split", "label", "set"]].to_numpy().tolist() == [
        ["a/0.png", "camera/a/0.png", "train", "a", 1],
        ["b/9.png", "camera/b/9.png", "test", "b", 1],
    ]
    assert two["reason"][0] == "expected: no image lies in two splits (same decoded pixels)"
    assert pd.read_csv(tmp_path / "lists/unreadable_files.csv")["reason"].tolist() == ["zero bytes"]
    validation.write_lists({}, tmp_path / "lists")
    assert list((tmp_path / "lists").glob("*.csv")) == []


def test_of_16_bits_a_colour_only_those_without_a_scale_are_said_to_be_cut() -> None:
    frame = change(change(table().assign(black=0.0, white=0.0), bees(1, 2), mode="RGB;16"), bees(1), white=4095.0)
    assert "Of 1 with 16 bits a colour the upper 8 are used" in str(failed(frame)["modes"]["message"])
    whole = change(frame, bees(2), white=4095.0)
    assert "the upper 8" not in str(failed(whole)["modes"]["message"])


def test_pairs_stand_side_by_side() -> None:
    found = failed(change(table(), ["ant/1.png", "bee/0.png", "bee/1.png"], group=7777))["near_duplicates_under_two_labels"]
    ant, bee = ({"path": f"{name}.png", "label": name[:3], "split": "train"} for name in ("ant/1", "bee/0"))
    assert found["pairs"] == [[ant, bee]]
    assert "Is one of the labels wrong?" in str(found["message"])


def test_two_images_are_enough_if_the_limit_says_so() -> None:
    frame = BAD["classes_without_test"][0](table())
    assert set(failed(frame, Limits(2, 0.05, 10.0, 16))) == {"classes_without_test"}
    assert {"images_per_class"} < set(failed(frame))


def test_refusal_names_files_and_what_to_do() -> None:
    result = validation.validate(change(table(), bees(*range(4), 9), pixels_sha256="same").assign(), LIMITS)
    result["critical"][0]["files"] += ["x", "y"]
    result["critical"][0]["n_files"] = 12
    with pytest.raises(DataError) as error:
        validation.refuse(result, "reports/validation")
    message = str(error.value)
    assert "1 critical problem" in message
    assert "files: bee/0.png, bee/1.png, bee/2.png, bee/3.png, bee/9.png and 7 more" in message
    assert "Keep each image in one split" in message
    assert "All files are listed in reports/validation/, a CSV for each problem." in message


def test_nothing_is_refused_on_success() -> None:
    validation.refuse(validation.validate(table(), LIMITS), "x")


def test_a_check_that_cannot_be_evaluated_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [check for check in CHECKS if check.name != "sides"]
    columns = validation._columns(CHECKS, manifest.completed(table())).drop(columns="shorter_side")
    monkeypatch.setattr(validation, "_columns", lambda checks, frame: columns)
    with pytest.raises(HeadstartError, match=r"'sides' could not be evaluated.*shorter_side"):
        validation.validate(table(), LIMITS)
    monkeypatch.setattr(validation, "suite", lambda frame: broken)
    assert validation.validate(table(), LIMITS)["success"]


def test_nothing_is_left_behind_or_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    validation.validate(table(), LIMITS)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_listing() -> None:
    assert lists.listing([]) == ""
    assert lists.listing(["a"]) == "a"
    assert lists.listing("abc") == "a, b and c"
    assert lists.listing("abcdefgh") == "a, b, c, d, e and 3 more"


def test_counts_and_shares() -> None:
    assert formats.count(1, "image") == "1 image"
    assert formats.count(1000, "image") == "1,000 images"
    assert formats.percent_of_data(0.005) == "0.5%"
    assert formats.percent_of_data(1.0) == "100%"
