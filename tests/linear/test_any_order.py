"""The head of images that came in batches: the same bytes in whatever order they came, and only new images are looked at."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pandas as pd
import pytest

from headstart.features import extraction
from headstart.importing import datasets, joining
from headstart.importing.joining import Indexing
from headstart.importing.options import Options
from headstart.indexing.arrivals import Cut
from headstart.linear import frozen_head
from headstart.networks import heads
from tests import tiny, toy

HOW = Indexing(Cut(0.2, 0.2, 4, 20, 0), 100_000_000)


def head_of(table: pd.DataFrame, out: Path) -> bytes:
    card = tiny.source("seeing", tiny.trunk()).card()
    made, _ = frozen_head.train(table, Path("images"), card, penalties=[1.0, 0.1], folds=3, balanced=False, seed=0, curve=True)
    heads.save(out, made)
    return out.read_bytes()


def test_the_head_is_one_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.use(monkeypatch, {"seeing": lambda: tiny.source("seeing", tiny.trunk())})
    toy.images(tmp_path / "a", ("ant", "bee"), per_class=9, seed=1)
    toy.images(tmp_path / "b", ("ant", "cat"), per_class=7, seed=2)
    toy.images(tmp_path / "c", ("bee", "dog"), per_class=8, seed=3)
    computed: list[int] = []
    run = extraction.compute

    def counting(frozen: extraction.Frozen, jobs: list[extraction.Job], *rest: object) -> object:
        computed.append(len(jobs))
        return run(frozen, jobs, *rest)

    monkeypatch.setattr(extraction, "compute", counting)
    found = []
    for number, order in enumerate(("abc", "bca", "cab")):
        here = tmp_path / str(number)
        here.mkdir()
        with contextlib.chdir(here):
            computed.clear()
            for name in order:
                options = Options()
                if Path("images").exists():
                    joining.add(str(tmp_path / name), Path("next"), Path("images"), Path("none"), HOW, batch=name, options=options)
                    shutil.rmtree("images")
                    Path("next").rename("images")
                else:
                    datasets.import_dataset(str(tmp_path / name), Path("images"), how=options, current=Path("none"))
                    joining.name_all(Path("images"), name, HOW)
                last = head_of(HOW.index(Path("images")), Path("head"))
            assert sum(computed) == len(HOW.index(Path("images")).query("split != 'test'")), "each image once, whatever came before"
            found.append(last)
            shutil.rmtree(".headstart")
            assert head_of(HOW.index(Path("images")), Path("at once")) == last, "and as in one run on all"
    assert found[0] == found[1] == found[2]
