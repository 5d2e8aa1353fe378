"""Kill -9 at random moments, resume, and compare with a run that was left alone. Linux only.

    python benchmarks/chaos.py [--kills 200] [--seed 0]

A checkout with toy pictures and a tiny source network is run through once undisturbed. Then it is run again and again: of the kills, 85% are of
the stage or its dvc child (a tenth of all kills as the stage has written a checkpoint and not renamed it yet), 15% of `headstart run` or its
Prefect server. After each kill nobody of the run may be left, and no stage that `dvc status` calls up to date may have another result than the
undisturbed run. Then the pipeline is resumed, until it completes and all it made is compared byte by byte; and all over again. Ends with a line of
JSON: `kills`, `kills_recovered` (the pipeline went on by itself and ended with the same bytes), `kills_lost` (it did not go on, or left something
running), `kills_different` (other bytes), and how many there were of each kind.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
# What the flow does with DVC, without Prefect, which takes 15 s to start.
PIPELINE = [
    *(sys.executable, "-c"),
    "from flows import dvc, torn; from headstart import lock\n"
    "with lock.hold('chaos'): dvc.forget_dead(); torn.forget(print); dvc.call('repro', say=print)",
]
PATIENCE = 30.0  # seconds in which all of a killed run must be gone
LONGEST = 900.0  # seconds that a run may take
CHECKPOINTS = ".headstart/checkpoints"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    of_flows = options.kills * 15 // 100
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        os.environ.update(quiet | {"PREFECT_HOME": f"{folder}/prefect", "DVC_SITE_CACHE_DIR": f"{folder}/dvc"})
        os.environ.pop("PREFECT_API_URL", None)
        chaos = Chaos(prepare(Path(folder)), random.Random(options.seed))
        chaos.undisturbed()
        chaos.of_stages(options.kills - of_flows, -(-options.kills // 10))
        chaos.of_flows(of_flows)
    print(json.dumps(chaos.figures()))


def prepare(folder: Path) -> Path:
    """A checkout with toy pictures, a tiny source, and the smallest parameters that still train for some epochs."""
    from workspace import Workspace

    space = Workspace(folder / "checkout")
    pictures(folder / "photos")
    source(space.folder / "source")
    space.set(
        *("select_source.candidates=[checkpoint:source]", "select_source.input_size=64", "select_source.folds=2", "train_head.folds=2"),
        *("fine_tune.epochs=20", "fine_tune.patience=20", "fine_tune.views=2", "fine_tune.strategy=gradual", "evaluate.bootstrap=100"),
        *("baseline.epochs=15", "baseline.views=1", "baseline.max_size=32"),
    )
    space.run("headstart", "import", str(folder / "photos"))
    return space.folder


def pictures(folder: Path, per_class: int = 20, size: int = 48) -> None:
    """Noisy pictures of three classes, each with a colour of its own."""
    import numpy as np
    from PIL import Image

    for label, name in enumerate(("ant", "bee", "cat")):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            drawn = np.random.default_rng([label, number])
            coarse = drawn.normal(0, 40, (8, 8, 3)).repeat(size // 8, 0).repeat(size // 8, 1)
            pixels = 110 + 40 * np.eye(3)[label] + coarse + drawn.normal(0, 20, (size, size, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number:02}.png")


def source(folder: Path, architecture: str = "test_resnet") -> None:
    """An untrained tiny network as a model folder, to be used as checkpoint:FOLDER."""
    import numpy as np
    import torch

    from headstart import heads, model, sources, weights

    torch.manual_seed(0)
    network, classifier = sources.skeleton("timm", architecture)
    width: Any = network.num_features
    head = heads.Head(np.zeros((3, width), np.float32), np.zeros(3, np.float32))
    folder.mkdir()
    model.save(folder / weights.WEIGHTS, model.Network(network, classifier, head, (0.5,) * 3, (0.5,) * 3))
    transform = {"input_size": 64, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "crop": 1.0}
    (folder / weights.CARD).write_text(json.dumps({"library": "timm", "architecture": architecture, "transform": transform}))


def kind(command: list[str]) -> str:
    """What a process is to a run: dvc, stage, server, or something that is not killed."""
    if "uvicorn" in command:
        return "server"
    if "--wait-for-lock" in command:
        return "dvc"
    return "stage" if " ".join(command[1:3]).startswith(("-m tasks.", "toy_stage.py")) else "other"


def working(project: Path) -> dict[int, str]:
    """The other processes that work in a folder: what they are, by process id. One that has ended does not count, whoever waits for it."""
    found = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and int(folder.name) != os.getpid() and (folder / "cwd").resolve(strict=True) == project:
                found[int(folder.name)] = kind((folder / "cmdline").read_bytes().decode(errors="replace").split("\0"))
    return found


@dataclass
class Chaos:
    """Kills runs of the pipeline of `project`, and counts what becomes of them; what lies in `results` is compared."""

    project: Path
    dice: random.Random
    results: tuple[str, ...] = ("data/manifest.parquet", "data/clean.parquet", "models", "reports")
    counts: Counter[str] = field(default_factory=Counter)
    since: int = 0  # kills since a run was last completed
    expected: dict[str, str] = field(default_factory=dict)  # what an undisturbed run makes: hashes by path
    seconds: float = 0.0  # that it takes

    def figures(self) -> dict[str, Any]:
        """The line of JSON."""
        outcomes = {f"kills_{name}": self.counts[name] for name in ("recovered", "lost", "different")}
        return {
            "kills": self.counts["kills"],
            **outcomes,
            "of": {name: self.counts[name] for name in ("stage", "write", "dvc", "flow", "server")},
        }

    def undisturbed(self) -> None:
        """Run the pipeline through, and keep what it makes."""
        started = time.monotonic()
        with self._running(PIPELINE) as run:
            run.wait(LONGEST)
        if run.returncode:
            raise SystemExit(f"the undisturbed run failed:\n{self._log()}")
        self.seconds, self.expected = time.monotonic() - started, self._made()
        print(f"undisturbed: {self.seconds:.0f} s; {len(self.expected)} files are compared", flush=True)
        self._forget()

    def of_stages(self, kills: int, writes: int) -> None:
        """Kill the stage or dvc, `writes` of the times the stage as it has written a checkpoint and not yet renamed it."""
        line = ["write"] * writes + [self.dice.choice(["stage", "dvc"]) for _ in range(kills - writes)]
        self.dice.shuffle(line)
        while line:
            with self._running(PIPELINE) as run:
                killed = self._kill_writing(run) if line[-1] == "write" else self._kill(run, line[-1], self.seconds / 4)
                self._after(run, killed)
            if killed == line[-1]:
                line.pop()
        self._complete()

    def of_flows(self, kills: int) -> None:
        """Kill `headstart run`, or its server."""
        line = [self.dice.choice(["flow", "server"]) for _ in range(kills)]
        while line:
            with self._running([str(BIN / "headstart"), "run"]) as run:
                killed = self._kill(run, line[-1], self.seconds)
                self._after(run, killed)
            if killed:
                line.pop()
        self._complete()

    def _complete(self) -> None:
        """Run to the end, so that the last kills count too."""
        while self.since:
            with self._running(PIPELINE) as run:
                self._after(run, "")

    def _kill(self, run: subprocess.Popen[bytes], wanted: str, within: float) -> str:
        """Kill after up to so many seconds, as soon as there is such a process then. Returns what was killed, "" where the run ended first."""
        moment = time.monotonic() + self.dice.uniform(0, within)
        while run.poll() is None:
            if time.monotonic() >= moment:
                for pid in [run.pid] if wanted == "flow" else [pid for pid, what in working(self.project).items() if what == wanted]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        return wanted
            time.sleep(0.01)
        return ""

    def _kill_writing(self, run: subprocess.Popen[bytes]) -> str:
        """Kill the stage as soon as the temporary file of a checkpoint is seen; it is a kill of a stage where it was renamed in that moment."""
        folder = self.project / CHECKPOINTS
        while run.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                for path in folder.iterdir():
                    if path.name.startswith("."):
                        os.kill(pid := int(path.suffix[1:]), signal.SIGKILL)
                        while pid in working(self.project):
                            time.sleep(0.001)
                        return "write" if path.exists() else "stage"
            time.sleep(0.0005)
        return ""

    def _after(self, run: subprocess.Popen[bytes], killed: str) -> None:
        """Count what became of a run: killed, failed by itself, or complete."""
        if killed:
            self.counts.update(["kills", killed])
            self.since += 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(LONGEST if killed in ("", "server") else PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while (left := working(self.project)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if left:
            self._close("lost", f"still running {PATIENCE:.0f} s after a kill of {killed or 'nobody'}: {sorted(left.values())}")
        elif run.returncode == 0:
            wrong = self._wrong(self._made(), self.expected)
            self._close("different" if wrong else "recovered", f"different: {wrong}" if wrong else "complete")
        elif not killed:
            self._close("lost", f"the pipeline did not go on by itself:\n{self._log()}")
        elif wrong := self._certified():
            self._close("different", f"dvc status calls up to date: {wrong}")

    def _close(self, outcome: str, said: str) -> None:
        """Count the kills since the last completed run, and start anew."""
        self.counts["recovered"] += self.since if outcome == "recovered" else max(0, self.since - 1)
        self.counts[outcome] += 0 if outcome == "recovered" else 1
        print(f"{self.counts['kills']} kills, the last {self.since} {outcome}: {said}", flush=True)
        self.since = 0
        self._forget()

    def _certified(self) -> list[str]:
        """Files that a stage made otherwise than undisturbed, and that `dvc status` calls up to date; it calls nothing so where it fails."""
        from ruamel.yaml import YAML

        done = subprocess.run([BIN / "dvc", "status", "--json"], cwd=self.project, capture_output=True, text=True)
        if done.returncode:
            return []
        stale = json.loads(done.stdout.strip().splitlines()[-1])
        wrong = self._wrong(self._made(), self.expected)
        graph: dict[str, Any] = YAML(typ="safe").load(self.project / "dvc.yaml")["stages"]
        fresh = [
            out for name, stage in graph.items() if name not in stale for key in ("outs", "metrics", "plots") for out in stage.get(key, [])
        ]
        paths = [out if isinstance(out, str) else next(iter(out)) for out in fresh]
        return [file for file in wrong if any(file == path or file.startswith(f"{path}/") for path in paths)]

    def _made(self) -> dict[str, str]:
        """Hashes of what the stages have made; the report says how long they took, and temporary files are no result."""
        roots = [self.project / name for name in self.results]
        files = [file for root in roots for file in ([root] if root.is_file() else root.rglob("*")) if file.is_file()]
        paths = {str(file.relative_to(self.project)): file for file in files}
        return {
            name: hashlib.sha256(file.read_bytes()).hexdigest()
            for name, file in sorted(paths.items())
            if not any(part.startswith(".") for part in Path(name).parts) and file.name != "report.html"
        }

    def _wrong(self, made: dict[str, str], expected: dict[str, str]) -> list[str]:
        return sorted(name for name in made | expected if made.get(name) != expected.get(name))

    def _forget(self) -> None:
        """Have the pipeline as it was before it ever ran."""
        for name in (*self.results, "dvc.lock", ".headstart", ".dvc/cache/runs"):
            path = self.project / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _running(self, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A run in the project, its lines in a file beside it; ended with all that works there."""
        environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        with self.project.with_suffix(".log").open("wb") as log:
            run = subprocess.Popen(command, cwd=self.project, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield run
        finally:
            for pid in working(self.project):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            run.wait()

    def _log(self) -> str:
        return self.project.with_suffix(".log").read_text(errors="replace")[-3000:]


if __name__ == "__main__":
    main()
