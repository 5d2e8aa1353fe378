"""What a person sees of a run in the Prefect UI beside its log.

Progress, tables, a summary, and a name that says what ran. All of it is told to the server and to nobody else, and nothing depends on
it: if the server does not answer, the log says so once and the run goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict
from uuid import UUID

from flows.pages import reports
from flows.projects import images
from flows.repository import dvc
from flows.results import files, in_batches, in_groups, show
from flows.server import servers
from headstart.machinery import progress
from headstart.machinery.progress import Event
from headstart.words import naming
from tasks import stage as stages

NEGATIVE = "headstart.negative-transfer"  # the event of a run whose verdict is that transfer hurt
DRIFT = "headstart.drift"  # the event of a run whose newest batch of images is of another kind than those before
EVENTS = stages.STATE / "progress.jsonl"  # where a stage of a flow appends how far it is
_silent: set[str] = set()  # flow runs whose log has been told that the server does not answer


class CheckRow(TypedDict):
    """A row of the table of what the checks of the data found."""

    what: str
    file: str
    why: str


class SourceRow(TypedDict):
    """A row of the table of sources."""

    chosen: str
    name: str | None
    status: str | None
    probe_accuracy: float | None
    chance_best: float | None
    gflops: float | None
    parameters: int | None
    input_size: int | None
    licence: str | None
    reason: str | None


class ArmRow(TypedDict):
    """A row of the table of how good the models are."""

    arm: str
    accuracy: float | None
    balanced_accuracy: float | None
    macro_f1: float | None
    ece: float | None


def tell(say: dvc.Say, what: Callable[[], None]) -> None:
    """Tell the server something.

    If it does not answer or refuses, the log says so, once per run, and nothing else happens.
    """
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
    """A `say` for the lines of a stage that also keeps its progress artifacts.

    The stage appends an event to EVENTS before it prints how far it is, so each line is a reason to look for new events.
    """
    EVENTS.unlink(missing_ok=True)
    made: dict[str, UUID] = {}
    end = 0  # of what has been read

    def said(line: str) -> None:
        nonlocal end
        say(line)
        events, end = progress.read(EVENTS, end)
        for event in events:
            tell(say, partial(_progress, stage, event, made))

    return said


def _progress(stage: str, event: Event, made: dict[str, UUID]) -> None:
    from prefect.artifacts import create_progress_artifact, update_progress_artifact

    share, text = round(100 * event.done / max(event.total, 1), 1), str(event)
    if event.what in made:
        update_progress_artifact(made[event.what], progress=share, description=text)
    else:
        made[event.what] = create_progress_artifact(progress=share, key=key(stage, event.what), description=text)  # type: ignore[assignment]


def of_stage(stage: str, say: dvc.Say) -> None:
    """The tables of a stage that has ended, whether well or not."""
    if stage in TABLES:
        tell(say, TABLES[stage])


def summary(outcomes: list[dvc.Outcome], say: dvc.Say) -> None:
    """Tell of a run that has ended well: the verdict, what ships, how good it is, where the report is."""
    from prefect import runtime
    from prefect.artifacts import create_markdown_artifact

    def create() -> None:
        name = str(runtime.flow_run.name or "")
        reports.keep(name)
        create_markdown_artifact(markdown=markdown(outcomes, name), key="summary", description="What the run came to")

    tell(say, create)
    if files.verdict().get("answer") == "negative":
        tell(say, partial(_emit, NEGATIVE, {}, {}))
    found = in_batches.batches().get("drift")
    fresh = any(outcome["stage"] == "compare_batches" and outcome["outcome"] != "cached" for outcome in outcomes)
    if fresh and found and found["found"]:
        named = {"headstart.batch": found["batch"], "headstart.found": ",".join(found["found"])}
        tell(say, partial(_emit, DRIFT, named, found))  # once, as long as nothing changes


def _emit(event: str, named: Mapping[str, str], payload: Mapping[str, object]) -> None:
    """An event that an automation can listen to (docs/operate.md)."""
    from prefect import runtime
    from prefect.events import emit_event

    run = {"prefect.resource.id": f"prefect.flow-run.{runtime.flow_run.id}", "prefect.resource.name": str(runtime.flow_run.name)}
    emit_event(event=event, resource={**run, **named}, payload={**payload})


def predictions(rows: Sequence[Mapping[str, object]], found: Mapping[str, int], say: dvc.Say) -> None:
    """The first of the predictions, and how many there are of each label."""
    counts = ", ".join(f"{label} {number:,}" for label, number in sorted(found.items()))
    tell(say, lambda: _table("predictions", rows, f"{counts}; the first {len(rows):,} of {sum(found.values()):,}"))


def rename(say: dvc.Say) -> None:
    """Name the flow run after the version of the images and, if it is known, the source.

    For example 1a2b3c4d-efficientnet_lite0-amber-fox.
    """
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
    """The version of the images and the chosen source, in short; "" for what is not known."""
    source = str(files.ranking().get("chosen", "")).partition(":")[2]
    return (images.version() or "")[:8], re.sub(r"[^a-z0-9_]+", "-", Path(source).name.lower())


def key(*words: str) -> str:
    """A key as Prefect takes it: lowercase letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def markdown(outcomes: list[dvc.Outcome], run: str) -> str:
    """The summary of the workspace as markdown, and what became of each stage; `run` is the name that its report is kept under."""
    rows = "\n".join(f"| {o['stage']} | {o['outcome']} | {o['seconds']:.1f} |" for o in outcomes)
    return f"{_result(run)}\n\n| stage | outcome | seconds |\n|---|---|---|\n{rows}\n"


