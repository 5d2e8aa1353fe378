"""headstart.exporting.web_folder: a page that holds the model whole, asks nobody for anything, and is made from the very runtime that was tried."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from flows.results import export, runtime
from headstart.evaluation import occlusion
from headstart.exporting import page, web_folder
from headstart.exporting.beside import predict as beside
from headstart.features import predict
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import cards
from headstart.report import darkened
from tests import toy
from tests.exporting.test_onnx_folder import CLASSES, made

PARTS = {"script": b"export const env = {};", "wasm": b"\0asm"}


def stand_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the files of the runtime, and nothing in them that runs; it counts as the one that was tried."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in PARTS.items():
            member = tarfile.TarInfo(web_folder.PARTS[name])
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    monkeypatch.setattr(web_folder, "INTEGRITY", f"sha512-{digest}")
    return path


def held(text: str) -> dict[str, bytes]:
    """What an object of a script holds, unpacked."""
    found = re.search(r"^var \w+ = (\{.*\});$", text, re.MULTILINE)
    assert found
    return {name: gzip.decompress(base64.b64decode(content)) for name, content in json.loads(found.group(1)).items()}


def test_the_folder_holds_model_runtime_and_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    final = made(tmp_path, point={"factors": [1.0, 1.5, 1.0]})
    given = stand_in(tmp_path / "runtime.tgz", monkeypatch)
    done, lines = export.write("web", final, Path("out"), runtime=given)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "README.md",
        "export.json",
        "index.html",
        "model.js",
        "runtime.js",
        "web.js",
    ]
    assert held(Path("out/runtime.js").read_text()) == PARTS
    assert "MIT License" in Path("out/runtime.js").read_text().splitlines()[0]
    text = Path("out/model.js").read_text()
    toy.photo(1, 1, size=(90, 70)).save("a.png")
    session = onnxruntime.InferenceSession(held(text)["onnx"])
    probabilities = session.run(None, {"picture": beside.pixels(Path("a.png"), 74)})[0]
    expected = dict(next(predict.predict([Path("a.png")], final)).ranked)
    np.testing.assert_allclose(probabilities, [expected[name] for name in CLASSES], atol=1e-4)
    facts = json.loads(text.split("MODEL.facts = ")[1].rstrip(";\n"))
    card = cards.read_model(final)[1]
    assert (facts["classes"], facts["factors"], facts["unsure"], facts["crop"]) == (
        list(CLASSES),
        [1.0, 1.5, 1.0],
        None,
        card.transform.crop,
    )
    assert (done["validation"], "random pictures" in lines[1]) == (None, True)
    first = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    export.write("web", final, Path("out"), runtime=given)
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == first, "an export is replaced, by the same bytes"


def test_the_page_asks_nobody_for_anything() -> None:
    text = page.html(web_folder.HEAD)
    script = (page.HERE / "web.js").read_text()
    assert "connect-src 'none'" in text
    assert re.findall(r'src="([^"]*)"', text) == ["runtime.js", "model.js", "web.js"]
    for one in (text, script):
        assert not re.search(r"https?://|fetch\(|XMLHttpRequest|sendBeacon|WebSocket", one)


def test_the_page_covers_parts_as_the_report_does() -> None:
    script = (page.HERE / "web.js").read_text()
    assert f"CELLS = {occlusion.CELLS}, COVER = {occlusion.COVER}, DIM = {darkened.DIM};" in script


def test_a_class_that_looks_like_markup_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    final = made(tmp_path)
    card = json.loads((final / cards.CARD).read_text())
    (final / cards.CARD).write_text(json.dumps({**card, "classes": ["</script><script>", "b", "c"]}))
    export.write("web", final, Path("out"), runtime=stand_in(tmp_path / "runtime.tgz", monkeypatch))
    assert "</script>" not in Path("out/model.js").read_text()


def test_another_runtime_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    final = made(tmp_path)
    given = stand_in(tmp_path / "runtime.tgz", monkeypatch)
    given.write_bytes(given.read_bytes() + b"\0")
    with pytest.raises(HeadstartError, match=re.escape(f"npm pack onnxruntime-web@{web_folder.VERSION}")):
        export.write("web", final, Path("out"), runtime=given)
    with pytest.raises(HeadstartError, match="cannot be read"):
        export.write("web", final, Path("out"), runtime=tmp_path / "none.tgz")
    assert not Path("out").exists()
    with pytest.raises(ParamsError, match="--runtime is for"):
        export.write("onnx", final, Path("out"), runtime=given)


def test_npm_is_asked_once_and_what_it_gives_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given, asked = stand_in(tmp_path / "runtime.tgz", monkeypatch), 0

    def npm(command: list[str], *, cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        nonlocal asked
        asked += 1
        assert command[1:] == ["pack", "--silent", f"onnxruntime-web@{web_folder.VERSION}"]
        shutil.copy(given, cwd / f"onnxruntime-web-{web_folder.VERSION}.tgz")
        return subprocess.CompletedProcess(command, 0 if asked < 3 else 1, "", "npm error code ENOTFOUND\nnpm error network")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", npm)
    kept = runtime.package(None)
    assert kept == runtime.package(None)
    assert asked == 1
    kept.write_bytes(b"half of it")
    assert runtime.package(None).read_bytes() == given.read_bytes()
    kept.unlink()
    with pytest.raises(
        HeadstartError, match=r"needs onnxruntime-web .* once, and npm could not fetch it \(code ENOTFOUND\); where there is npm"
    ):
        runtime.package(None)
    assert list(runtime.FOLDER.iterdir()) == []
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(HeadstartError, match="is not installed"):
        runtime.package(None)
