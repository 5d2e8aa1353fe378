"""The work on images over several machines: the same bytes as on one, also if a machine dies in the middle. Slow: Ray starts two nodes."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.base import executor
from headstart.features import engines, extraction, parts, pixels, transforms
from headstart.features.extraction import Frozen
from headstart.features.transforms import View
from headstart.indexing import indexer
from headstart.machinery.errors import DataError, HeadstartError
from headstart.params import Augmentation
from tests import tiny, toy
from tests.two_machines import Machines

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]  # the warnings are Ray's own
PLAIN = View(32, "bilinear")
HOW = Augmentation(min_crop_share=0.6, rotation=10.0, colour=0.2, horizontal_flip=False, vertical_flip=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photos(here: Path) -> pd.DataFrame:
    return tiny.table(Path("images"), per_class=14)


def noted(number: int) -> int:
    """The square of a number, after a while; notes who began it, in the folder of whoever asked."""
    import ray

    Path(f"{number}.{ray.get_runtime_context().get_node_id()}").touch()
    time.sleep(0.2)
    return number * number


def refused(number: int) -> int:
    if number == 3:
        raise DataError("3 is no image")
    return number


def ended(number: int) -> int:
    os._exit(1)


def extracted(frozen: Frozen, table: pd.DataFrame, folder: str, views: list[View]) -> list[np.ndarray]:
    kept = extraction.extract_views(frozen, table, Path("images"), views, folder=Path(folder), what="images")
    return [rows[:] for rows in kept]


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.suffix == parts.SUFFIX}


def test_a_frozen_pass_has_the_same_bytes_whoever_dies(machines: Machines, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "SHARD", 4)
    frozen, views = Frozen.of(tiny.conv, "a", 32), [PLAIN, *transforms.views(PLAIN, 0, HOW, 1)]
    expected = extracted(frozen, photos, "local", views)
    machines.revive()
    done = executor._result
    counted = []

    def killing(ray: Any, reference: Any, *_: Any) -> Any:
        result = done(ray, reference)
        counted.append(result)
        if len(counted) == 2:
            machines.kill()
        return result

    with executor.using("ray"), monkeypatch.context() as patch:
        patch.setattr(executor, "_result", killing)
        found = extracted(frozen, photos, "killed", views)
    assert [rows.tobytes() for rows in found] == [rows.tobytes() for rows in expected]
    assert len(counted) == 11, "42 images in shards of 4"
    assert sorted(path.suffix for path in Path("killed").iterdir()) == [".json"] * 2 + [parts.SUFFIX] * 22
    with executor.using("ray"):
        alone = extracted(frozen, photos, "alone", views)
    assert files("alone") == files("killed"), "the same files from one machine"
    assert [rows.tobytes() for rows in alone] == [rows.tobytes() for rows in expected]


def test_a_pass_that_was_stopped_goes_on_with_the_shards_that_are_missing(
    machines: Machines, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "SHARD", 4)
    frozen = Frozen.of(tiny.conv, "a", 32)
    with executor.using("ray"):
        extracted(frozen, photos, "whole", [PLAIN])
        extracted(frozen, photos, "half", [PLAIN])
        for number, path in enumerate(sorted(Path("half").glob("*.part"))):
            if number % 2:
                path.unlink()
            else:
                os.utime(path, (0, 0))
        Path("half", f".{next(iter(files('whole')))}.0123").write_bytes(b"begun by a machine that died")
        found = extracted(frozen, photos, "half", [PLAIN])
    assert files("half") == files("whole")
    assert sum(path.stat().st_mtime == 0 for path in Path("half").glob("*.part")) == 6, "what was there is not made again"
    assert not list(Path("half").glob(".*"))
    assert found[0].tobytes() == extracted(frozen, photos, "local", [PLAIN])[0].tobytes()
    grown = extracted(frozen, pd.concat([photos[:3], photos]), "half", [PLAIN])
    assert np.array_equal(grown[0][3:], found[0])


def test_networks_that_cannot_be_exported_travel_too(machines: Machines, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_export", lambda *_: 1 / 0)
    frozen = Frozen.of(tiny.conv, "b", 32)
    assert frozen.engine.name == "torch"
    with executor.using("ray"):
        for one, what in ((frozen, "network"), (pixels.decoder(32), "pixels")):
            found = extracted(one, photos, f"ray {what}", [PLAIN])
            with executor.using("local"):
                assert found[0].tobytes() == extracted(one, photos, f"local {what}", [PLAIN])[0].tobytes()


def test_a_file_that_changed_stops_the_pass(machines: Machines, photos: pd.DataFrame) -> None:
    Path("images", photos["path"][7]).write_bytes(b"no picture")
    with executor.using("ray"), pytest.raises(DataError, match="is not the file that was indexed"):
        extracted(Frozen.of(tiny.conv, "a", 32), photos, "ray", [PLAIN])
    assert not list(Path("ray").glob("*.part*"))


def test_predictions_are_the_same(machines: Machines, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.results import predict as written
    from headstart.features import predict

    monkeypatch.setattr(predict, "_SPREAD", 5)
    tiny.finished(Path("models/final"))
    toy.images(Path("new"), per_class=4)
    Path("new/ant/broken.png").write_bytes(b"no picture")
    expected = list(predict.predict([Path("new")]))
    Path("params.yaml").write_text("executor: ray\n")
    lines = list(written.answers([Path("new")], Path("models/final"), lambda: lambda answer: None))
    assert lines == expected
    assert len(lines) == 13


def test_the_index_is_the_same(machines: Machines, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "_SPREAD", 5)
    Path("images/ant/broken.png").write_bytes(b"no picture")
    with executor.using("ray"):
        found = indexer.index(Path("images"), **toy.INDEX)
    pd.testing.assert_frame_equal(found, indexer.index(Path("images"), **toy.INDEX))
    assert not found["readable"].all()


def test_a_machine_that_dies_costs_what_it_was_doing(machines: Machines, here: Path) -> None:
    machines.revive()
    found = []
    with executor.using("ray"):
        for number, value in enumerate(executor.in_order(noted, iter(range(24)))):
            found.append(value)
            if number == 0:
                wait_for_both(here)
                machines.kill()
    assert found == [n * n for n in range(24)]
    begun = sorted(path.name for path in here.iterdir())
    again = [name for name in begun if sum(other.split(".")[0] == name.split(".")[0] for other in begun) > 1]
    assert len({name.split(".")[1] for name in begun}) == 2
    assert 1 <= len(again) // 2 <= 2, "what the dead machine was doing is done again, and nothing else"


def wait_for_both(folder: Path) -> None:
    """Until both machines have begun something."""
    until = time.monotonic() + 60
    while len({path.name.split(".")[1] for path in folder.iterdir()}) < 2:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_a_piece_of_work_raises_comes_back_as_it_is(machines: Machines, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with executor.using("ray"):
        results = executor.in_order(refused, range(6), depends=["headstart.base.grey"])
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(DataError, match="3 is no image"):
            next(results)
        monkeypatch.setattr(executor, "RETRIES", 1)
        with pytest.raises(HeadstartError, match="failed 1 times at a piece of work"):
            list(executor.in_order(ended, range(1)))
        assert list(executor.in_order(partial(pow, 2), range(5))) == [1, 2, 4, 8, 16]


def test_an_address_without_a_cluster_is_named(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv(executor.ADDRESS, "no/address")
    with executor.using("ray"), pytest.raises(HeadstartError, match=r"no Ray cluster answers at no/address \(RAY_ADDRESS\)"):
        list(executor.in_order(abs, range(3)))
