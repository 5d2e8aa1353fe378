"""What a change of code recomputes: a comment in any room nothing; other code what it makes, and no more."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from torch import nn

import headstart
from headstart.base import code
from headstart.features import engines, extraction
from headstart.features.extraction import Frozen
from headstart.features.transforms import View
from headstart.training import checkpoints
from tests import tiny


def forget() -> None:
    """Have fingerprints taken anew, as another process would take them."""
    code.fingerprint.cache_clear()
    code.digest.cache_clear()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, whose fingerprints are taken from now on."""
    folder = tmp_path / "other/headstart"
    shutil.copytree(Path(headstart.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    spec = importlib.util.spec_from_file_location("headstart", folder / "__init__.py", submodule_search_locations=[str(folder)])
    monkeypatch.setattr(headstart, "__spec__", spec)
    monkeypatch.chdir(tmp_path)
    forget()
    yield folder
    forget()


def unmade() -> nn.Module:
    pytest.fail("the network was made again")


def made(folder: Path) -> dict[str, str]:
    """The names of what the code makes: an exported network, a store of features, a checkpoint."""
    forget()
    frozen = Frozen("a", 32, engines.Engine("none", 1, lambda images: images), (32, 32, 3))
    store = extraction.store(frozen, View(32, "bilinear"), "uint8", folder)
    return {"network": engines.code(), "features": store.stem, "checkpoint": checkpoints.key({})}


def test_a_comment_in_any_room_recomputes_nothing(copied: Path) -> None:
    table = tiny.table(Path("images"), per_class=2)
    view = View(32, "bilinear")

    def features(frozen: Frozen, table: pd.DataFrame) -> bytes:
        return extraction.extract(frozen, table, Path("images"), view, what="images")[:].tobytes()

    before, rows = made(Path("stores")), features(Frozen.of(tiny.conv, "a", 32), table)
    files = [path for path in copied.rglob("*.py") if path.parent != copied]
    assert len({path.parent for path in files}) > 15
    for path in files:
        text = path.read_text()
        assert text.startswith('"""')
        path.write_text('# A comment.\n"""Another docstring. ' + text[3:] + "\n\n\n# Another comment.\n")
    assert made(Path("stores")) == before
    shutil.rmtree("images")
    assert features(Frozen.of(unmade, "a", 32), table) == rows


def test_other_code_makes_anew_what_it_decides(copied: Path) -> None:
    decides = {
        "features/transforms.py": {"features", "checkpoint"},
        "base/grey.py": {"features", "checkpoint"},
        "data/images.py": {"features", "checkpoint"},
        "data/portable.py": {"features", "checkpoint"},
        "features/engines.py": {"network", "features", "checkpoint"},
        "networks/cut.py": {"network", "features", "checkpoint"},
        "networks/model.py": {"network", "features", "checkpoint"},
        "training/loop.py": {"checkpoint"},
    }
    for room in {path.name for path in copied.iterdir() if path.is_dir()} - {file.split("/")[0] for file in decides}:
        shutil.rmtree(copied / room)  # which makes the fingerprints cheaper
    before = made(Path("stores"))
    for file, anew in decides.items():
        content = (copied / file).read_bytes()
        (copied / file).write_bytes(content + b"\nOTHER = 1\n")
        after = made(Path("stores"))
        assert {name for name in before if before[name] != after[name]} == anew, file
        (copied / file).write_bytes(content)
    assert made(Path("stores")) == before


def test_where_the_code_lies_does_not_count(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = made(Path("stores"))
    monkeypatch.undo()
    assert made(copied.parent / "stores") == there
