"""The directory of a source model that is being developed, develop/NAME/.

It is a DVC repository of its own, made as a project is. The main pipeline's DVC ignores it (.dvcignore), so neither makes the other's
`dvc status` dirty. What is developed there and beats the naive
baselines is copied to registry/sources/NAME/, outside both graphs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.projects import generate, names, new, upgrade
from flows.projects.generate import SHARED
from headstart import params
from headstart.base import outputs
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.params import developing, project_code
from headstart.statistics import paired

FOLDER = Path("develop")
REGISTRY = Path("registry/sources")
SOURCE = Path("models/source")
STAGES = (*generate.BORROWED, "train_source", "register_source")
# What `dvc init --no-scm` writes, and what that leaves out: without a version control system of its own, DVC tells git nothing.
_DVC = f"{new.DVC}    no_scm = true\n"
_GIT = "/.headstart/\n/.dvc/cache/\n/.dvc/tmp/\n/data/images/\n/data/*.parquet\n/models/\n"


def name_of(source_data: str, name: str | None = None) -> str:
    """The name of a source model: as given, or from that of its data. Raises ParamsError."""
    return names.check(names.of_path(source_data.partition(":")[2] or source_data) if name is None else name, "a source model")


def source_of(source_data: str) -> str:
    """What `headstart import` takes, as it is known in every folder.

    Raises DataError for a path that is not there.
    """
    from headstart.importing import datasets

    if source_data in datasets.EXAMPLES or source_data.startswith(datasets.TORCHVISION):
        return source_data
    path = Path(source_data).expanduser()
    if not path.exists():
        raise DataError(f"there is no {source_data}; give {datasets.KINDS}")
    return str(path.resolve())


def prepare(name: str) -> Path:
    """The directory of this name, made if it is new; graph and code.yaml always fit the package."""
    folder = FOLDER / name
    if not folder.exists():
        with outputs.folder(folder) as new_folder:
            (new_folder / ".dvc").mkdir()
            (new_folder / ".dvc/config").write_text(_DVC)
            (new_folder / ".gitignore").write_text(_GIT)
            (new_folder / ".dvcignore").write_text("/.headstart/\n")
            (new_folder / params.PATH).write_text(generate.develop_settings(), encoding="utf-8")
            developing.write(developing.TrainSource(), new_folder / developing.PATH)
    files = {generate.GRAPH: generate.develop_graph()}
    files[str(project_code.PATH)] = project_code.text(upgrade.code_of(files))
    outputs.put_back({folder / path: text.encode() for path, text in files.items()})
    return folder


def change(name: str, values: Mapping[str, Any], *, dry: bool = False) -> list[str]:
    """Write values to the source.yaml or the params.yaml of a directory.

    `epochs` belongs into the first, `seed` and `index_images.test_share` into the second. Returns a line for each change. Everything
    is checked before anything is written; raises ParamsError. `dry` only checks, and needs no
    directory.
    """
    mine = {key: value for key, value in values.items() if key.partition(".")[0] not in SHARED}
    if str(mine.get("start", "")).startswith("checkpoint:"):
        mine["start"] = _seen_from(FOLDER / name, mine["start"])
    theirs = {key: value for key, value in values.items() if key not in mine}
    path, shared = FOLDER / name / developing.PATH, FOLDER / name / params.PATH
    before = developing.read(path) if path.exists() else developing.TrainSource()
    after = developing.changed(before, mine, "train_source")
    lines = params.write(theirs, shared if shared.exists() else generate.source(str(params.PATH)), dry=True)
    if dry:
        return lines
    params.write(theirs, shared)
    if after != before:
        developing.write(after, path)
    old, new = before.model_dump(), after.model_dump()
    return [*lines, *(f"{key}: {old[key]} -> {new[key]}" for key in new if old[key] != new[key])]


def _seen_from(folder: Path, candidate: str) -> str:
    """A checkpoint's name as it is in `folder`. Raises ParamsError if there is no such checkpoint."""
    path = Path(candidate.partition(":")[2])
    if not path.exists():
        raise ParamsError(f"--from {candidate}: {path} does not exist")
    return candidate if path.is_absolute() else f"checkpoint:{os.path.relpath(path, folder)}"


def register(name: str, *, force: bool = False) -> dict[str, Any]:
    """Copy the developed source into the registry, whole or not at all; returns its card.

    Raises HeadstartError, and leaves the registry as it was, if it does not beat the naive baselines, unless `force`.
    """
    made = FOLDER / name / SOURCE
    card: dict[str, Any] = outputs.read_json(made / "card.json")
    figures = card["metrics"]
    if not figures["beats"] and not force:
        raise HeadstartError(
            f"not registered: {figures['reason']}. More data, more epochs or another start may help; --force registers it all the same"
        )
    with outputs.folder(REGISTRY / name) as new:
        for file in sorted(made.iterdir()):
            shutil.copy(file, new / file.name)
    return card


def summary(name: str, card: dict[str, Any]) -> str:
    """What was learnt, against which baselines, and how it comes into the ranking, for a terminal."""
    figures, classes = card["metrics"], card["classes"]
    shown = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    start = "random weights" if card["started_from"]["name"] == developing.RANDOM else card["started_from"]["name"]
    rows = [
        ("source", f"{card['architecture']} ({card['library']}) from {start}, {card['transform']['input_size']} pixels"),
        ("learnt", f"{len(classes)} classes ({shown}) from {figures['n_train']:,} training images"),
        ("accuracy", f"{figures['accuracy']:.3f} on {figures['n_test']:,} test images"),
    ]
    for key, row in figures["baselines"].items():
        said = f"{row['accuracy']:.3f} ({key}): {'beaten' if row['beaten'] else 'NOT beaten'}"
        rows.append(("baseline", f"{said}, {paired.points(row['difference'], *row['interval'])}"))
    rows += [
        ("registered", f"{REGISTRY / name}/"),
        ("next", f"add checkpoint:{REGISTRY / name} to select_source.candidates in params.yaml"),
    ]
    return "\n".join(f"{label:<12}{text}" for label, text in rows)