def _result(run: str) -> str:
    if not files.METRICS.exists():
        return "There is no result."
    report = _report(run) if files.REPORT.exists() else ""
    return f"{_headline()}\n\n```\n{show.summary()}\n```\n\n{report}"


def _report(run: str) -> str:
    """Where the report is; a link if it is served, as a browser opens no link from here to a file."""
    if served := servers.reports():
        return f"[The report]({served}{reports.place(run)}), on the machine that ran it while `headstart up` is up there."
    return f"The report is `{files.REPORT.resolve()}` on the machine that ran it; `headstart report` opens it."


def _headline() -> str:
    """How good the model is and whether transfer helped, in two sentences; raises nothing if a file is of another version."""
    if made := in_groups.groups():
        return f"**{in_groups.headline(made)}.**"
    result, verdict = files.metrics(), files.verdict()
    transfer = naming.answered(files.answer(verdict), files.looked_at(verdict))
    known = {"n_test"} <= result.keys() and "accuracy" in result.get("test", {})
    return f"**{show.headline(result)}.** {transfer}" if known else transfer


def _validation() -> None:
    if result := files.validation():
        _table("validation", validation_rows(result), "What the checks of the data found: problems, and files that were left out")


def _ranking() -> None:
    if (result := files.ranking()) and "candidates" in result:
        _table("ranking", ranking_rows(result), str(result.get("reason", "")))


def _metrics() -> None:
    if (result := files.metrics()) and "test" in result:
        _table("metrics", metrics_rows(result), f"On {result.get('n_test')} test images; {result.get('shipped')} ships")


TABLES: dict[str, Callable[[], None]] = {"validate_data": _validation, "select_source": _ranking, "evaluate": _metrics}


def validation_rows(result: files.Validation) -> list[CheckRow]:
    """A row for each file of each failed check, and for each file that was left out.

    A failed check that names no file has one row.
    """
    rows: list[CheckRow] = []
    for severity, failed in (("critical", result.get("critical")), ("warning", result.get("warnings"))):
        for finding in failed or []:
            rows += [{"what": severity, "file": file, "why": finding["message"]} for file in finding["files"] or [""]]
    rows += [{"what": "left out", "file": item["path"], "why": item["reason"]} for item in result.get("quarantined") or []]
    return rows


def ranking_rows(result: files.Ranking) -> list[SourceRow]:
    """A row for each candidate, the best first; those that could not be had say why."""
    return [
        {
            "chosen": "yes" if row.get("name") == result.get("chosen") else "",
            "name": row.get("name"),
            "status": row.get("status"),
            "probe_accuracy": row.get("probe_accuracy"),
            "chance_best": row.get("chance_best"),
            "gflops": row.get("gflops"),
            "parameters": row.get("parameters"),
            "input_size": row.get("input_size"),
            "licence": row.get("licence"),
            "reason": row.get("reason"),
        }
        for row in result.get("candidates") or []
    ]


def metrics_rows(result: files.Metrics) -> list[ArmRow]:
    """A row for what ships and for each arm beside it."""
    arms = {"what ships": result.get("test"), **{naming.short(name): files.scores_of(result, name) for name in naming.CONTENDERS}}
    return [
        {
            "arm": arm,
            "accuracy": scores.get("accuracy"),
            "balanced_accuracy": scores.get("balanced_accuracy"),
            "macro_f1": scores.get("macro_f1"),
            "ece": scores.get("ece"),
        }
        for arm, scores in arms.items()
        if scores is not None
    ]


def rounded(value: object) -> object:
    """A number as people read it in a table: four digits of a fraction, an integer as it is."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _table(name: str, rows: Sequence[Mapping[str, object]], description: str) -> None:
    from prefect.artifacts import create_table_artifact

    table = [{column: rounded(value) for column, value in row.items()} for row in rows]
    create_table_artifact(table=table, key=name, description=description)
