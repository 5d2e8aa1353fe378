"""What headstart writes into a project and into a develop folder: dvc.yaml, prefect.yaml, params.yaml.

All of it is made from the files of the checkout. The checkout's dvc.yaml is the only graph. There a stage depends on folders of code; in
a project, which has no code, it depends on the
fingerprints of these folders in code.yaml instead. Otherwise both graphs are equal.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import params
from headstart.params import project_code

if TYPE_CHECKING:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

GRAPH, DEPLOYMENTS = "dvc.yaml", "prefect.yaml"
OWN = Path(__file__).parent / "develop.dvc.yaml"  # the stages that develop folders do not share with the pipeline
BORROWED = ("index_images", "validate_data")  # those that they do share
# What the params.yaml of a develop folder holds; the rest is in its source.yaml
SHARED = ("seed", "device", "precision", "executor", *BORROWED)
_CHECKOUT, _SHIPPED = Path(__file__).parents[2], Path(__file__).parent / "shipped"
_GRAPH_HEAD = """\
# The stage graph of this project. Made by headstart; `headstart upgrade` renews it, unless you changed it. `python` is the one of the active
# environment, in which headstart is installed; code.yaml says which code of it the stages depend on.
"""
_DEVELOP_HEAD = """\
# How this source model is developed: `headstart develop` runs it, and so does `dvc repro` here. Made anew by each `headstart develop`.
"""
_SETTINGS_HEAD = """\
# What this pipeline shares with that of the project; how the source model is trained: source.yaml. What is left out has its default.

"""


def source(name: str) -> Path:
    """A file of the top level (`dvc.yaml`, `data/README.md`): the checkout's, or as it was shipped."""
    shipped = _SHIPPED / name
    return shipped if shipped.exists() else _CHECKOUT / name


def graph() -> str:
    """The dvc.yaml of a project."""
    yaml = _yaml()
    content = yaml.load(source(GRAPH).read_text(encoding="utf-8"))
    return _GRAPH_HEAD + _without_head(_dumped(yaml, _by_fingerprints(content)))


def develop_graph() -> str:
    """The dvc.yaml of a develop folder: the stages that it shares with the pipeline, then its own."""
    yaml = _yaml()
    shared, content = yaml.load(source(GRAPH).read_text(encoding="utf-8"))["stages"], yaml.load(OWN.read_text(encoding="utf-8"))
    for place, name in enumerate(BORROWED):
        content["stages"].insert(place, name, shared[name])
    return _DEVELOP_HEAD + _without_head(_dumped(yaml, _by_fingerprints(content)))


def develop_settings() -> str:
    """The params.yaml of a develop folder as it is made."""
    yaml = _yaml()
    content = yaml.load(source(str(params.PATH)).read_text(encoding="utf-8"))
    for name in [name for name in content if name not in SHARED]:
        del content[name]
    return _SETTINGS_HEAD + _without_head(_dumped(yaml, content)).rstrip() + "\n"


def deployments(project: str) -> str:
    """The prefect.yaml of a project: its deployments and its work pool carry its name."""
    text = source(DEPLOYMENTS).read_text(encoding="utf-8").replace("# The deployments: ", f"# The deployments of {project}: ")
    return re.sub(r"^( *(?:- )?name: )headstart(\S*)", rf'\1"{project}\2"', text, flags=re.MULTILINE)


def stages(text: str) -> Mapping[str, Any]:
    """The stages of a dvc.yaml, or of a dvc.lock, by name; none if it cannot be read."""
    from ruamel.yaml import YAML, YAMLError

    try:
        return (YAML(typ="safe").load(text) or {}).get("stages") or {}
    except (YAMLError, AttributeError):
        return {}


def code_names(stage: Mapping[str, Any]) -> set[str]:
    """The rooms and stages of code.yaml on which a stage of a project depends."""
    files = (entry for entry in stage.get("params") or [] if isinstance(entry, dict))
    return {name for entry in files for name in entry.get(str(project_code.PATH)) or []}


def code_of(path: str) -> str | None:
    """The dotted name of a dependency that is code, such as tasks/report.py; None for any other."""
    is_code = path.startswith(("headstart/", "tasks/"))
    return path.removesuffix(".py").replace("/", ".") if is_code else None


def _by_fingerprints(content: CommentedMap) -> CommentedMap:
    """A graph whose stages depend on fingerprints in code.yaml instead of on files of code."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    for stage in content["stages"].values():
        names = CommentedSeq(list(_take_code(stage["deps"])))
        names.fa.set_flow_style()
        stage["params"] = CommentedSeq([*stage["params"], CommentedMap({str(project_code.PATH): names})])
    return content


def _take_code(deps: CommentedSeq) -> Iterator[str]:
    """Remove from a stage's dependencies those that are code; yields their names."""
    for path in list(deps):
        if name := code_of(path):
            deps.remove(path)
            yield name


def _yaml() -> YAML:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dumped(yaml: YAML, content: CommentedMap) -> str:
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    return buffer.getvalue()


def _without_head(text: str) -> str:
    """A YAML file without the comment that it begins with."""
    return re.sub(r"\A(#.*\n|\n)+", "", text)
