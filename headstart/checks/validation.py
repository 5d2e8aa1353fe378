"""Run the expectations over a manifest, as a Great Expectations checkpoint; say in words what failed.

The expectations are in headstart/checks/expectations.py.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

from headstart.base import outputs
from headstart.checks import of_unlabelled
from headstart.checks.expectations import Check, Limits, suite
from headstart.data import manifest, provenance
from headstart.machinery import terminal
from headstart.machinery.errors import DataError, HeadstartError
from headstart.words import spreadsheet
from headstart.words.formats import count

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = ("path", "origin", "split", "label", "set", "reason")  # of the lists of files
README = "A table for each check that failed, of all files at fault. What the checks are, and what failed: ../validation.json\n"
NONE = "No check failed that is about files, so there is no table of files. What the checks are: ../validation.json\n"
LISTED = 50  # files of a failed check that the result lists
PAIRED = 12  # pairs of a failed check that the result lists
SHOWN = 5  # of these, how many an error message names


class Images(TypedDict):
    """How many files there are, how many of them are usable, and the usable ones by split and class."""

    total: int
    usable: int
    per_split: dict[str, dict[str, int]]


class Shown(TypedDict):
    """An image of a pair."""

    path: str
    label: str
    split: str


class Failure(TypedDict):
    """A check that failed, in plain words; of the `n_files` files at fault the first LISTED are named.

    `pairs` are images to look at side by side, for checks of what looks alike.
    """

    name: str
    message: str
    files: list[str]
    n_files: int
    pairs: NotRequired[list[list[Shown]]]


class Quarantined(TypedDict):
    """A file that is left out, and why."""

    path: str
    reason: str


class Expectation(TypedDict):
    """A check, and whether it holds."""

    expectation: str
    column: str
    success: bool
    severity: str  # critical or warning
    description: str


class Validation(TypedDict):
    """The content of reports/validation.json.

    `critical` and `warnings` hold the failed checks, in the order of CHECKS; `success` means that nothing critical failed.
    """

    success: bool
    images: Images
    critical: list[Failure]
    warnings: list[Failure]
    quarantined: list[Quarantined]
    expectations: list[Expectation]


def validate(frame: pd.DataFrame, limits: Limits) -> Validation:
    """Check a manifest; the same manifest and limits give the same result.

    Raises HeadstartError if a check could not be evaluated.
    """
    return validate_whole(frame, limits)[0]


def validate_whole(frame: pd.DataFrame, limits: Limits) -> tuple[Validation, dict[str, pd.DataFrame]]:
    """The result as of `validate`, and for each failed check, by name, every file at fault: columns COLUMNS."""
    frame = manifest.completed(frame.reset_index(drop=True))
    checks = suite(frame)
    outcomes = _run(checks, _columns(checks, frame), limits)
    failed: dict[str, list[Failure]] = {"critical": [], "warning": []}
    lists: dict[str, pd.DataFrame] = {}
    expectations: list[Expectation] = []
    for check, (success, rows) in zip(checks, outcomes, strict=True):
        if not success:
            failing = _in_order(check, frame.iloc[sorted(rows)])
            failed[check.severity].append(_failure(check, frame, failing, limits))
            lists[check.name] = _whole(check, failing, limits)
        expectations.append(
            {
                "expectation": _snake(check.expectation),
                "column": check.column,
                "success": success,
                "severity": check.severity,
                "description": f"{_sentence(check.expected(limits))}: {check.why}.",
            }
        )
    broken = frame[~frame["readable"]]
    result: Validation = {
        "success": not failed["critical"],
        "images": {"total": len(frame), "usable": int(frame["readable"].sum()), "per_split": _per_split(frame)},
        "critical": failed["critical"],
        "warnings": failed["warning"],
        "quarantined": [{"path": path, "reason": reason} for path, reason in zip(_named(broken), broken["reason"], strict=True)],
        "expectations": expectations,
    }
    return result, lists


def validate_all(frame: pd.DataFrame, without: pd.DataFrame, limits: Limits) -> tuple[Validation, dict[str, pd.DataFrame]]:
    """As `validate_whole`, with the checks of the images without labels that lie beside those of `frame`, if there are some."""
    result, lists = validate_whole(frame, limits)
    if without.empty:
        return result, lists
    more, others = validate_whole(of_unlabelled.beside(without, frame), limits)
    result["warnings"] += more["warnings"]
    result["quarantined"] += more["quarantined"]
    result["expectations"] += more["expectations"]
    return result, {**lists, **others}


def write_lists(lists: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write a CSV of every file of each failed check, FOLDER/CHECK.csv, and a README; the folder is made anew."""
    with outputs.folder(folder) as temporary:
        (temporary / "README.txt").write_text(README if lists else NONE)  # DVC warns of an empty folder
        for name, table in lists.items():
            spreadsheet.write(temporary / f"{name}.csv", COLUMNS, table[list(COLUMNS)].itertuples(index=False))


def refuse(result: Validation, where: str) -> None:
    """Raise DataError if there is a critical failure.

    The error names every one, some of its files, and what to do. `where` is the folder that lists all files.
    """
    if result["success"]:
        return
    lines = [f"the data was refused: {count(len(result['critical']), 'critical problem')}"]
    for number, failure in enumerate(result["critical"], start=1):
        lines.append(f"  {number}. {failure['message']}")
        if failure["files"]:
            more = failure["n_files"] - len(failure["files"][:SHOWN])
            lines.append("     files: " + ", ".join(map(terminal.name, failure["files"][:SHOWN])) + (f" and {more:,} more" if more else ""))
    lines.append(f"Mend the data, import it again and run again. All files are listed in {where}/, a CSV for each problem.")
    raise DataError("\n".join(lines))


