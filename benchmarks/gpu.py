"""Headstart on one GPU, in parts: what it reaches, and what the machine and the transformers Trainer reach beside it.

    python benchmarks/gpu.py [--folder FOLDER | --images 1500] [--digits FOLDER] [--out FILE] [--networks NAME...] [--peak-tflops 989]
    python benchmarks/gpu.py --device cpu --images 64 --tiny --epochs 2 --limit 3000      # tries every part without a GPU

Each part is a process of its own. It is printed as soon as it is done and written to --out; no part begins that would not fit --limit (450 s), and one
that takes longer is ended. Needs transformers and accelerate for the Trainer, and no download: the networks are untrained, which changes
no speed, and without --folder the images are synthetic JPEGs of 500x375 in 10 classes. --digits is a folder of images, a folder a class (the
sign digits of docs/performance.md), and needs the wheel of EfficientNet-Lite0. Without pyarrow, tables stay in memory.

- decode: pictures a second of files, by threads and by processes. views: random views a second that the device cuts and changes.
- frozen: the frozen pass from files to stored features, and again from kept pictures; the engine alone, as it is and compiled. `share_of_peak` counts two
  operations a multiply-add against what the card can do in this precision (dense, from a table here; null if it lacks the card).
- steps: the training loop on activations in memory, images a second: captured and not, in batches of 32 and of 128.
- fine_tune: `fine_tuning.run` with the default parameters and no early stop, against `Trainer.train` on transformers' wrapper of the same
  network with the recipe of its image-classification example, for as many epochs in batches of the same size. In trainer_frozen the layers
  that Headstart freezes are frozen too.
- heads: 75 fits, on the CPU and on the device. whole: from images on disk to a fine-tuned model, from the start of a process and once it is warm.

Ends with what the issue asks for beside what was reached, and a line of JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

NETWORKS, TINY = ("resnet50", "vit_small_patch16_224"), ("test_resnet", "test_vit")
CLASSES = 10
# Dense TFLOPS of a card whose name has these words: in bfloat16 or float16, and in float32 without TF32.
PEAKS = {
    "H100 PCIe": (756, 51),
    "H100 NVL": (835, 60),
    "H100": (989, 67),
    "H200 NVL": (835, 60),
    "H200": (989, 67),
    "A100": (312, 19.5),
    "L4": (121, 30.3),
    "T4": (65, 8.1),
}
# The parts, in order, and the seconds that one takes at most on a data-centre card, as far as it is known.
PARTS = {
    "decode": 30,
    "views": 25,
    "frozen": 75,
    "steps": 40,
    "fine_tune": 50,
    "trainer": 60,
    "trainer_frozen": 60,
    "heads": 40,
    "whole": 90,
}
OF_NETWORKS = ("frozen", "steps", "fine_tune", "trainer", "trainer_frozen")
SHARES = {"resnet50": 0.35, "vit_small_patch16_224": 0.4}


def without_pyarrow() -> None:
    """Let tables stay in memory if there is nothing to write them with."""
    import pandas as pd

    assert pd.DataFrame
    if importlib.util.find_spec("pyarrow") is None:
        sys.modules["pyarrow"], sys.modules["pyarrow.parquet"] = MagicMock(), MagicMock()


def photos(folder: Path, count: int) -> None:
    """Write synthetic JPEGs of 500x375, of about as many bytes as photos have, a folder a class."""
    import numpy as np
    from PIL import Image

    from headstart.base.cores import in_order

    def write(number: int) -> None:
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
        fine = np.asarray(coarse) + random.normal(0, 8, (375, 500, 3))
        path = folder / f"class{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(path, quality=85)

    list(in_order(write, range(count)))


class Bench:
    """What the parts share: the images, the device, and the network of a part."""

    def __init__(self, options: argparse.Namespace) -> None:
        without_pyarrow()
        import pandas as pd
        import torch

        from headstart.base import devices
        from headstart.machinery import progress

        self.options, self.progress = options, progress
        self.root = Path(options.folder).resolve()
        self.table = pd.read_pickle(options.table)
        self.device = devices.choose(options.device, options.precision)
        self.card = torch.cuda.get_device_name() if self.device.kind == "cuda" else "cpu"
        self.place = self.device.all()[0]
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    def wait(self) -> None:
        import torch

        if self.device.kind == "cuda":
            torch.cuda.synchronize()

    def source(self) -> Any:
        """The untrained network of timm that this part is about, as a source."""
        import torch

        from headstart.base import weights
        from headstart.networks import cards, skeletons, sources

        torch.manual_seed(0)
        network, _ = skeletons.skeleton("timm", self.options.network)
        cfg: Any = network.pretrained_cfg
        named = {"mean": cfg["mean"], "std": cfg["std"], "interpolation": cfg["interpolation"], "crop": cfg["crop_pct"]}
        transform = {"input_size": cfg["input_size"][-1], **named}
        folder = Path(f"source-{self.options.network}")
        if not folder.exists():
            folder.mkdir()
            weights.write(folder / cards.WEIGHTS, {key: value.numpy() for key, value in network.state_dict().items()})
            content = {"library": "timm", "architecture": self.options.network, "transform": transform}
            (folder / cards.CARD).write_text(json.dumps(content))
        return sources.load(f"checkpoint:{folder}")

    def peak(self) -> float | None:
        """TFLOPS that a card of this name can do; None if it is not known."""
        if self.options.peak_tflops:
            return float(self.options.peak_tflops)
        words = set(self.card.replace("-", " ").split())
        both = next((figures for name, figures in PEAKS.items() if set(name.split()) <= words), None)
        return both and both[self.device.precision == "float32"]


def timed(bench: Bench, work: Any, repeat: int = 3) -> float:
    """The shortest of several times, after one run that does not count."""
    work()
    taken = []
    for _ in range(repeat):
        bench.wait()
        started = time.perf_counter()
        work()
        bench.wait()
        taken.append(time.perf_counter() - started)
    return min(taken)


def decode(bench: Bench) -> dict[str, Any]:
    from headstart.base import cores, processes
    from headstart.features import pictures
    from headstart.features.transforms import View

    wanted = [pictures.Wanted(bench.root / path, key) for path, key in zip(bench.table["path"], bench.table["sha256"], strict=True)]
    side = pictures.side(View(224, "bicubic", 0.875))
    row: dict[str, Any] = {"cores": cores.workers(), "images": len(wanted)}

    def read(budget: int, folder: str) -> None:
        for _ in pictures.Pictures(side, None, len(wanted), Path(folder), budget).read(wanted, 256):
            pass

    few = processes.FEWEST_CORES
    processes.FEWEST_CORES = 10**9
    row["threads_per_s"] = len(wanted) / timed(bench, lambda: read(0, "none"), 1)
    processes.FEWEST_CORES = few
    folders = iter(range(100))
    row["default_per_s"] = len(wanted) / timed(bench, lambda: read(2**40, f"kept-{next(folders)}"), 2)
    row["processes"] = processes.pay(len(wanted))
    row["kept_per_s"] = len(wanted) / timed(bench, lambda: read(2**40, "kept-0"), 2)
    return row


def views(bench: Bench) -> dict[str, Any]:
    import numpy as np
    import torch

    from headstart.features import looking, transforms
    from headstart.features.transforms import View
    from headstart.params import Augmentation

    count, side = (256, 384) if bench.device.kind == "cuda" else (8, 384)
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    drawn = transforms.views(View(224, "bicubic", 0.875), 0, Augmentation(), 1)
    sizes = [(500, 375)] * count
    extents = [(side, 375)] * count

    def plan() -> Any:
        return looking.plan([drawn] * count, [str(i) for i in range(count)], sizes, extents)

    there, looks = torch.from_numpy(pixels).to(bench.place), plan()
    return {
        "device_views_per_s": count / timed(bench, lambda: looking.look(there, looks)),
        "with_copy_views_per_s": count / timed(bench, lambda: looking.look(torch.from_numpy(pixels).to(bench.place), looks)),
        "drawn_per_s": count / timed(bench, plan),
    }


def frozen(bench: Bench) -> dict[str, Any]:
    import numpy as np

    from headstart.features import batched, extraction
    from headstart.features.transforms import View
    from headstart.networks import common, model

    source = bench.source()
    card = source.card()
    part = extraction.identity(card, "features")
    ready = extraction.Frozen.of(lambda: model.trunk(source), part, source.transform.input_size, bench.device)
    images, repeat = bench.table["sha256"].nunique(), bench.options.repeat
    folders = iter(range(100))

    def whole(folder: str) -> None:
        extraction.extract(ready, bench.table, bench.root, View.of(card.transform), folder=Path(folder), what="images")

    row = {"frozen_images_per_s": images / timed(bench, lambda: whole(f"frozen-{bench.options.network}-{next(folders)}"), repeat)}
    if ready.engine.look is not None:  # other features of pictures that are at hand

        def again() -> float:
            for file in Path("frozen-again").glob("*"):
                if file.with_suffix(".rows") == file or file.suffix == ".keys":
                    file.unlink()
            started = time.perf_counter()
            whole("frozen-again")
            return time.perf_counter() - started

        row["frozen_again_images_per_s"] = images / min(again() for _ in range(repeat + 1))
    gmacs, tflops = common.gflops(source.trunk, source.transform.input_size), bench.peak()
    made = ready.engine.run if isinstance(ready.engine.run, batched.Batched) else batched.Batched(model.trunk(source), bench.device)
    batch = made.batch if bench.device.kind == "cuda" else 8
    given = np.random.default_rng(0).integers(0, 256, (4 * batch, ready.size, ready.size, 3), dtype=np.uint8)
    made.batch = batch
    for name in ("engine", "compiled"):
        started = time.perf_counter()
        if name == "compiled":
            if bench.options.no_compile:
                break
            made.compile()
            made(given[:batch])
            row["compile_seconds"] = time.perf_counter() - started
        rate = len(given) / timed(bench, lambda: made(given), repeat)
        row |= {f"{name}_images_per_s": rate, f"{name}_share_of_peak": tflops and 2 * gmacs * rate / (1e3 * tflops)}
    return {**row, "gmacs": gmacs, "peak_tflops": tflops}


def steps(bench: Bench) -> dict[str, Any]:
    import numpy as np
    import torch

    from headstart.networks import heads, model
    from headstart.training import graphs, loop, strategies
    from headstart.training.examples import Examples, Recipe

    source = bench.source()
    network = model.of(source, heads.Head(np.zeros((CLASSES, source.features), np.float32), np.zeros(CLASSES, np.float32)))
    names = network.stage_names()
    phase = strategies.last_stages(names, depth=3, epochs=3, rate=1e-4, decay=0.9)[0]
    below, count = network.below(set(phase.rates))
    with torch.no_grad():
        shape = below(torch.zeros(1, source.transform.input_size, source.transform.input_size, 3, dtype=torch.uint8)).shape[1:]
    n = 2048 if bench.device.kind == "cuda" else 64
    few = np.random.default_rng(0).normal(size=(256, *shape)).astype(np.float16)
    rows = few[np.arange(n) % len(few)]
    examples = Examples([rows], np.arange(n) % CLASSES)
    held = Examples([rows[:16]], np.arange(16) % CLASSES)
    row: dict[str, Any] = {}
    on = graphs.Graphs.on
    for captured in (True, False):
        graphs.Graphs.on = on if captured else (lambda place, count: graphs.Graphs())  # type: ignore[method-assign,assignment]
        for batch in (32, 128):
            bench.progress.finished.clear()
            recipe = Recipe(batch, 99, 0.01, 0.1, np.ones(CLASSES), 0)
            tail = network.tail(count)
            loop.fit(tail, [strategies.Phase(phase.name, 1, phase.rates)], examples, held, recipe, bench.device)
            started = time.perf_counter()
            loop.fit(tail, [phase], examples, held, recipe, bench.device)
            name = f"{'captured' if captured else 'eager'}_{batch}_images_per_s"
            row[name] = phase.epochs * n / (time.perf_counter() - started)
    return row


def fine_tune(bench: Bench) -> dict[str, Any]:
    import numpy as np

    from headstart.networks import cut, heads
    from headstart.params import FineTune
    from headstart.training import fine_tuning

    source, epochs = bench.source(), bench.options.epochs
    classes = sorted(set(bench.table["label"]))
    random = np.random.default_rng(0)
    head = heads.Head(random.normal(0, 0.01, (len(classes), source.features)).astype(np.float32), np.zeros(len(classes), np.float32))
    plan = fine_tuning.plan_of(FineTune(epochs=epochs, patience=epochs, depth=3, processes=1), bench.table, classes, 0)
    bench.wait()  # the device is ready, as the Trainer's is
    bench.progress.finished.clear()
    started = time.perf_counter()
    done = fine_tuning.run(bench.table, bench.root, source.card(), head, classes, plan, device=bench.device)
    whole = time.perf_counter() - started
    parts = {row["what"]: round(row["seconds"], 2) for row in bench.progress.finished}
    frozen = set(done.summary["frozen"])
    names = [name for key, stage in done.network.stages.named_children() if cut.name(key) in frozen for name, _ in stage.named_parameters()]
    return {
        "seconds": whole,
        "images_per_s": done.summary["image_passes"] / whole,
        "parts": parts,
        **{key: done.summary[key] for key in ("views", "streamed", "batch_size", "shard", "engine")},
        "frozen_parameters": names,
    }


def trainer(bench: Bench) -> dict[str, Any]:
    """The Trainer with all layers trained, or without those that our fine-tuning froze."""
    import numpy as np
    import torch
    from PIL import Image
    from torch.utils.data import Dataset
    from torchvision import transforms
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification, Trainer, TrainingArguments

    from headstart.base.cores import workers
    from headstart.params import Params

    card, train = bench.source().card().transform, bench.table[bench.table["split"] == "train"]
    paths, labels = [bench.root / path for path in train["path"]], np.unique(train["label"], return_inverse=True)[1].tolist()
    crop, flip = transforms.RandomResizedCrop(card.input_size), transforms.RandomHorizontalFlip()
    transform = transforms.Compose([crop, flip, transforms.ToTensor(), transforms.Normalize(card.mean, card.std)])

    class Photos(Dataset):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, index: int) -> dict[str, Any]:
            with Image.open(paths[index]) as image:
                return {"pixel_values": transform(image.convert("RGB")), "labels": labels[index]}

    network = TimmWrapperForImageClassification(TimmWrapperConfig(architecture=bench.options.network, num_labels=len(set(labels))))
    parameters = dict(network.timm_model.named_parameters())
    for name in bench.options.frozen or []:
        parameters[name].requires_grad = False

    def run(**length: Any) -> float:
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                per_device_train_batch_size=Params().fine_tune.batch_size,
                dataloader_num_workers=workers(),
                bf16=bench.device.kind == "cuda" and bench.device.precision == "bfloat16",
                fp16=bench.device.precision == "float16",
                use_cpu=bench.device.kind == "cpu",
                remove_unused_columns=False,
                save_strategy="no",
                disable_tqdm=True,
                **length,
            )
            made = Trainer(network, arguments, train_dataset=Photos())
            started = time.perf_counter()
            made.train()
            return time.perf_counter() - started

    try:
        run(max_steps=3)
        taken = run(num_train_epochs=bench.options.epochs)
    except torch.OutOfMemoryError:
        return {"seconds": None}
    return {"seconds": taken, "images_per_s": len(paths) * bench.options.epochs / taken}


def heads(bench: Bench) -> dict[str, Any]:
    import numpy as np

    from headstart.base.devices import CPU
    from headstart.linear import logistic

    n, d = (1443, 1280) if bench.device.kind == "cuda" else (200, 128)
    random = np.random.default_rng(0)
    labels = np.arange(n) % CLASSES
    features = (random.normal(size=(CLASSES, d))[labels] + 3 * random.normal(size=(n, d))).astype(np.float32)
    row: dict[str, Any] = {}
    found = {}
    for name, device in {"cpu": CPU, "device": bench.device}.items():
        started = time.perf_counter()
        how: dict[str, Any] = {"classes": CLASSES, "penalties": logistic.PENALTIES, "what": f"fits, {name}", "device": device}
        found[name] = logistic.fit(features, labels, np.arange(n) // CLASSES % 5, **how)[1]
        row[f"{name}_seconds"] = time.perf_counter() - started
    most = float(np.abs(found["cpu"].held_out - found["device"].held_out).max())
    return {**row, "same_penalty": found["cpu"].penalty == found["device"].penalty, "largest_difference_of_logits": most}


def whole(bench: Bench) -> dict[str, Any]:
    """Images on disk to a fine-tuned model, twice in one process: with its start, and warm, with nothing kept of the first."""
    import one_process

    from headstart import params

    images = Path(bench.options.digits or bench.root)
    everything = params.check({"device": bench.options.device, "precision": bench.options.precision})
    row: dict[str, Any] = {"images": str(images.name), "import_seconds": time.perf_counter() - BEGUN}
    here = Path.cwd()
    for name in ("first", "warm"):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            bench.progress.finished.clear()
            started = time.perf_counter()
            table = one_process.index(images, everything)
            card, classifier = one_process.source_card("wheel:efficientnet_lite0")
            trained, _, classes = one_process.train(table, images, card, classifier, everything)
            if bench.device.kind == "cuda" or len(table) < 500:
                one_process.fine_tune(table, images, card, trained["train_only"], classes, everything)
            row[f"{name}_seconds"] = time.perf_counter() - started
            row[f"{name}_parts"] = {part["what"]: round(part["seconds"], 2) for part in bench.progress.finished}
            os.chdir(here)
    row["with_start_seconds"] = row["import_seconds"] + row["first_seconds"]
    return row


WORK = {
    **{"decode": decode, "views": views, "frozen": frozen, "steps": steps, "fine_tune": fine_tune, "trainer": trainer},
    **{"trainer_frozen": trainer, "heads": heads, "whole": whole},
}


def do(options: argparse.Namespace, scratch: Path, left: float, part: str, network: str, frozen_names: list[str]) -> dict[str, Any]:
    """One part, in a process of its own, ended after `left` seconds."""
    arguments = [part, "--part-of", json.dumps({**vars(options), "network": network, "frozen": frozen_names})]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])}
    environment.setdefault("CUDA_VISIBLE_DEVICES", "0")  # both sides would take all GPUs
    answer = scratch / "answer.json"
    answer.unlink(missing_ok=True)
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, __file__, *arguments, "--answer", str(answer)], cwd=scratch, env=environment, timeout=left, stdout=2
        )
        found = json.loads(answer.read_text()) if answer.exists() else {"failed": f"exit code {done.returncode}"}
    except subprocess.TimeoutExpired:
        found = {"failed": f"ended after {left:.0f} s"}
    return {**found, "part_seconds": round(time.monotonic() - started, 1)}


def one(options: argparse.Namespace) -> None:
    """What the process of a part does."""
    given = argparse.Namespace(**json.loads(options.part_of))
    bench = Bench(given)
    row = WORK[options.part](bench)
    rounded = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in row.items()}
    Path(options.answer).write_text(json.dumps({**rounded, "device": bench.card, "precision": bench.device.precision}))


def reach(rows: dict[str, Any], networks: list[str]) -> list[dict[str, Any]]:
    """What the issue asks for, and what was reached: null if a part is missing."""

    def get(part: str, key: str) -> Any:
        return rows.get(part, {}).get(key)

    def ratio(a: Any, b: Any) -> float | None:
        return round(a / b, 3) if a and b else None

    found = []

    def ask(what: str, wanted: float, reached: float | None, *, most: bool = False) -> None:
        met = None if reached is None else reached <= wanted if most else reached >= wanted
        found.append({"what": what, "wanted": wanted, "reached": reached, "met": met})

    for name in networks:
        engine, decoding = get(f"frozen {name}", "engine_images_per_s"), get("decode", "default_per_s")
        least = min(engine, decoding) if engine and decoding else None
        ask(f"frozen pass / min(engine, decoding), {name}", 0.9, ratio(get(f"frozen {name}", "frozen_images_per_s"), least))
        for other, wanted in (("trainer_frozen", 3.0), ("trainer", 2.0)):
            taken = ratio(get(f"{other} {name}", "seconds"), get(f"fine_tune {name}", "seconds"))
            ask(f"fine-tuning, times as fast as {other}, {name}", wanted, taken)
        ask(f"share of peak, compiled, {name}", SHARES.get(name, 0.35), get(f"frozen {name}", "compiled_share_of_peak"))
    ask("images on disk to a fine-tuned model, warm, seconds", 73 / 5, get("whole", "warm_seconds"), most=True)
    ask("the same with the start of the process, seconds", 20, get("whole", "with_start_seconds"), most=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="images, a folder a class")
    parser.add_argument("--images", type=int, default=1500, help="how many to make if there is no folder")
    parser.add_argument("--digits", help="images of the part `whole`; else those of the others")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="names of timm")
    parser.add_argument("--tiny", action="store_true", help=f"{' and '.join(TINY)} instead")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--limit", type=float, default=450, help="seconds for all of it")
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled engine out")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    parser.add_argument("--peak-tflops", type=float, help="of the card in this precision")
    options = parser.parse_args()
    out, networks = options.out.resolve(), list(TINY if options.tiny else options.networks)
    options.out, options.digits = str(out), options.digits and str(Path(options.digits).resolve())
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        options.folder = str(Path(options.folder or Path(made) / "photos").resolve())
        options.table = str(Path(made) / "table.pickle")
        prepared(options)
        for part in options.parts:
            for network in networks if part in OF_NETWORKS else [""]:
                name, left = f"{part} {network}".strip(), options.limit - (time.perf_counter() - BEGUN)
                frozen_names = rows.get(f"fine_tune {network}", {}).get("frozen_parameters", []) if part == "trainer_frozen" else []
                enough = left >= min(PARTS[part], options.limit / 3)
                rows[name] = do(options, Path(made), left, part, network, frozen_names) if enough else {"failed": "left out: no time"}
                shown = {key: value for key, value in rows[name].items() if key != "frozen_parameters"}
                print(f"\n{name}", *(f"  {key:32} {value}" for key, value in shown.items()), sep="\n", flush=True)
                out.write_text(json.dumps({"parts": rows, "reach": reach(rows, networks)}, indent=1) + "\n")
    print(
        "\nreach", *(f"  {row['what']:70} wanted {row['wanted']:<6.4g} reached {row['reached']}" for row in reach(rows, networks)), sep="\n"
    )
    print(json.dumps({"parts": rows, "reach": reach(rows, networks)}))


def prepared(options: argparse.Namespace) -> None:
    """Make the images if there are none, and index them."""
    without_pyarrow()
    from headstart.indexing import indexer
    from headstart.params import Params, kwargs

    root = Path(options.folder)
    if not root.exists():
        photos(root, options.images)
    table = indexer.index(root, **kwargs(Params(), "index_images"), seed=0)
    table[table["readable"]].reset_index(drop=True).to_pickle(options.table)


BEGUN = time.perf_counter()

if __name__ == "__main__":
    if "--part-of" in sys.argv:
        inner = argparse.ArgumentParser()
        inner.add_argument("part")
        inner.add_argument("--part-of")
        inner.add_argument("--answer")
        one(inner.parse_args())
    else:
        main()
