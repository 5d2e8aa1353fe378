"""What a person sees of a run in the Prefect UI beside its log: progress, tables, a summary, and a name that says what ran.

All of it is told to the server and to nobody else, and nothing depends on it: where the server does not answer, the log says so once and
the run goes on.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from flows.projects import images
from flows.repository import dvc
from flows.results import show
from flows.server import servers
from headstart.base import outputs
from headstart.words import naming

NEGATIVE = "headstart.negative-transfer"  # the event of a run whose verdict is that transfer hurt
_PROGRESS = re.compile(r"(?P<what>.+): (?P<done>\d+)/(?P<total>\d+)(, .+ left| in .+)")  # as headstart/machinery/progress.py says it
_silent: set[str] = set()  # flow runs whose log has been told that the server does not answer


def tell(say: dvc.Say, what: Callable[[], None]) -> None:
    """Tell the server something. Where it does not answer or refuses, the log says so, once a run, and nothing else happens."""
    from prefect import runtime

    try:
        if not servers.answers():  # without this, Prefect's client would try for minutes
            raise ConnectionError("it does not answer")
        what()
    except Exception as error:
        run = str(runtime.flow_run.id)
        if run not in _silent:
            _silent.add(run)
            say(f"warning: the Prefect server could not be told of this run ({error}); the run goes on, and DVC records it")


def watched(stage: str, say: dvc.Say) -> dvc.Say:
    """A `say` that also keeps progress artifacts of the stage, from the lines that tell how far it is."""
    made: dict[str, UUID] = {}

    def said(line: str) -> None:
        say(line)
        if match := _PROGRESS.fullmatch(line):
            tell(say, lambda: _progress(stage, match, made))

    return said


def _progress(stage: str, match: re.Match[str], made: dict[str, UUID]) -> None:
    from prefect.artifacts import create_progress_artifact, update_progress_artifact

    what, share = match["what"], 100 * int(match["done"]) / max(int(match["total"]), 1)
    if what in made:
        update_progress_artifact(made[what], progress=share, description=match[0])
    else:
        made[what] = create_progress_artifact(progress=share, key=key(stage, what), description=match[0])  # type: ignore[assignment]


def of_stage(stage: str, say: dvc.Say) -> None:
    """The tables of a stage that has ended, whether well or not."""
    if stage in TABLES:
        tell(say, TABLES[stage])


def summary(outcomes: list[dvc.Outcome], say: dvc.Say) -> None:
    """The summary of a run that has ended well: the verdict, what ships and how good it is, and where the report lies."""
    from prefect.artifacts import create_markdown_artifact

    def create() -> None:
        create_markdown_artifact(markdown=markdown(outcomes), key="summary", description="What the run came to")

    tell(say, create)
    if outputs.read_object(show.VERDICT).get("answer") == "negative":
        tell(say, _negative)


def _negative() -> None:
    """An event that an automation can listen to (docs/operate.md)."""
    from prefect import runtime
    from prefect.events import emit_event

    resource = {"prefect.resource.id": f"prefect.flow-run.{runtime.flow_run.id}", "prefect.resource.name": str(runtime.flow_run.name)}
    emit_event(event=NEGATIVE, resource=resource)


def predictions(rows: list[dict[str, Any]], found: Mapping[str, int], say: dvc.Say) -> None:
    """The first of the predictions, and how many there are of each label."""
    counts = ", ".join(f"{label} {number:,}" for label, number in sorted(found.items()))
    tell(say, lambda: _table("predictions", rows, f"{counts}; the first {len(rows):,} of {sum(found.values()):,}"))


def rename(say: dvc.Say) -> None:
    """Name the flow run after the version of the images and, where it is known, the source: `1a2b3c4d-efficientnet_lite0-amber-fox`."""
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run, (version, source) = context.flow_run, facts()
    given = "-".join(run.name.split("-")[-2:])  # Prefect's own two words, which keep the name unique
    name = "-".join(part for part in (version, source, given) if part)
    if name == run.name:
        return

    def update() -> None:
        with get_client(sync_client=True) as client:
            client.update_flow_run(run.id, name=name)
        run.name = name

    tell(say, update)


def facts() -> tuple[str, str]:
    """The version of the images and the chosen source, in short; empty where they are not known."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        source = str(outputs.read_json(show.RANKING)["chosen"])
        return (images.version() or "")[:8], re.sub(r"[^a-z0-9_]+", "-", Path(source.partition(":")[2]).name.lower())
    return (images.version() or "")[:8], ""


def key(*words: str) -> str:
    """A key as Prefect takes it: lowercase letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def markdown(outcomes: list[dvc.Outcome]) -> str:
    """The summary of the workspace as markdown, and what became of each stage."""
    stages = "\n".join(f"| {o['stage']} | {o['outcome']} | {o['seconds']:.1f} |" for o in outcomes)
    return f"{_result()}\n\n| stage | outcome | seconds |\n|---|---|---|\n{stages}\n"


def _result() -> str:
    if not show.METRICS.exists():
        return "There is no result."
    report = f"The report is [{show.REPORT}]({show.REPORT.resolve().as_uri()}) on the machine that ran it." if show.REPORT.exists() else ""
    return f"{_headline()}\n\n```\n{show.summary()}\n```\n\n{report}"


def _headline() -> str:
    answer = outputs.read_object(show.VERDICT).get("answer")
    return f"**Transfer {naming.ANSWERS[answer]}.**" if answer in naming.ANSWERS else f"**{naming.UNTESTED}**"


def _validation() -> None:
    result = outputs.read_object(show.VALIDATION)
    if result:
        _table("validation", validation_rows(result), "What the checks of the data found: problems, and files that were left out")


def _ranking() -> None:
    result = outputs.read_object(show.RANKING)
    if result:
        _table("ranking", ranking_rows(result), str(result.get("reason", "")))


def _metrics() -> None:
    result = outputs.read_object(show.METRICS)
    if result:
        _table("metrics", metrics_rows(result), f"On {result.get('n_test')} test images; {result.get('shipped')} ships")


TABLES: dict[str, Callable[[], None]] = {"validate_data": _validation, "select_source": _ranking, "evaluate": _metrics}


def validation_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each file of each failed check, for each failed check without files, and for each file that was left out."""
    rows = []
    for severity, name in (("critical", "critical"), ("warning", "warnings")):
        for failure in result.get(name) or []:
            rows += [{"what": severity, "file": file, "why": failure["message"]} for file in failure["files"] or [""]]
    return rows + [{"what": "left out", "file": item["path"], "why": item["reason"]} for item in result.get("quarantined") or []]


def ranking_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each candidate, the best first; those that could not be had say why."""
    columns = ("name", "status", "probe_accuracy", "chance_best", "gflops", "parameters", "input_size", "licence", "reason")
    return [
        {"chosen": "yes" if row.get("name") == result.get("chosen") else "", **{name: row.get(name) for name in columns}}
        for row in result.get("candidates") or []
    ]


def metrics_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for what ships and for each arm beside it."""
    names = ("accuracy", "balanced_accuracy", "macro_f1", "ece")
    arms = {"what ships": result.get("test"), **{naming.short(name): result.get(name) for name in naming.CONTENDERS}}
    return [{"arm": arm, **{name: scores.get(name) for name in names}} for arm, scores in arms.items() if isinstance(scores, dict)]


def _table(name: str, rows: list[dict[str, Any]], description: str) -> None:
    from prefect.artifacts import create_table_artifact

    create_table_artifact(table=rows, key=name, description=description)
