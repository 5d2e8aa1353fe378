"""The frozen pass: how near it comes to what its parts allow, and how far it is ahead of PyTorch.

    python benchmarks/frozen_pass.py FOLDER [--source wheel:efficientnet_lite0] [--families]

In one process, on one folder of images, several times, the median counting:

- `preprocess_core_ms`: milliseconds of one core to hash, decode and resize a JPEG of 500x375 (null where the folder has none);
- `frozen_end_to_end`: images/s from files to stored features, as a share of 1 / (model time + preprocessing core-time / cores), each
  measured alone;
- `frozen_vs_eager`: the engine against PyTorch eager on the same images in memory, eager in batches of 32 on all cores, in the better of
  its two memory formats; `frozen_vs_eager_kept`: the same where the C library keeps freed memory, as in Headstart's stages (headstart/machinery/malloc.py),
  which PyTorch does not ask of it.

--families compares engines on untrained networks of other families instead (images/s). Ends with a line of JSON.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from workspace import report

from headstart.base.cores import in_order, workers
from headstart.features import engines, extraction
from headstart.features.transforms import View
from headstart.indexing import indexer
from headstart.machinery.malloc import keep_freed
from headstart.networks import cut, model, sources
from headstart.params import Params, kwargs

FAMILIES = ("resnet18", "resnet50", "mobilenetv3_large_100", "efficientnet_b0", "regnety_016", "convnext_tiny", "vit_small_patch16_224")


def seconds(work: Callable[[], Any], repeat: int) -> float:
    """The median time of `work`, after one run that does not count."""
    work()
    taken = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def eager(network: nn.Module, images: np.ndarray, repeat: int) -> dict[str, float]:
    """Images/s of PyTorch eager in batches of 32 on all cores, by memory format."""
    torch.set_num_threads(workers())
    rates = {}
    for name, layout in (("contiguous", torch.contiguous_format), ("channels last", torch.channels_last)):
        network.to(memory_format=layout)

        def batches() -> None:
            with torch.inference_mode():
                for start in range(0, len(images), 32):
                    network(torch.from_numpy(images[start : start + 32]))

        rates[name] = len(images) / seconds(batches, repeat)
    return rates


def alone(run: engines.Run, images: np.ndarray, repeat: int) -> float:
    """Images/s of an engine on images in memory, a core each."""
    return len(images) / seconds(lambda: list(in_order(lambda image: run(image[None]), images)), repeat)


def families(repeat: int) -> dict[str, Any]:
    """Images/s of each way to run a network, for one network of each family."""
    import timm

    images = np.random.default_rng(0).integers(0, 256, (64, 224, 224, 3), dtype=np.uint8)
    rows = {}
    for name in FAMILIES:
        bare = timm.create_model(name, pretrained=False, num_classes=0).eval().requires_grad_(False)
        network = nn.Sequential(model.Normalise((0.5,) * 3, (0.5,) * 3), cut.chain(bare))
        with tempfile.TemporaryDirectory() as folder:
            built = engines.build(partial(lambda made: made, network), 224, name, Path(folder))
        rows[name] = {
            built.name: alone(built.run, images, repeat),
            "torch, an image a core": alone(engines._torch(network), images, repeat),
            **{f"torch eager, {layout}": rate for layout, rate in eager(network, images, repeat).items()},
        }
        rows[name] = {way: round(rate, 1) for way, rate in rows[name].items()}
        print(name, rows[name], flush=True)
    return {"families": rows}


def frozen_pass(folder: Path, name: str, repeat: int) -> dict[str, Any]:
    """The figures of the module's docstring."""
    table = indexer.index(folder, **kwargs(Params(), "index_images"), seed=0)
    table = table[table["readable"]].reset_index(drop=True)
    source = sources.load(name)
    with tempfile.TemporaryDirectory() as scratch:
        extraction.ENGINES = Path(scratch) / "engines"
        frozen = extraction.Frozen.of(partial(model.trunk, source), "benchmark", source.transform.input_size)
        view = View.of(source.transform)
        jobs = [extraction.Job(folder / path, sha, (view,)) for path, sha in zip(table["path"], table["sha256"], strict=True)]
        usual = [job for job, w, h in zip(jobs, table["width"], table["height"], strict=True) if {w, h} == {500, 375}]
        prepared = np.stack([extraction._read(job)[0] for job in jobs[:256]])

        def one_core(chosen: list[Any]) -> float:
            return seconds(lambda: [extraction._read(job) for job in chosen], repeat) / len(chosen)

        preprocess, model_time = one_core(jobs), 1 / alone(frozen.engine.run, prepared, repeat)
        folders = iter(range(repeat + 1))

        def whole() -> None:
            extraction.extract(frozen, table, folder, view, folder=Path(scratch) / str(next(folders)), what="images")

        rate = len(table) / seconds(whole, repeat)
        network = model.trunk(source)
        rates = eager(network, prepared, repeat)
        keep_freed()  # what was measured before is as PyTorch comes
        kept = eager(network, prepared, repeat)
        ours = frozen.engine.run(prepared[:1])
        with torch.inference_mode():
            theirs = network(torch.from_numpy(prepared[:1])).numpy()
    floor = model_time + preprocess / workers()
    return {
        "preprocess_core_ms": round(1e3 * one_core(usual), 2) if usual else None,
        "frozen_end_to_end": round(rate * floor, 3),
        "frozen_vs_eager": round(1 / model_time / max(rates.values()), 2),
        "frozen_vs_eager_kept": round(1 / model_time / max(kept.values()), 2),
        "images": len(table),
        "images_per_s": round(rate, 1),
        "engine": frozen.engine.name,
        "engine_images_per_s": round(1 / model_time, 1),
        "preprocess_core_ms_all": round(1e3 * preprocess, 2),
        "eager_images_per_s": {layout: round(value, 1) for layout, value in rates.items()},
        "eager_images_per_s_kept": {layout: round(value, 1) for layout, value in kept.items()},
        "cores": workers(),
        "largest_difference_from_pytorch": float(np.abs(ours - theirs).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="wheel:efficientnet_lite0")
    parser.add_argument("--families", action="store_true")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    figures = families(options.repeat) if options.families else frozen_pass(options.folder, options.source, options.repeat)
    for key, value in figures.items():
        print(f"{key:32} {value}")
    report(figures)


if __name__ == "__main__":
    main()
