"""The report's section on whether transfer helped: the answer, the evidence, what ships for it, what was tried, and what the test images say."""

from __future__ import annotations

from typing import Any

from headstart.report import charts
from headstart.report.findings import Findings
from headstart.words import formats, naming
from headstart.words.formats import count, percent
from headstart.words.lists import sentence

SAID = {"positive": "Yes, transfer helped.", "none_shown": "Transfer is not shown to help.", "negative": "No, transfer hurt."}
TEST = {
    "confirms": "The test images confirm the answer",
    "contradicts": "The test images contradict the answer",
    "leaves open": "The test images leave it open",
}
PAIRS = {
    "pretrained_against_random": ("Pretrained against random weights", "Pretrained", "Random weights"),
    "fine_tuned_against_head": ("Fine-tuned against the frozen head", "Fine-tuned", "Frozen head"),
}
REMEDIES = {
    "another_source": "the next source of the ranking, fine-tuned in the same way",
    "shallower_cut": "half as many stages retrained",
    "l2_sp": "weights held near the source's",
    "bss": "features of little use held down",
    "more_layers": "all stages retrained, the deeper the slower",
}


def transfer(f: Findings) -> dict[str, Any]:
    """What the section shows. `tested` is false where no network was trained from random weights."""
    v = f.verdict
    tested = "pretrained_against_random" in v
    return {
        "tested": tested,
        "answer": SAID[v["answer"]] if tested else "Whether transfer helped was not tested.",
        "tone": {"positive": "ok", "negative": "no"}.get(v["answer"], ""),
        "standing": v["standing"],
        "evidence": sentence(v["pretrained_against_random"]["evidence"]) if tested else "",
        "chart": _learning(v["curves"]) if tested else "",
        "stopped": tested and len({arm[-1]["step"] for arm in v["curves"].values()}) > 1,
        "pairs": [_pair(v[key], key) for key in PAIRS if key in v],
        "labels": _labels(v.get("label_curve", [])),
        "test": _test(f),
        "notes": _notes(f) if tested else [],
        "arms": [{**arm, "title": _title(arm), "ships": (arm["name"], arm["mix"]) == (v["ships"], v["mix"])} for arm in v["arms"]],
        "n_validation": f.metrics["n_validation"],
        "reason": sentence(v["reason"]),
        "remedies": [{**row, "title": naming.title(row["name"]), "why": REMEDIES.get(row["name"], "")} for row in v["remedies"]],
    }


def _title(arm: dict[str, Any]) -> str:
    """An arm, an average with its mix: Average, 25% fine-tuned."""
    return naming.title(arm["name"]) + (f", {arm['mix']:.0%} fine-tuned" if arm["mix"] is not None else "")


def _learning(curves: dict[str, list[dict[str, float]]]) -> str:
    """Validation accuracy over the steps of both arms, the pretrained one from its converged head."""
    names = {"pretrained": ("pretrained", 1, False), "random": ("random weights", 2, True)}
    series = [
        charts.Series(name, [(row["step"], row["accuracy"]) for row in curves[key]], style, dashed)
        for key, (name, style, dashed) in names.items()
    ]
    alt = "; ".join(
        f"{s.name} from {percent(s.points[0][1])} to {percent(s.points[-1][1])} in {s.points[-1][0]:,.0f} steps" for s in series
    )
    return charts.lines(
        series,
        alt=f"Validation accuracy over the steps of training: {alt}",
        x_title="steps of training",
        y_title="validation accuracy",
        y_text=formats.short,
        ceiling=1.0,
    )


def _pair(compared: dict[str, Any], key: str) -> dict[str, Any]:
    """Start, steps and final score of the two arms of PAIRS[key], their difference and its interval."""
    title, first, second = PAIRS[key]
    same = key == "fine_tuned_against_head"  # fine-tuning begins with the frozen head
    start, slope, final = compared["start"], compared["slope"], compared["asymptote"]
    rows = [
        ("Start", "accuracy at step 0", *((*_shares(start)[:2], "the same", "") if same else _shares(start))),
        ("Slope", f"steps to {percent(slope['threshold'])}, 90% of the better end", *_steps(slope)),
        ("End", "accuracy at the best epoch", *_shares(final)),
    ]
    seeds = f"{count(final['n_seeds'], 'seed')} each" if final["n_seeds"] > 1 else "one run each"
    level = f"{100 - 200 * compared['level']:g}%"
    return {"title": title, "first": first, "second": second, "rows": rows, "level": level, "n": final["n_images"], "seeds": seeds}


