"""The report: one self-contained HTML page that says what ships, how good it is, why, and how to get it again.

`render` turns findings (headstart/report/findings.py) into a page that needs no network and no script. The sentences are in headstart/report/summary.py, the
charts in headstart/report/charts.py, the layout in report.html.jinja, the looks in report.css; this file decides what each section shows, with
report_source.py for the choice of the source and report_transfer.py for whether transfer helped.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import params
from headstart.checks.columns import SPLITS
from headstart.data import images
from headstart.machinery.progress import Progress, duration
from headstart.report import charts, choice, transfer
from headstart.report.findings import Findings
from headstart.report.summary import caveats, headline, summary
from headstart.words import formats, naming
from headstart.words.formats import count, percent
from headstart.words.lists import sentence

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup


THUMBNAIL = 160  # pixels, longer side
TINY = 64  # images smaller than this (pixels, longer side) are shown enlarged with their pixels visible
ANY_SIZE = 2**31  # pixels: what was too large for this data set was set aside when it was indexed
MATRIX = 12  # classes up to which the whole confusion matrix is shown
TOP = 15  # rows of a table that shows the worst of many
MEASURES = {
    "accuracy": ("Accuracy", "share of test images that are right"),
    "balanced_accuracy": ("Balanced accuracy", "the same, every class counting alike"),
    "macro_f1": ("Macro F1", "mean over the classes of F1, which weighs misses and false alarms alike"),
    "ece": ("Calibration error", "how far the stated probabilities are off on average (lower is better)"),
}


def render(findings: Findings, *, mistakes: int) -> str:
    """The page. `mistakes` is the most wrong test images shown as pictures, the surest first."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "count": count, "duration": duration, "sensible": formats.plain}
    return environment.get_template("report.html.jinja").render(
        headline=headline(findings),
        summary=summary(findings),
        caveats=caveats(findings),
        data=_data(findings),
        sources=choice.sources(findings),
        depth=choice.depth(findings),
        transfer=transfer.transfer(findings),
        head=_head(findings),
        tuning=_tuning(findings),
        result=_result(findings),
        classes=_classes(findings),
        confusion=_confusion(findings),
        calibration=_calibration(findings),
        mistakes=_mistakes(findings, mistakes),
        again=_again(findings),
        timings=findings.timings,
    )


def _data(f: Findings) -> dict[str, Any]:
    per_split = f.validation["images"]["per_split"]
    splits = [s for s in SPLITS if s in per_split]
    labels = sorted({label for split in per_split.values() for label in split})
    rows = [(label, [per_split[s].get(label, 0) for s in splits]) for label in labels]
    totals = [sum(counts) for _, counts in rows]
    chart = charts.stacks(rows, splits, alt="Images of each class in each split") if rows else ""
    return {
        "images": f.validation["images"],
        "splits": [(s, sum(per_split[s].values())) for s in splits],
        "n_classes": len(labels),
        "range": (min(totals), max(totals)) if totals else (0, 0),
        "chart": chart,
        "folded": len(rows) > 30,
        "warnings": f.validation["warnings"],
        "critical": f.validation["critical"],
        "quarantined": f.validation["quarantined"],
        "expectations": f.validation["expectations"],
    }


def _head(f: Findings) -> dict[str, Any]:
    final = f.head["final"]
    tried = sorted(f.head["penalties"], key=lambda row: row["penalty"])
    panels: list[Markup] = []
    if len(tried) > 1:
        for key, title, text in (
            ("log_loss", "log loss, cross-validated (lower is better)", formats.plain),
            ("accuracy", "accuracy, cross-validated", formats.short),
        ):
            points = [(row["penalty"], row[key]) for row in tried]
            chosen = [point for point in points if point[0] == final["penalty"]]
            panels.append(
                charts.lines(
                    [charts.Series("cross-validated", points)],
                    alt=f"{title.capitalize()}, over the penalty; " + "; ".join(f"{x:g}: {text(y)}" for x, y in points),
                    x_title="penalty (ring: chosen)",
                    y_title=title,
                    y_text=text,
                    log=True,
                    rings=chosen,
                    ceiling=1.0 if key == "accuracy" else float("inf"),
                )
            )
    edge = len(tried) > 1 and final["penalty"] in (tried[0]["penalty"], tried[-1]["penalty"])
    return {"final": final, "train_only": f.head["train_only"], "panels": panels, "edge": edge}


