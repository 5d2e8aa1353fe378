"""The report's section on a second domain: whether labels were carried over to it, what speaks for that, and both domains in a map."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from headstart.machinery.progress import Progress
from headstart.report import charts, pictures
from headstart.report.alike import MANY, SIDE
from headstart.report.findings import Findings
from headstart.words.formats import count, percent

MEASURES = ("agrees with the others, beyond chance", "labels carried back are right", "sure and varied (nuclear norm)")


@dataclass(frozen=True)
class Maps:
    """Both domains before and after adapting; how the points of each class look, and how those of each domain do."""

    said: str
    before: Markup
    after: Markup
    legend: list[tuple[Markup, str]]
    domains: list[tuple[Markup, str]]
    n_classes: int


@dataclass(frozen=True)
class Domains:
    """What the section shows, in sentences and tables."""

    answer: str
    accuracy: str  # without labels of the target
    tested: str  # with some
    measures: tuple[str, ...]  # of the sources
    sources: list[tuple[str, str, str, str]]  # name, and the measures
    shares: list[tuple[str, str, str]]  # class, share among the labelled images, share in the target as it is now labelled
    changed: list[str]  # classes that all but vanish, or become far more
    renamed: str  # how many images get another label
    maps: Maps | None


def domains(f: Findings) -> Domains | None:
    """The section; None if there is no second domain."""
    made = f.adapt
    if not made["images"]:
        return None
    done = "were carried over" if made["adapted"] else "were not carried over"
    return Domains(
        answer=f"The labels {done} to {count(made['images'], 'image')} of a second domain: {made['reason']}.",
        accuracy=_accuracy(made["accuracy"], made["adapted"]),
        tested=_tested(f),
        measures=MEASURES,
        sources=[(s["name"], f"{s['agrees']:.2f}", percent(s["carried_back"]), f"{s['nuclear_norm']:.2f}") for s in made["sources"]],
        shares=[(name, percent(known), percent(found)) for name, (known, found) in made["shares"].items()],
        changed=[_change(name, *pair) for name, pair in made["shares"].items() if _differs(*pair)],
        renamed=_renamed(made["renamed"], made["images"], made["adapted"]),
        maps=_maps(f, made["adapted"]),
    )


def _renamed(renamed: int, images: int, adapted: bool) -> str:
    if not renamed:
        return "No image would get another label." if not adapted else "No image gets another label."
    return f"{renamed:,} of {count(images, 'image')} {'get' if adapted else 'would get'} another label than the model as it is gives."


def _maps(f: Findings, adapted: bool) -> Maps | None:
    """The maps; None if there are none."""
    rows = f.domains
    if not len(rows):
        return None
    classes = sorted({*rows["before"], *rows["after"]})
    numbers = {label: number for number, label in enumerate(classes)}
    marks: dict[str, list[charts.Mark]] = {"before": [], "after": []}
    with Progress(len(rows), "picturing both domains") as progress:
        for number, row in enumerate(rows.to_dict("records")):
            picture, target = pictures.picture(f.images / row["path"], f.grey, SIDE).url, row["domain"] == "target"
            for when in marks:
                first = when == "before"
                what = f"{row[when]} ({'as named in the target' if target else 'labelled'})"
                shown = picture if first else f"#both{number}" if picture else ""
                x, y = float(row[f"x_{when}"]), float(row[f"y_{when}"])
                marks[when].append(charts.Mark(x, y, numbers[row[when]], what, shown, f"both{number}", target))
            progress.step()
    n = f"{count(len(rows), 'image')} of both domains"
    before, after = (charts.marks(marks[when], alt=f"Map of {n}, {when} adapting", chart=when) for when in marks)
    said = (
        f"{n}, near each other if the source finds them alike (t-SNE on its features), in the colour of their class: "
        "labelled images by their label, those of the target by the label that they get. "
    )
    said += "Classes that the source finds alike in both have filled and hollow marks of one colour side by side." if adapted else (
        "After: as they would be labelled if labels were carried over, which was refused."
    )  # fmt: skip
    domains = [(charts.key(0), "filled: labelled images"), (charts.key(0, hollow=True), "hollow: the target")]
    return Maps(said, before, after, [(charts.key(numbers[one]), one) for one in classes[:MANY]], domains, len(classes))


def _accuracy(told: list[float], adapted: bool) -> str:
    if not told or not adapted:
        return ""
    about, low, high = told
    return (
        f"Without any label of it, its accuracy is estimated from how far the sources agree and how well the labels can be carried back: about "
        f"{percent(about)}, between {percent(low)} and {percent(high)}. That is no interval of a stated coverage: labels of a few images give one."
    )


def _tested(f: Findings) -> str:
    tested = f.adapt["labelled"]
    if tested is None:
        return "Label the images that reports/target/label_these.csv names, drawn at random, and import again with --target-labels."
    low, high = tested["adapted_interval"]
    worst, best = tested["difference_interval"]
    return (
        f"Of {count(tested['n'], 'image')} with a label the adapted model has {percent(tested['adapted'])} right (95% interval {percent(low)} to "
        f"{percent(high)}), the plain one {percent(tested['plain'])}: {100 * tested['difference']:+.1f} points (90% interval {100 * worst:+.1f} to {100 * best:+.1f})."
    )


def _differs(known: float, found: float) -> bool:
    return found < known / 4 or found > 3 * known


def _change(name: str, known: float, found: float) -> str:
    return f"{name}: {percent(known)} of the labelled images, {percent(found)} of the target as it is labelled now"
