"""Records of DVC that it was writing when it was killed.

It writes them in place, and does nothing at all while one is half there.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from flows.repository import dvc

LOCK, IMAGES, RECORD = Path("dvc.lock"), Path("data/images"), Path("data/images.dvc")
HASH = 32  # characters, at least


def forget(say: dvc.Say) -> None:
    """Remove a torn dvc.lock, and a torn record of images that are here.

    The results come back from DVC's run cache. Call it under the run lock. What dvc can read stays, and costs no call of it.
    """
    for path, whole in ((LOCK, _lock), (RECORD, _record)):
        if path.exists() and (path == LOCK or IMAGES.is_dir()) and not whole(_read(path)):
            with contextlib.suppress(dvc.DvcError):
                dvc.call("status", "--json")
                continue  # dvc understands it, if we do not
            path.unlink()
            say(f"{path} was half written when an earlier run was killed: it is made anew")


def _read(path: Path) -> Any:
    """The content of a YAML file, None if it is none."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError):
        return None


def _lock(content: Any) -> bool:
    if not isinstance(content, dict) or not str(content.get("schema", "")).startswith("2."):
        return False
    stages = content.get("stages", {})
    return isinstance(stages, dict) and all(_stage(stage) for stage in stages.values())


def _stage(stage: Any) -> bool:
    if not isinstance(stage, dict) or not stage.get("cmd"):
        return False
    params = stage.get("params", {})
    lists = [stage[kind] for kind in ("deps", "outs") if kind in stage]
    return isinstance(params, dict) and all(isinstance(values, dict) for values in params.values()) and all(map(_entries, lists))


def _record(content: Any) -> bool:
    return isinstance(content, dict) and _entries(content.get("outs"))


def _entries(entries: Any) -> bool:
    """Whether all files of a list have a path and a hash."""
    return isinstance(entries, list) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("path"), str)
        and len(str(entry.get("md5", ""))) >= HASH
        and all(isinstance(entry.get(count, 0), int) for count in ("size", "nfiles"))
        for entry in entries
    )