def _tuning(f: Findings) -> dict[str, Any]:
    curves = f.curve
    trained = len(curves) and (curves["epoch"] > 0).any()
    return {
        "panels": _curves(curves) if trained else [],
        "best": _best(curves) if trained else None,
        "validation": f.fine_tuned.get("validation"),
        "strategy": f.fine_tuned["strategy"],
        "phases": f.fine_tuned.get("phases", []),
        "frozen": f.fine_tuned.get("frozen", []),
        "trained": f.fine_tuned.get("trained", []),
        "views": f.fine_tuned.get("views"),
        "passes": f.fine_tuned.get("image_passes"),
        "engine": f.fine_tuned.get("engine"),
        "cache_bytes": f.fine_tuned.get("cache_bytes") or 0,
        "outcome": _outcome(f.metrics["shipped"]),
        "paid": f.metrics["shipped"] in ("fine_tuned", "average"),
        "reason": sentence(f.fine_tuned["reason"]),
    }


def _outcome(shipped: str) -> str:
    """What became of the fine-tuned model."""
    known = {
        "fine_tuned": "It paid and ships.",
        "average": "It paid: its average with the frozen head ships.",
        "head": "It does not ship; the frozen head does.",
        "scratch": "It does not ship; the network from random weights does.",
    }
    return known.get(shipped, f"It does not ship; what ships was fine-tuned in another way ({naming.arm(shipped)}).")


def _best(curves: pd.DataFrame) -> int:
    """The epoch of the lowest validation loss, the head's own level (epoch 0) included."""
    return int(curves.loc[curves["validation_loss"].idxmin(), "epoch"])


def _curves(curves: pd.DataFrame) -> list[Markup]:
    """Loss and accuracy over the epochs, the phases marked, the level of the head before fine-tuning, the best epoch ringed."""
    epochs = curves[curves["epoch"] > 0]
    starts = epochs.groupby("phase", sort=False)["epoch"].min()
    walls = [(float(start) - 0.5, str(name)) for name, start in starts.items()]
    best = curves[curves["epoch"] == _best(curves)].iloc[0]
    panels = []
    for key, title, text, ceiling in (("loss", "loss", formats.plain, float("inf")), ("accuracy", "accuracy", formats.short, 1.0)):
        series = []
        for style, (split, dashed) in enumerate((("validation", False), ("train", True)), start=1):
            known = curves[["epoch", f"{split}_{key}"]].dropna()
            if len(known):
                series.append(charts.Series(split, list(known.itertuples(index=False, name=None)), style, dashed))
        before = curves.loc[curves["epoch"] == 0, f"validation_{key}"].dropna()
        panels.append(
            charts.lines(
                series,
                alt=f"{title.capitalize()} over the epochs; best epoch {int(best['epoch'])}, validation {title} {text(best[f'validation_{key}'])}",
                x_title="epoch (ring: best)",
                y_title=title,
                y_text=text,
                level=(float(before.iloc[0]), "head") if len(before) else None,
                walls=walls,
                rings=[(float(best["epoch"]), float(best[f"validation_{key}"]))],
                ceiling=ceiling,
            )
        )
    return panels


def _result(f: Findings) -> dict[str, Any]:
    """The measures of what ships beside those it was compared with, and their intervals."""
    shipped = f.metrics["shipped"]
    beside = [name for name in naming.ARMS if name != shipped and f.metrics.get(name)]
    columns = [(f"{naming.title(shipped)} (ships)", f.metrics["test"]), *((naming.title(name), f.metrics[name]) for name in beside)]
    rows = [
        {
            "name": title,
            "why": why,
            "cells": [
                (percent(values[key]), tuple(percent(v) for v in values["interval"][key]) if key in values.get("interval", {}) else None)
                for _, values in columns
            ],
        }
        for key, (title, why) in MEASURES.items()
    ]
    bars = [
        (name, values["accuracy"], *values["interval"]["accuracy"]) for name, values in columns if "accuracy" in values.get("interval", {})
    ]
    alt = "Test accuracy with intervals: " + "; ".join(
        f"{name} {percent(v)} ({percent(low)} to {percent(high)})" for name, v, low, high in bars
    )
    numbers = {key: f.metrics[key] for key in ("n_train", "n_validation", "n_test")}
    return {"columns": [name for name, _ in columns], "rows": rows, "chart": charts.whiskers(bars, alt=alt) if bars else "", **numbers}


