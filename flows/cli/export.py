"""The command that makes a model easy to hand over: `headstart export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from flows.cli.common import Commands

_EXPORT = """\
Write a finished model as a folder that runs without Headstart:

onnx   model.onnx (a picture of any size in, probabilities out, classes and card in its metadata) and predict.py, which needs
       `pip install onnxruntime pillow numpy`
web    a page on which anybody tries the model: a static folder for any web server, or to open from the disk; it runs in the
       browser, on a phone too, and pictures stay there
hf     the form of a model hub, which timm and transformers load: model.safetensors, config.json and a model card
torch  model.pt2, a program of torch.export, which needs PyTorch alone

Each with a README and export.json. What was written is run against the model on the validation images first, if these lie here,
and is refused if it gives other answers.

For web, npm fetches the runtime (onnxruntime-web, 33 MB) once; --runtime FILE gives it where there is no npm or no network.
For onnx, --int8 adds model.int8.onnx, a quarter of the size. It is left out, with exit code 1, if it loses more than 1 point of
accuracy on the validation images.
"""

_EXPORT_EXAMPLES = """\
examples:
  headstart export onnx
  headstart export onnx --int8 --out ~/ants
  headstart export onnx --model registry/model
  headstart export hf --out ~/ants-for-timm
  headstart export web --out ~/ants-page
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    export = commands.add(
        "export",
        _export,
        help="a model to take away: ONNX, a page, a model hub's form, or PyTorch alone",
        description=_EXPORT,
        epilog=_EXPORT_EXAMPLES,
    )
    export.add_argument("kind", choices=["onnx", "web", "hf", "torch"], help="what to write")
    export.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("export"), help="the folder, replaced if there (default: %(default)s)"
    )
    export.add_argument("--model", type=Path, default=Path("models/final"), help="folder of the model (default: %(default)s)")
    export.add_argument("--int8", action="store_true", help="also in 8 bits, with what that costs")
    export.add_argument("--runtime", metavar="FILE", type=Path, help="for web: the package onnxruntime-web, if npm cannot fetch it")


def _export(options: argparse.Namespace) -> int:
    from flows.results import export

    told, lines = export.write(options.kind, options.model, options.out, int8=options.int8, runtime=options.runtime)
    print("\n".join(lines))
    return 1 if told.get("int8", {}).get("refused") else 0
