"""The report's section on the choice of the source: the ranking, the race, and the probe of depths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from headstart.report import charts
from headstart.report.findings import Findings
from headstart.words.formats import percent
from headstart.words.lists import sentence

if TYPE_CHECKING:
    from headstart.choice.race import Report as RaceReport
    from headstart.choice.race import Row as RaceRow
    from headstart.choice.ranking import Row
    from headstart.choice.selection import Described, Ranking

UNCLEAR = "no clear winner: "  # how the ranking's reason begins if there is none


@dataclass(frozen=True)
class Column:
    """How a score is headed and written."""

    title: str
    unit: str
    text: Callable[[float], str]


def _loss(value: float) -> str:
    return f"{-value:.3f}"


def _three(value: float) -> str:
    return f"{value:.3f}"


COLUMNS = {
    "probe_accuracy": Column("Linear probe", "right", percent),
    "probe_log_likelihood": Column("Linear probe", "log loss", _loss),
    "depth_log_likelihood": Column("Best depth", "log loss", _loss),
    "knn_accuracy": Column("Neighbours", "right", percent),
    "logme": Column("LogME", "nats", _three),
    "h_score": Column("H\u2011score", "shrunk", _three),
    "nce": Column("NCE", "nats", _three),
    "leep": Column("LEEP", "nats", _three),
    "imagenet_accuracy": Column("ImageNet", "published", percent),
}


BESIDE = {"probe_accuracy", "imagenet_accuracy"}  # what the first table has of a source beside the scores that count


@dataclass(frozen=True)
class Head:
    """The heading of a score's column; `counts`: it counts in the ranking."""

    title: str
    unit: str
    counts: bool


@dataclass(frozen=True)
class Source:
    """A row of the ranking."""

    figures: Row
    notes: str
    cells: list[tuple[str, str]]  # its first scores in words, and its standard error or how much it counts, if that is known
    others: list[tuple[str, str]]  # the other scores


@dataclass(frozen=True)
class Race:
    """The rounds, best first, how well the ranking foretold them, and what they cost (image passes)."""

    rounds: list[list[RaceRow]]
    foretold: str
    passes: int


@dataclass(frozen=True)
class Sources:
    """What the section shows of the ranking and of the race."""

    ranked: list[Source]
    columns: list[Head]
    others: list[Head]  # columns of the second table, which is folded away
    skipped: list[Row]
    chart: str
    edge: bool  # whether some source is on the frontier
    beat: str  # what published accuracy alone takes: the ranking to beat
    clear: str  # whether there was a clear winner, if the reason does not say it
    reason: str
    race: Race | None
    scores: list[Described]
    bootstrap: int | None
    chosen: str
    n_images: int
    folds: int
    neighbours: int


@dataclass(frozen=True)
class Depth:
    """What the section shows of the probe of depths."""

    chart: str
    first: str  # the first stage that the probe proposes to retrain
    followed: bool  # whether fine_tune retrained what it proposes
    trained: bool  # whether any stage was retrained


def sources(f: Findings) -> Sources:
    """The ranking as a table and a chart, and the race."""
    ranking = f.ranking
    ranked = [row for row in ranking["candidates"] if row["status"] == "ranked"]
    several = len(ranked) > 1
    columns = {key: COLUMNS.get(key, Column(key.replace("_", " "), "", _three)) for key in _keys(ranking, ranked)}
    votes = ranking.get("votes", [])
    first = {key: column for key, column in columns.items() if not votes or key in votes or key in BESIDE}
    others = {key: column for key, column in columns.items() if key not in first}
    return Sources(
        ranked=[
            Source(
                row,
                ", ".join(_notes(row, number, ranking)) if several else "",
                [_cell(row, key, column) for key, column in first.items()],
                [_cell(row, key, column) for key, column in others.items()],
            )
            for number, row in enumerate(ranked)
        ],
        columns=[Head(column.title, column.unit, key in votes) for key, column in first.items()],
        others=[Head(column.title, column.unit, False) for column in others.values()],
        skipped=[row for row in ranking["candidates"] if row["status"] != "ranked"],
        chart=_chart(ranked, ranking["chosen"]) if several else "",
        edge=any(row.get("frontier") for row in ranked),
        beat=_beat(ranking) if several else "",
        clear=_clear(ranking) if several else "",
        reason=sentence(ranking["reason"].removeprefix(UNCLEAR)),
        race=_race(ranking),
        scores=ranking.get("scores", []),
        bootstrap=ranking.get("bootstrap"),
        chosen=ranking["chosen"],
        n_images=ranking["n_images"],
        folds=ranking["folds"],
        neighbours=ranking["neighbours"],
    )


