"""An export as a page: a static folder whose model runs in the browser, from any web server or from the disk, on a phone too.

The runtime is onnxruntime-web, taken from its npm package when the folder is made: the page asks nobody for anything. Model and runtime are scripts that hold them compressed, as
a page that is opened from a disk may read nothing else.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import tarfile
from pathlib import Path

from headstart.base import outputs
from headstart.exporting import beside, onnx_file, onnx_folder, page, told
from headstart.exporting.told import Photos, Told
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.networks.cards import ModelCard

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = (
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # of its .tgz, as npm tells it
)
PARTS = {"script": "package/dist/ort.wasm.bundle.min.mjs", "wasm": "package/dist/ort-wasm-simd-threaded.wasm"}
LICENCE = "MIT License, Copyright (c) Microsoft Corporation. All rights reserved."
POLICY = (  # nothing is asked of the network, whatever the scripts do
    "default-src 'none'; script-src 'self' file: blob: 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src 'none'; base-uri 'none'; form-action 'none'"
)
HEAD = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n' + "\n".join(
    f'<script src="{name}"></script>' for name in ("runtime.js", "model.js", "web.js")
)


def write(folder: Path, out: Path, known: Photos | None, *, runtime: Path) -> Told:
    """Export the model in `folder` to the folder `out`, whole or not at all; `runtime` is the .tgz of onnxruntime-web.

    Raises HeadstartError if there is no model, if it cannot be exported or gives other answers than PyTorch, and if `runtime` is another file.
    """
    arrays, card = cards.read_model(folder)
    parts = read(runtime)
    with outputs.folder(out) as new:
        model = new / onnx_folder.MODEL
        onnx_folder.export(arrays, card, cards.read_known(folder, card), model)
        done = onnx_folder.checked(model, folder, card, known)
        (new / "runtime.js").write_text(f"// {PACKAGE} {VERSION}. {LICENCE}\nvar RUNTIME = {packed(parts)};\n", encoding="utf-8")
        held = packed({"onnx": model.read_bytes()})
        (new / "model.js").write_text(f"var MODEL = {held};\nMODEL.facts = {_facts(card)};\n", encoding="utf-8")
        model.unlink()
        (new / "web.js").write_bytes((Path(beside.__file__).with_name("web.js")).read_bytes())
        (new / "index.html").write_text(page.html(HEAD), encoding="utf-8")
        (new / "README.md").write_text(_readme(card, done), encoding="utf-8")
        outputs.write_json(new / told.TOLD, done)
    return done


def read(runtime: Path) -> dict[str, bytes]:
    """The parts of the runtime that the page needs, from the .tgz of its npm package. Raises HeadstartError if it is another file."""
    try:
        digest = hashlib.sha512(runtime.read_bytes()).digest()
    except OSError as error:
        raise HeadstartError(f"{runtime} cannot be read: {error.strerror}") from None
    if f"sha512-{base64.b64encode(digest).decode()}" != INTEGRITY:
        raise HeadstartError(f"{runtime} is not the package {PACKAGE} {VERSION}; `npm pack {PACKAGE}@{VERSION}` fetches it")
    with tarfile.open(runtime) as archive:
        files = {name: archive.extractfile(member) for name, member in PARTS.items()}
        return {name: file.read() for name, file in files.items() if file is not None}


def packed(parts: dict[str, bytes]) -> str:
    """An object of a script: by name, bytes as gzip in base64. The same bytes give the same text."""
    return json.dumps({name: base64.b64encode(gzip.compress(content, 9, mtime=0)).decode() for name, content in parts.items()})


def _facts(card: ModelCard) -> str:
    """What the page must know of the model, as an object of a script."""
    facts = onnx_file.facts(card)
    named = {name: facts[name] for name in ("classes", "factors", "near", "unsure", "unlike")}
    text = json.dumps({**named, "crop": card.transform.crop, "title": f"{card.architecture}, from {card.source or 'weights of its own'}"})
    return text.replace("<", "\\u003c")


def _readme(card: ModelCard, done: Told) -> str:
    """What lies in the folder and how it is used."""
    return f"""# {card.architecture}: {", ".join(card.classes[:12])}{", ..." if len(card.classes) > 12 else ""}

Open `index.html`: from the disk, or from any web server that this folder is copied to (`python -m http.server` is one). On a phone, open the address of that server. The model runs in the
browser; pictures stay on the device, and the page asks the network for nothing once it is loaded.

- `model.js`: the model as ONNX, with the preprocessing inside, and its classes and thresholds
- `runtime.js`: {PACKAGE} {VERSION}, which runs it ({LICENCE})
- `web.js`, `index.html`: the page
- `{told.TOLD}`: how the model was checked, and its card

Browsers of 2023 or later. A browser decodes a JPEG a little differently than `headstart predict`, so that probabilities may differ in the third digit, and it reads no HEIC, TIFF or RAW
unless it does so itself.

{" ".join(told.said(done))}
"""
