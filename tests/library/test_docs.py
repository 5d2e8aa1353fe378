"""docs/library.md: its examples run; and importing the library imports nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import headstart
from tests import ROOT, toy


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    toy.images(Path("photos"), ("blue", "red"), per_class=12)
    for file in Path("photos").glob("*/*.png"):
        file.rename(file.with_name(f"{int(file.stem)}.png"))
    headstart.fit_head(headstart.index("photos"), "wheel:efficientnet_lite0", penalties=[1.0], folds=2).model().save("models/final")
    names: dict[str, Any] = {}
    examples = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/library.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 4
    for example in examples:
        exec(compile(example, "docs/library.md", "exec"), names)
    assert Path("my-model/card.json").is_file()
    assert names["classifier"].score(names["files"], names["labels"]) > 0.9


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import headstart; print(sorted(name for name in sys.modules if name.startswith(('numpy', 'torch', 'pandas', 'headstart.'))))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_name_is_there() -> None:
    assert set(headstart.__all__) <= set(dir(headstart))
    for name in headstart.__all__:
        assert getattr(headstart, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        headstart.lode  # noqa: B018
