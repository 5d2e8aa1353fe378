"""The commands about source models: `headstart sources` and `develop`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from flows.cli import common
from flows.cli.common import Commands
from headstart.words import lists

_DEVELOP = """\
Train a source model of your own on SOURCE_DATA, a task with many images, and register it in registry/sources/NAME/, so that
checkpoint:registry/sources/NAME competes in the ranking of `headstart run`. It is registered only if it beats the most frequent
class and a logistic regression on tiny thumbnails by a standard error on its own test images (else exit code 1). All happens in
develop/NAME/, a DVC pipeline of its own: `dvc repro` in there does the same.

SOURCE_DATA is whatever `headstart import` takes.
"""

_DEVELOP_EXAMPLES = """\
examples:
  headstart develop ~/many-photos
  headstart develop torchvision:eurosat --from wheel:efficientnet_lite0 --set epochs=10
  headstart develop scans/ --labels scans.csv --name scans --architecture torchvision:resnet18 --set input_size=96

--set writes develop/NAME/source.yaml, or params.yaml (seed, device, index_images.test_share, ...), so the value stays; source.yaml
lists every name with its meaning.
"""

_SOURCES = """\
List the source models that can be used: parameters, GFLOPs (multiply-adds) of an image at the input size, published ImageNet-1k top-1
accuracy, licence of the weights, download, and whether they are on this machine already. Any name here may be a candidate in params.yaml.

PATTERN is a name, a name with * or ?, or a part of one without its kind; all sources if none is given. What is not known is within no bound.
Checkpoints are those in registry/sources/, and those that a PATTERN names by their path.
"""

_SOURCES_EXAMPLES = """\
examples:
  headstart sources --here
  headstart sources mobilenet --max-gflops 0.5
  headstart sources 'timm:convnext_*' --max-parameters 30 --licence apache-2.0 --licence mit
  headstart run --set 'select_source.candidates=["timm:convnext_*"]' --set select_source.max_parameters=30
"""


def register(commands: Commands) -> None:
    """Add the commands of this file."""
    develop = commands.add("develop", _develop, help="train a source model of your own", description=_DEVELOP, epilog=_DEVELOP_EXAMPLES)
    develop.add_argument("source", metavar="SOURCE_DATA", help="a folder, a .zip or .tar, torchvision:NAME, demo or digits")
    develop.add_argument("--labels", metavar="FILE.csv", type=Path, help="labels of the files below SOURCE_DATA, as for import")
    develop.add_argument("--name", help="name of the source model (default: that of SOURCE_DATA)")
    develop.add_argument("--from", metavar="START", dest="start", help="random weights, or a candidate as in params.yaml (default: random)")
    develop.add_argument(
        "--architecture", metavar="LIBRARY:NAME", help="what to train from random weights (default: timm:tf_efficientnet_lite0)"
    )
    develop.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], dest="assignments", help="change a parameter first; repeatable"
    )
    develop.add_argument("--force", action="store_true", help="register it even if it does not beat the baselines")

    sources = commands.add("sources", _sources, help="list the source models", description=_SOURCES, epilog=_SOURCES_EXAMPLES)
    sources.add_argument("patterns", metavar="PATTERN", nargs="*", help="timm:convnext_*, torchvision:resnet50, mobilenet, ...")
    sources.add_argument("--max-parameters", metavar="M", type=float, help="at most so many million parameters")
    sources.add_argument("--max-gflops", metavar="G", type=float, help="at most so many GFLOPs an image")
    sources.add_argument("--licence", metavar="L", action="append", dest="licences", help="only weights with this licence; repeatable")
    sources.add_argument("--here", action="store_true", help="only what is on this machine")
    sources.add_argument("--all-figures", action="store_true", help="count parameters and GFLOPs of all that is listed")
    sources.add_argument("--json", action="store_true", help="print a JSON list")
    sources.add_argument(
        "--card", metavar="FILE", type=Path, help="write a card.json beside weights of your own, with what can be seen of them"
    )


def _develop(options: argparse.Namespace) -> int:
    from flows.projects import develop_folder
    from flows.server import servers
    from headstart import params

    common.in_project()
    name = develop_folder.name_of(options.source, options.name)
    develop_folder.source_of(options.source)
    short = {"start": options.start, "architecture": options.architecture}
    values = {**{key: value for key, value in short.items() if value}, **params.parse(options.assignments)}
    develop_folder.change(name, values, dry=True)
    servers.HOME.mkdir(parents=True, exist_ok=True)  # Prefect wants it when it is imported
    servers.configure()
    print("starting Prefect", file=sys.stderr, flush=True)
    with servers.chosen() as ready:
        # Imported while the server starts; Prefect reads its environment here.
        from flows.pipeline.develop import develop, ended

        ready()
        with common.lines():  # after that import: it sets up logging anew
            labels = str(options.labels) if options.labels else None
            done, orphaned = common.outlived(
                lambda: develop(options.source, name=name, labels=labels, parameters=values, force=options.force), ended
            )
    common.print_outcomes(done["outcomes"])
    print(develop_folder.summary(name, done["card"]))
    return common.done(orphaned)


def _sources(options: argparse.Namespace) -> int:
    from flows.results import sources as sources_table

    if options.card:
        from headstart.networks.kinds import checkpoint

        written, twins = checkpoint.write_card(options.card)
        print(f"{written}:\n{written.read_text(encoding='utf-8').strip()}")
        if twins:
            print(f"check the architecture: the same names and sizes have {lists.named(list(twins), 5)}")
        print("check the transform: mean, std and size are how the network was trained")
        return 0
    bounds = {name: getattr(options, name) for name in ("max_parameters", "max_gflops", "licences", "here", "all_figures")}
    found, remark = sources_table.find(options.patterns, **bounds)
    if options.json:
        print(json.dumps([dataclasses.asdict(entry) for entry in found], indent=2, ensure_ascii=False))
    elif found:
        print(sources_table.table(found), flush=True)
    print(remark, file=sys.stderr)
    return 0