def _classes(f: Findings) -> dict[str, Any]:
    head = f.metrics["head"].get("per_class", {}) if f.metrics["shipped"] != "head" else {}
    rows = [{"label": label, **row, "head_f1": head.get(label, {}).get("f1")} for label, row in f.metrics["test"]["per_class"].items()]
    rows.sort(key=lambda row: (row["f1"], row["label"]))
    return {"rows": rows, "shown": len(rows) if len(rows) <= TOP + 5 else TOP, "beside": bool(head)}


def _confusion(f: Findings) -> dict[str, Any]:
    """The whole matrix for few classes; the commonest confusions in any case."""
    classes = f.metrics["classes"]
    counts = f.confusion.groupby(["actual", "predicted"]).size()
    matrix = []
    if len(classes) <= MATRIX:
        for actual in classes:
            row = [int(counts.get((actual, predicted), 0)) for predicted in classes]
            matrix.append({"label": actual, "n": sum(row), "cells": [(n, n / max(sum(row), 1)) for n in row]})
    totals = f.confusion["actual"].value_counts()
    wrong = sorted(((int(n), a, p) for (a, p), n in counts.items() if a != p), key=lambda row: (-row[0], row[1], row[2]))
    top = [{"actual": a, "predicted": p, "n": n, "share": n / int(totals[a])} for n, a, p in wrong[:TOP]]
    return {"classes": classes, "matrix": matrix, "top": top, "n_kinds": len(wrong), "long": max(map(len, classes)) > 7}


def _calibration(f: Findings) -> dict[str, Any]:
    known = f.reliability.dropna() if len(f.reliability) else f.reliability
    bins = [(float(row.confidence), float(row.accuracy), int(row.n)) for row in known.itertuples()]
    alt = "Reliability: " + "; ".join(f"sure {percent(c)}, right {percent(a)}, {count(n, 'image')}" for c, a, n in bins if n)
    return {"chart": charts.reliability(bins, alt=alt) if any(n for *_, n in bins) else "", "ece": percent(f.metrics["test"]["ece"])}


def _mistakes(f: Findings, most: int) -> dict[str, Any]:
    """The test images that the model was surest of and wrong about, as pictures."""
    wrong = f.predictions[~f.predictions["correct"]].sort_values(["probability", "path"], ascending=[False, True], kind="stable")
    shown = []
    with Progress(min(most, len(wrong)), "picturing mistakes") as progress:
        for row in wrong.head(most).to_dict("records"):
            shown.append({**row, **_picture(f.images / str(row["path"])), "head_right": row["head_predicted"] == row["label"]})
            progress.step()
    return {"shown": shown, "n": len(wrong)}


def _picture(path: Path) -> dict[str, Any]:
    """A thumbnail as a data URL, or why there is none. Tiny images keep their pixels: they are lossless and enlarged by the browser."""
    try:
        image = images.open_image(path, ANY_SIZE, near=THUMBNAIL)
    except images.Unreadable as error:
        return {"picture": "", "why": str(error), "tiny": False, "size": (0, 0)}
    tiny = max(image.size) < TINY
    if not tiny:
        image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    if tiny:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=82, optimize=True)
    scale = THUMBNAIL / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    kind = "png" if tiny else "jpeg"
    return {"picture": f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}", "why": "", "tiny": tiny, "size": size}


def _again(f: Findings) -> dict[str, Any]:
    """What somebody needs to get the same model again."""
    used, usual = _flat(f.card.get("parameters", {})), _flat(params.check({}).model_dump())
    changed = [(name, value, usual.get(name)) for name, value in used.items() if value != usual.get(name)]
    hashes = {"Data": f.card.get("data_sha256"), "Source weights": f.card.get("weights_sha256"), "Model file": f.model_sha256}
    return {
        "changed": [(name, _value(value), _value(default)) for name, value, default in changed],
        "hashes": {name: value for name, value in hashes.items() if value},
        "versions": f.card.get("versions", {}),
        "transform": f.card["transform"],
        "architecture": f.card["architecture"],
    }


def _flat(block: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested parameters as block.name: value."""
    flat: dict[str, Any] = {}
    for name, value in block.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return flat


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
