"""flows.experiments.models: the model of a past run, fetched once and whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.experiments import models, runs
from flows.repository import dvc
from headstart.machinery.errors import HeadstartError


def test_it_is_fetched_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "find", lambda name: runs.Run(name, "2026-01-01T00:00:00", "completed", commit="c0ffee" * 6))
    asked: list[tuple[str, ...]] = []

    def call(*arguments: str, say: dvc.Say | None = None) -> list[str]:
        asked.append(arguments)
        place = Path(arguments[-1])
        place.mkdir(parents=True)
        if len(asked) == 1:
            raise dvc.DvcError("the cache lacks it", [])
        (place / "card.json").write_text("{}")
        return []

    monkeypatch.setattr(dvc, "call", call)
    with pytest.raises(HeadstartError, match="the model of amber-fox cannot be had: the cache lacks it"):
        models.of_run("amber-fox")
    assert not any(models.FOLDER.iterdir()), "nothing half-fetched is left"
    folder = models.of_run("amber-fox")
    assert (folder, (folder / "card.json").is_file()) == (models.FOLDER / "c0ffeec0ffeec0ff", True)
    assert models.of_run("amber-fox") == folder
    assert len(asked) == 2
    assert asked[1][:5] == ("get", ".", "models/final", "--rev", "c0ffee" * 6)