def _clear(ranking: Ranking) -> str:
    """Whether the ranking had a clear winner, if the reason for the choice does not say it."""
    if "clear" not in ranking:
        return ""
    if ranking["chosen"] != ranking["ranked_first"]:
        return f"The ranking had {'a' if ranking['clear'] else 'no'} clear winner."
    return "" if ranking["clear"] else "No clear winner."


def _beat(ranking: Ranking) -> str:
    """What published accuracy alone takes, and whether the choice is another."""
    name = ranking.get("published_first")
    if not name:
        return ""
    same = "the same" if name == ranking["chosen"] else f"{name} instead of {ranking['chosen']}"
    return f"The ranking to beat, published ImageNet accuracy alone, takes {same}."


def _keys(ranking: Ranking, ranked: list[Row]) -> list[str]:
    """The scores that some source has, in the order in which the ranking lists them."""
    listed = [key for score in ranking.get("scores", []) for key in score["keys"]] or list(COLUMNS)
    return [key for key in listed if any(row.get(key) is not None for row in ranked)]


def _notes(row: Row, number: int, ranking: Ranking) -> list[str]:
    """What sets a source apart in the ranking, of which it is number `number` (from 0)."""
    name, chosen = row["name"], ranking["chosen"]
    notes = {
        "chosen": name == chosen,
        "taken before the race": name != chosen and name == ranking.get("ranked_first"),
        "leads": number == 0 and "chance_best" in row,
        "level with the leader": number > 0 and bool(row.get("level_with_leader")),
    }
    return [words for words, holds in notes.items() if holds]


def _cell(row: Row, key: str, column: Column) -> tuple[str, str]:
    """A score in words and, if it is known, its standard error; of the published accuracy, how much it counts."""
    value = row.get(key)
    if not isinstance(value, (int, float)):
        return "", ""
    error, share = row.get("probe_standard_error"), row.get("prior_share")
    if key == "probe_accuracy" and error is not None:
        return column.text(value), f"± {percent(error)}"
    if key == "imagenet_accuracy" and share is not None:
        return column.text(value), f"{share:.0%} of its place"
    return column.text(value), ""


def _chart(ranked: list[Row], chosen: str) -> str:
    points = [
        charts.Dot(c["name"], c["gflops"], c["probe_accuracy"], c["probe_standard_error"], c["name"] == chosen, bool(c.get("frontier")))
        for c in ranked
    ]
    alt = "; ".join(f"{p.text} {percent(p.y)} at {p.x:.2g} GFLOPs{', on the frontier' if p.edge else ''}" for p in points)
    return charts.dots(
        points,
        alt=f"Accuracy of a linear probe over the cost of each source; {alt}",
        x_title="cost of one image (GFLOPs)",
        y_title="linear probe, cross-validated",
    )


def _race(ranking: Ranking) -> Race | None:
    """The race; None if there was none."""
    race = ranking.get("race")
    if not race:
        return None
    rounds = [list(rows) for _, rows in groupby(race["rows"], key=lambda row: row["round"])]
    return Race(rounds, foretold(race, ranking["ranked_first"]), race["image_passes"])


def foretold(race: RaceReport, taken: str) -> str:
    """One sentence on how the race ended beside the ranking, which had taken the source `taken`."""
    tau = race["kendall_tau"]
    order = {1.0: "in the order of the ranking", -1.0: "in the reverse order of the ranking"}.get(tau, "in another order than the ranking")
    if race["winner"] == taken:
        cost = f"{taken}, which the ranking had taken, won"
    elif race["regret"] > 0:
        cost = f"{taken}, which the ranking had taken, was {100 * race['regret']:.1f} points of validation accuracy below the best of its last round"
    else:
        cost = f"{taken}, which the ranking had taken, lost no validation accuracy to the best of its last round"
    return f"The race ended {order} (Kendall's tau {tau:.2f}; 1 is the same order, -1 the reverse), and {cost}."


def depth(f: Findings) -> Depth | None:
    """The probe at the end of every stage, what fine_tune retrained marked; None if no depths were probed."""
    curve = f.ranking.get("depths")
    if not curve:
        return None
    proposed = {row["stage"] for row in curve if row["retrained"]}
    trained = set(f.fine_tuned["trained"]) & {row["stage"] for row in curve}
    rows = [
        (row["stage"], row["accuracy"], f"{percent(row['accuracy'])}, {-row['log_likelihood']:.3f}", row["stage"] in trained)
        for row in curve
    ]
    alt = "Accuracy of a linear probe at the end of every stage, from the image to the head; " + "; ".join(
        f"{name} {percent(value)}{', retrained' if marked else ''}" for name, value, _, marked in rows
    )
    first = next(row["stage"] for row in curve if row["retrained"])
    return Depth(charts.ladder(rows, alt=alt), first, trained == proposed, bool(trained))