def _columns(checks: list[Check], frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that the checks look at. A row's number is its index, by which failing rows are named."""
    import pandas as pd

    columns: dict[Hashable, pd.Series] = {}
    for check in checks:
        if check.column not in columns:
            columns[check.column] = frame[check.column] if check.values is None else check.values(frame)
    return pd.DataFrame(columns)


def _run(checks: list[Check], columns: pd.DataFrame, limits: Limits) -> list[tuple[bool, list[int]]]:
    """Run the checkpoint; for each check whether it holds, and the numbers of the rows that fail it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Great Expectations uses deprecated modules; its users can do nothing about it
        logging.getLogger("great_expectations").setLevel(logging.ERROR)  # it tells of its own stores, which nobody asked for
        results = _checkpoint(checks, columns, limits)
    by_name = {result.expectation_config.meta["name"]: result for result in results}  # results come in an order of their own
    return [_outcome(check, by_name[check.name]) for check in checks]


def _checkpoint(checks: list[Check], columns: pd.DataFrame, limits: Limits) -> list[Any]:
    import great_expectations as gx
    from great_expectations import expectations as kinds
    from great_expectations.data_context.types import base

    silent = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(),  # keeps nothing on disk
        progress_bars=base.ProgressBarsConfig(globally=False, metric_calculations=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=silent)
    expected = gx.ExpectationSuite(name="images")
    for check in checks:
        expected.add_expectation(
            getattr(kinds, check.expectation)(
                column=check.column, severity=check.severity, meta={"name": check.name}, **check.arguments(limits)
            )
        )
    batch = context.data_sources.add_pandas("headstart").add_dataframe_asset("manifest").add_batch_definition_whole_dataframe("whole")
    definition = gx.ValidationDefinition(name="manifest", data=batch, suite=context.suites.add(expected))
    checkpoint = gx.Checkpoint(
        name="manifest",
        validation_definitions=[context.validation_definitions.add(definition)],
        # row numbers alone: with the values or named columns, a million failing rows take 7 GiB and five minutes instead of seconds
        result_format={"result_format": "COMPLETE", "exclude_unexpected_values": True, "return_unexpected_index_query": False},
    )
    outcome = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": columns})
    (run,) = outcome.run_results.values()
    return list(run.results)


def _outcome(check: Check, result: Any) -> tuple[bool, list[int]]:
    if _raised(result.exception_info):
        raise HeadstartError(f"the check {check.name!r} could not be evaluated: {_raised(result.exception_info)}")
    return bool(result.success), [int(row) for row in result.result.get("unexpected_index_list") or []]


def _raised(info: Mapping[str, object] | None) -> str:
    """The message of an exception inside Great Expectations, empty if there was none.

    It comes flat, or once per metric.
    """
    nested = [info or {}, *(value for value in (info or {}).values() if isinstance(value, dict))]
    return next((str(item.get("exception_message") or "unknown error") for item in nested if item.get("raised_exception")), "")


def _in_order(check: Check, failing: pd.DataFrame) -> pd.DataFrame:
    """The failing rows by path, those of one set together."""
    if not check.together:
        return failing
    first = failing.groupby(check.together)["path"].transform("min")
    return failing.assign(_first=first).sort_values(["_first", "path"]).drop(columns="_first")


def _failure(check: Check, frame: pd.DataFrame, failing: pd.DataFrame, limits: Limits) -> Failure:
    shown = failing.assign(path=_named(failing))  # what people read; the pictures of pairs need the path alone
    message = f"{_sentence(check.found(shown, frame))}. Expected: {check.expected(limits)}. {check.remedy}"
    failure: Failure = {"name": check.name, "message": message, "files": shown["path"].head(LISTED).tolist(), "n_files": len(failing)}
    if check.pairs:
        failure["pairs"] = _pairs(failing, str(check.together), check.pairs)
    return failure


def _named(rows: pd.DataFrame) -> list[str]:
    """The files of these rows as people find them: with where they came from, if their path does not say it."""
    return [provenance.named(path, origin) for path, origin in zip(rows["path"], rows["origin"], strict=True)]


def _pairs(failing: pd.DataFrame, together: str, across: str) -> list[list[Shown]]:
    """Two images of each of the first sets, which differ in `across`."""
    pairs = []
    for _, rows in failing.groupby(together, sort=False):
        two = rows.drop_duplicates(across).head(2)
        pairs.append(cast(list[Shown], two[["path", "label", "split"]].to_dict("records")))
        if len(pairs) == PAIRED:
            break
    return pairs


def _whole(check: Check, failing: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """Every file at fault: which set it belongs to, if the check is about sets, and why it is listed."""
    numbers = failing[check.together].factorize()[0] + 1 if check.together else ""
    expected = f"expected: {check.expected(limits)}"
    reasons = failing["reason"].where(failing["reason"] != "", expected)
    return failing.assign(set=numbers, reason=reasons)[list(COLUMNS)]


def _per_split(frame: pd.DataFrame) -> dict[str, dict[str, int]]:
    usable = frame[frame["readable"]]
    counts = usable.groupby(["split", "label"]).size()
    splits = sorted(set(usable["split"]), key=lambda split: (_ORDER.get(split, len(_ORDER)), split))
    return {split: {str(label): int(n) for label, n in counts[split].items()} for split in splits}


_ORDER = {"train": 0, "validation": 1, "test": 2}


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