def _shares(score: dict[str, Any]) -> tuple[str, str, str, str]:
    """Two accuracies, their difference and its interval in points."""
    low, high = (100 * end for end in score["interval"])
    return percent(score["first"]), percent(score["second"]), f"{100 * score['difference']:+.1f} points", f"{low:+.1f} to {high:+.1f}"


def _steps(slope: dict[str, Any]) -> tuple[str, str, str, str]:
    """Steps of both arms, their difference and its interval; an end is open where some arm may never get there."""
    first, second = ("never" if slope[arm] is None else f"{slope[arm]:,.0f}" for arm in ("first", "second"))
    low, high = (None if end is None else _signed(end) for end in slope["interval"])
    between = f"{low} to {high}" if low and high else f"{low} or more" if low else f"{high} or less" if high else ""
    return first, second, "" if slope["difference"] is None else f"{_signed(slope['difference'])} steps", between


def _signed(steps: float) -> str:
    return f"{steps:+,.0f}" if steps else "0"


def _labels(curve: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The final scores over the number of labels, the last being all; None where there is no such curve."""
    if not curve:
        return None
    names = [str(row["labels"] or "all") for row in curve]
    series = [
        charts.Series(name, [(n, row["asymptote"][arm]) for n, row in enumerate(curve)], style, dashed)
        for arm, name, style, dashed in (("first", "pretrained", 1, False), ("second", "random weights", 2, True))
    ]
    alt = "; ".join(
        f"{name}: {percent(row['asymptote']['first'])} and {percent(row['asymptote']['second'])}"
        for name, row in zip(names, curve, strict=True)
    )
    chart = charts.lines(
        series,
        alt=f"Validation accuracy over the labels of each class, pretrained and from random weights; {alt}",
        x_title="labels a class",
        y_title="validation accuracy",
        y_text=formats.short,
        ceiling=1.0,
        x_names=names,
    )
    rows = [(name, *_shares(row["asymptote"]), naming.ANSWERS[row["answer"]]) for name, row in zip(names, curve, strict=True)]
    return {"chart": chart, "rows": rows, "level": f"{100 - 200 * curve[0]['level']:g}%"}


def _test(f: Findings) -> dict[str, str] | None:
    """Whether the test images bear the answer out; None where no network from random weights was measured on them."""
    found = f.metrics.get("transfer")
    if not found:
        return None
    tone = {"confirms": "ok", "contradicts": "no"}.get(found["says"], "")
    return {"says": TEST[found["says"]], "tone": tone, "evidence": sentence(found["evidence"])}


def _notes(f: Findings) -> list[str]:
    """What weakens the answer, in plain words."""
    v, said = f.verdict, []
    score, used = v["pretrained_against_random"]["asymptote"], f.baseline["parameters"]["baseline"]
    if v["standing"] == "indicative":
        said.append(
            f"Indicative: {'one run of each network' if score['n_seeds'] == 1 else str(score['n_seeds']) + ' runs of each network'}, so the interval holds what other images would "
            "change, and not what another seed would. Five or more (verdict.seeds) can establish it."
        )
    if score["n_images"] < 100:
        said.append(f"{count(score['n_images'], 'held-out image')} can show only large differences.")
    sizes = v["input_size"]
    if sizes["random"] != sizes["pretrained"]:
        said.append(
            f"To save time the network from random weights saw images of {sizes['random']} pixels, the pretrained one {sizes['pretrained']}: a part of the "
            "difference may come from that (baseline.max_size)."
        )
    if used["max_images"] < max(f.metrics["n_train"], f.metrics["n_validation"]):
        said.append(f"The network from random weights saw at most {used['max_images']:,} images of each split (baseline.max_images).")
    curve = f.baseline_curve
    if len(curve) and curve["validation_loss"].idxmin() == len(curve) - 1:
        said.append(
            "The network from random weights was at its best after its last epoch: with more (baseline.epochs) it would likely get further."
        )
    return said
