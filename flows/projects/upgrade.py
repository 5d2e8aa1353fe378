"""`headstart upgrade`: fit a project to the installed package, and say which stages run again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.projects import generate, names
from headstart import params
from headstart.base import outputs
from headstart.machinery.errors import HeadstartError
from headstart.params import developing, project_code
from headstart.params.project_code import ProjectCode
from tasks import stage

BESIDE = stage.STATE / "upgrade"  # what the package has of a file that was changed here
LOCK = Path("dvc.lock")
_NOTHING = ProjectCode("an unknown version", {}, {})  # of a code.yaml that is gone or torn


@dataclass(frozen=True)
class Plan:
    """What an upgrade does to the project in the current folder."""

    before: str  # version of headstart that code.yaml names
    write: Mapping[str, str]  # the contents of files that change, by name; code.yaml is the last
    beside: Mapping[str, str]  # those of files that were changed here and stay
    again: Mapping[str, str]  # the stages that run again, each with why
    after: tuple[str, ...]  # stages that follow, if what these leave is not what it was
    gone: tuple[str, ...]  # rooms and stages that a changed dvc.yaml depends on and the package does not have


def upgrade(*, dry: bool = False) -> str:
    """Write what is not up to date, and return what to tell the user; `dry` only tells.

    Call under the run lock.

    Raises HeadstartError in a folder whose stages do not depend on code.yaml: a checkout has nothing to upgrade.
    """
    made = plan()
    if not dry:
        for name, content in [*made.write.items(), *((str(_beside(name)), content) for name, content in made.beside.items())]:
            with outputs.whole(Path(name)) as temporary:
                temporary.write_text(content, encoding="utf-8")
    return "\n".join(_told(made, dry))


def plan() -> Plan:
    """What an upgrade would do to the project in this folder. Raises HeadstartError for a checkout."""
    here = {name: _text(Path(name)) for name in (generate.GRAPH, generate.DEPLOYMENTS)}
    if not project_code.PATH.exists() and not _names(here[generate.GRAPH] or ""):
        raise HeadstartError(f"nothing to upgrade: the stages here do not depend on {project_code.PATH}, but on the code in this folder")
    before = _recorded()
    package = contents(project_name())
    stay = {
        name for name in package if here[name] is not None and _hash(here[name]) not in (before.written.get(name), _hash(package[name]))
    }
    graph = (here if generate.GRAPH in stay else package)[generate.GRAPH] or ""
    written = {name: before.written.get(name, "") if name in stay else _hash(text) for name, text in package.items()}
    after = project_code.installed(_available(_names(graph) | _names(package[generate.GRAPH])), written)
    wanted = {**{name: text for name, text in package.items() if name not in stay}, str(project_code.PATH): project_code.text(after)}
    if (settings := _settings()) is not None:
        wanted = {str(params.PATH): settings, **wanted}
    again = _again(here[generate.GRAPH] or "", graph, before, after)
    return Plan(
        before.version,
        {name: text for name, text in wanted.items() if _text(Path(name)) != text},
        {name: package[name] for name in stay},
        again,
        _downstream(graph, again),
        tuple(sorted(_names(graph) - set(after.fingerprints))),
    )


def _settings() -> str | None:
    """params.yaml with the blocks that it lacks, as they come with the package; None in a develop folder, and if there is no such file."""
    text = None if developing.PATH.exists() else _text(params.PATH)
    if text is None:
        return None
    template = generate.source(str(params.PATH)).read_text(encoding="utf-8")
    blocks = {block.partition(":")[0]: block.strip("\n") for block in template.split("\n\n") if re.match(r"\w+:", block)}
    lacking = [block for name, block in blocks.items() if not re.search(rf"^{name}:", text, re.MULTILINE)]
    return "\n\n".join([text.rstrip("\n"), *lacking]) + "\n" if lacking else text


def contents(project: str) -> dict[str, str]:
    """The files that the package writes into the current folder, by name, but for code.yaml."""
    if developing.PATH.exists():
        return {generate.GRAPH: generate.develop_graph()}
    return {generate.GRAPH: generate.graph(), generate.DEPLOYMENTS: generate.deployments(project)}


def code_of(files: Mapping[str, str]) -> ProjectCode:
    """What code.yaml says beside these files as the package has written them."""
    return project_code.installed(_names(files[generate.GRAPH]), {name: _hash(text) for name, text in files.items()})


def project_name() -> str:
    """The name of the project in the current folder: as prefect.yaml gives it, else that of the folder."""
    from ruamel.yaml import YAML, YAMLError

    try:
        return str(YAML(typ="safe").load(Path(generate.DEPLOYMENTS).read_text(encoding="utf-8"))["name"])
    except (OSError, YAMLError, UnicodeDecodeError, LookupError, TypeError):
        return names.of_path(".")


def _recorded() -> ProjectCode:
    try:
        return project_code.read()
    except HeadstartError:
        return _NOTHING


def _available(wanted: Iterable[str]) -> set[str]:
    """Those of the rooms and stages that the installed package has."""
    return {name for name in wanted if project_code.now(name)}


def _again(old: str, new: str, before: ProjectCode, after: ProjectCode) -> dict[str, str]:
    """The stages of the graph `new` that ran and run again, each with why."""
    known, stages, ran = generate.stages(old), generate.stages(new), generate.stages(_text(LOCK) or "")
    again = {}
    for name in (name for name in stages if name in ran):
        code = generate.code_names(stages[name])
        other = sorted(room for room in code if before.fingerprints.get(room) != after.fingerprints.get(room))
        if other:
            again[name] = f"other code: {', '.join(other)}"
        elif _definition(stages[name]) != _definition(known.get(name, {})):
            again[name] = f"defined otherwise in {generate.GRAPH}"
    return again


def _downstream(graph: str, begin: Iterable[str]) -> tuple[str, ...]:
    """The stages that read what the stages `begin` leave, directly or not, in the order of the graph."""
    stages, found = generate.stages(graph), set(begin)
    for _ in stages:  # each round finds at least the next ones of every path
        made = {path for name in found for path in _outs(stages[name])}
        found |= {name for name, entry in stages.items() if made & set(entry.get("deps") or [])}
    return tuple(name for name in stages if name in found - set(begin))


def _names(graph: str) -> set[str]:
    """The rooms and stages of code.yaml on which the stages of a dvc.yaml depend."""
    return {name for entry in generate.stages(graph).values() for name in generate.code_names(entry)}


def _definition(entry: Mapping[str, Any]) -> tuple[object, ...]:
    """What DVC compares of a stage, besides its code."""
    parameters = [one for one in entry.get("params") or [] if not (isinstance(one, dict) and str(project_code.PATH) in one)]
    return entry.get("cmd"), entry.get("deps"), parameters, _outs(entry)


def _outs(entry: Mapping[str, Any]) -> set[str]:
    """The paths of what a stage leaves."""
    outs = [out for kind in ("outs", "metrics", "plots") for out in entry.get(kind) or []]
    return {path for out in outs for path in ([out] if isinstance(out, str) else out)}


def _told(made: Plan, dry: bool) -> list[str]:
    now = project_code.version()
    if not made.write and not made.beside:
        return [f"up to date: {project_code.PATH} names the code of the installed headstart {now}"]
    lines = [f"{made.before} -> {now}" if made.before != now else f"headstart {now}"]
    if made.again:
        lines += ["these stages run again:", *(f"  {name:<16} {why}" for name, why in made.again.items())]
    else:
        lines.append("no stage that has run runs again")
    if made.after:
        lines.append(f"and these after them, if they leave something else than before: {', '.join(made.after)}")
    for name in made.beside:
        place = f"the one of this version {'would be put' if dry else 'lies'} in {_beside(name)}"
        lines.append(f"{name} was changed here and stays as it is; {place} for comparison")
    if made.gone:
        lines.append(
            f"{generate.GRAPH} depends on {', '.join(made.gone)}, which this version does not have: take that out, and see the new file"
        )
    if made.write:
        lines.append(f"{'would write' if dry else 'wrote'} {', '.join(made.write)}")
    return lines


def _beside(name: str) -> Path:
    """Where the package's version of a changed file is put: not under a name that DVC looks for."""
    return BESIDE / f"new.{name}"


def _text(path: Path) -> str | None:
    """What a file holds, None if there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else None


def _hash(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()
