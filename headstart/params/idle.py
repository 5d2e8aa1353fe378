"""What a stage leaves that has nothing to do in the setting that the images are of: each of its outputs, empty, with the reason in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart.base import outputs

GRAPH = Path("dvc.yaml")
KEY = "nothing"  # of a JSON output: why there is nothing else in it


def leave(stage: str, reason: str, graph: Path = GRAPH) -> None:
    """Write every output that the graph names for the stage. Raises KeyError for a stage that the graph does not have."""
    from ruamel.yaml import YAML

    entry = YAML(typ="safe").load(graph.read_text(encoding="utf-8"))["stages"][stage]
    for kind in ("outs", "metrics", "plots"):
        for out in entry.get(kind) or []:
            for path, how in out.items() if isinstance(out, dict) else [(out, None)]:
                _empty(Path(path), how or {}, reason)


def _empty(path: Path, how: dict[str, Any], reason: str) -> None:
    if path.suffix == ".json":
        outputs.write_json(path, {KEY: reason})
    elif path.suffix == ".csv":  # with the columns that a plot draws
        with outputs.whole(path) as temporary:
            temporary.write_text(",".join(how[axis] for axis in ("x", "y") if axis in how) + "\n", encoding="utf-8")
    elif path.suffix == ".parquet":
        import pandas as pd

        with outputs.whole(path) as temporary:
            pd.DataFrame({"path": pd.Series([], dtype="str")}).to_parquet(temporary, index=False)
    else:  # a folder; DVC warns of an empty one
        with outputs.folder(path) as temporary:
            (temporary / "README.txt").write_text(f"Nothing: {reason}.\n", encoding="utf-8")
