"""Kill -9 at random moments, resume, and compare with a run that was left alone. Linux only.

    python benchmarks/chaos.py [--kills 200] [--seed 0] [--only flow|worker|server]

A checkout with toy pictures and a tiny source network is run through once undisturbed. Then it is run again and again. Of the kills, 85%
are of the stage or its dvc child, a tenth of all kills as the stage has written a checkpoint and not renamed it yet. The other 15% are of
flow, worker or server under `headstart up`, with runs submitted to transfer/headstart-transfer; a sixth of these are instead of `headstart run` by
hand or of its temporary server.

After each kill nobody of the run may be left, and no stage that `dvc status` calls up to date may have another result than the undisturbed
run. A submitted run must be Crashed or Failed in Prefect within two minutes (of `headstart up` where that is needed); where the server was
killed and started again, the run goes on and completes. `headstart up` must start what was killed and nothing else. Then the pipeline is
resumed, until it completes and all it made is compared byte by byte; and all over again. Ends with a line of JSON: `kills`,
`kills_recovered` (the pipeline went on by itself and ended with the same bytes), `kills_lost` (it did not go on, left something running, or
Prefect took it for running), `kills_different` (other bytes), and how many there were of each kind.
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
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
# What the flow does with DVC, without Prefect, which takes 15 s to start.
PIPELINE = [
    *(sys.executable, "-c"),
    "from flows.repository import dvc, torn; from headstart.machinery import lock\n"
    "with lock.hold('chaos'): dvc.forget_dead(); torn.forget(print); dvc.call('repro', say=print)",
]
PATIENCE = 30.0  # seconds in which all of a killed run must be gone
LONGEST = 900.0  # seconds that a run may take
SETTLED = 120.0  # seconds in which Prefect must know how a run ended
AWAY = 20.0  # seconds that a killed server may stay away
CHECKPOINTS, UP = ".headstart/checkpoints", ".headstart/up.json"
ENDS = ("COMPLETED", "CRASHED", "FAILED", "CANCELLED")  # of a run in Prefect
UNDER_UP, BY_HAND = (
    ("flow", "worker", "server"),
    ("run", "temporary"),
)  # what is killed: under `headstart up`; `headstart run`, and its own server
KINDS = ("stage", "write", "dvc", *UNDER_UP, *BY_HAND)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=UNDER_UP, help="kill nothing but this, under `headstart up`")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # by way of what ends the processes
    of_flows = options.kills * 15 // 100
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_WORKER_QUERY_SECONDS": "1"}
        os.environ.update(quiet | {"PREFECT_HOME": f"{folder}/prefect", "DVC_SITE_CACHE_DIR": f"{folder}/dvc"})
        for name in ("PREFECT_API_URL", "PYTHONDONTWRITEBYTECODE"):  # without byte code each start would compile the checkout again
            os.environ.pop(name, None)
        chaos = Chaos(prepare(Path(folder)), random.Random(options.seed), total=options.kills)
        chaos.undisturbed()
        if options.only:
            chaos.of_standing([options.only] * options.kills)
        else:
            chaos.of_stages(options.kills - of_flows, -(-options.kills // 10))
            chaos.of_flows(of_flows)
    print("seconds a kill: " + ", ".join(f"{name} {chaos.spent[name] / chaos.counts[name]:.1f}" for name in KINDS if chaos.counts[name]))
    print(json.dumps(chaos.figures()))


def prepare(folder: Path) -> Path:
    """A checkout with toy pictures, a tiny source, and the smallest parameters that still train for some epochs."""
    from workspace import ROOT, Workspace, environment

    space = Workspace(folder / "checkout")
    shutil.copy(ROOT / "prefect.yaml", space.folder)
    pictures(folder / "photos")
    source(space.folder / "source")
    space.set(
        *("select_source.candidates=[checkpoint:source]", "select_source.input_size=64", "select_source.folds=2", "train_head.folds=2"),
        *("fine_tune.epochs=20", "fine_tune.patience=20", "fine_tune.views=2", "fine_tune.strategy=gradual", "evaluate.bootstrap=100"),
        *("baseline.epochs=15", "baseline.views=1", "baseline.max_size=32"),
    )
    space.run("headstart", "import", str(folder / "photos"))
    os.environ.update(environment(space.folder))
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

    from headstart.networks import cards, heads, model, skeletons

    torch.manual_seed(0)
    network, classifier = skeletons.skeleton("timm", architecture)
    width: Any = network.num_features
    head = heads.Head(np.zeros((3, width), np.float32), np.zeros(3, np.float32))
    folder.mkdir()
    model.save(folder / cards.WEIGHTS, model.Network(network, classifier, head, (0.5,) * 3, (0.5,) * 3))
    transform = {"input_size": 64, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "crop": 1.0}
    (folder / cards.CARD).write_text(json.dumps({"library": "timm", "architecture": architecture, "transform": transform}))


def kind(command: list[str]) -> str:
    """What a process is to a run: server, worker, flow (of the worker), dvc, stage, or something that is not killed."""
    if "uvicorn" in command:
        return "server"
    if command[1:5] == ["-m", "flows.server.patient", "prefect", "worker"]:
        return "worker"
    if command[1:4] == ["-m", "flows.server.patient", "prefect.engine"]:
        return "flow"
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


class Standing:
    """The server and the worker that `headstart up` starts in a checkout, and runs that are submitted to them."""

    def __init__(self, project: Path) -> None:
        self.project = project
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def up(self) -> str:
        """`headstart up`. Returns what is wrong: "" where it has started what did not run, and nothing else."""
        before = self.pids()
        dead = sorted(name for name in ("server", "worker") if before.get(name) not in working(self.project))
        code, said = self._headstart("up", "--port", str(self.port))
        after = self.pids()
        started = sorted(name for name in after if after[name] != before.get(name))
        if code or started != dead or not working(self.project).keys() >= set(after.values()):
            return f"`headstart up` started {started} where {dead} did not run, exit code {code}:\n{said[-2000:]}"
        return ""

    def down(self) -> None:
        """`headstart down`, and whatever that left ended too."""
        code, said = self._headstart("down", "--force")
        if code:
            print(f"`headstart down` failed:\n{said[-2000:]}", flush=True)
        end_all(self.project)

    def pids(self) -> dict[str, int]:
        """The process ids of server and worker, as `headstart up` noted them; nothing where it is down."""
        with contextlib.suppress(FileNotFoundError):
            state = json.loads((self.project / UP).read_text())
            return {name: state[name]["pid"] for name in ("server", "worker") if name in state}
        return {}

    def submit(self) -> str:
        """A new run of transfer/headstart-transfer, asked for as the UI asks for it. Returns its id."""
        deployment = self._ask("deployments/name/transfer/headstart-transfer")["id"]
        return str(self._ask(f"deployments/{deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"])

    def end(self, run: str) -> str:
        """The type of the state in which a run ended, as Prefect knows it; of the one it is in where that takes too long."""
        deadline, found = time.monotonic() + SETTLED, "unknown"
        while found not in ENDS and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                found = str(self._ask(f"flow_runs/{run}")["state_type"])
            time.sleep(0.2)
        return found

    def log(self) -> str:
        return (self.project / ".headstart/prefect/worker.log").read_text(errors="replace")[-3000:]

    def _ask(self, path: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
        """What Prefect's API answers; as its own client does, asked again while its database is busy (503)."""
        body = json.dumps(given).encode() if given is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/{path}", body, {"Content-Type": "application/json"})
        opener, deadline = urllib.request.build_opener(urllib.request.ProxyHandler({})), time.monotonic() + SETTLED
        while True:
            try:
                with opener.open(request, timeout=60) as answer:
                    content: dict[str, Any] = json.load(answer)
                return content
            except urllib.error.HTTPError as error:
                if error.code != 503 or time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def _headstart(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run([BIN / "headstart", *arguments], cwd=self.project, capture_output=True, text=True, timeout=LONGEST)
        return done.returncode, done.stdout + done.stderr


def end_all(project: Path, but: Collection[int] = ()) -> None:
    """Kill all that works in a folder, but some."""
    for pid in working(project).keys() - set(but):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@dataclass
class Chaos:
    """Kills runs of the pipeline of `project`, and counts what becomes of them; what lies in `results` is compared."""

    project: Path
    dice: random.Random
    results: tuple[str, ...] = ("data/manifest.parquet", "data/clean.parquet", "models", "reports")
    total: int = 0  # kills that are wanted, to say how long it will take
    counts: Counter[str] = field(default_factory=Counter)
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # seconds of runs, by what was killed in them
    since: int = 0  # kills since a run was last completed
    expected: dict[str, str] = field(default_factory=dict)  # what an undisturbed run makes: hashes by path
    seconds: float = 0.0  # that it takes
    began: float = field(default_factory=time.monotonic)  # with killing
    counted: float = field(default_factory=time.monotonic)  # when the last kill was counted

    def figures(self) -> dict[str, Any]:
        """The line of JSON."""
        outcomes = {f"kills_{name}": self.counts[name] for name in ("recovered", "lost", "different")}
        return {
            "kills": self.counts["kills"],
            **outcomes,
            "of": {name: self.counts[name] for name in KINDS},
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
        self.began = self.counted = time.monotonic()

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
        """Kill flow, worker or server under `headstart up`; then, a sixth of the times, `headstart run` by hand or its temporary server."""
        self.of_standing([self.dice.choice(UNDER_UP) for _ in range(kills - kills // 6)])
        line = [self.dice.choice(BY_HAND) for _ in range(kills // 6)]
        while line:
            with self._running([str(BIN / "headstart"), "run"]) as run:
                killed = self._kill(run, line[-1], self.seconds / 2)
                self._after(run, killed)
            if killed:
                line.pop()
        self._complete()

    def of_standing(self, line: list[str]) -> None:
        """Kill what is in the line, from its end on, under `headstart up`."""
        standing = Standing(self.project)
        try:
            if trouble := standing.up() if line else "":
                raise SystemExit(trouble)
            while line:
                if self._submitted(standing, line[-1]):
                    line.pop()
        finally:
            standing.down()

    def _submitted(self, standing: Standing, wanted: str) -> str:
        """Submit a run, kill flow, worker or server, and see what becomes of it. Returns what was killed, "" where the run ended first."""
        run = standing.submit()
        killed = self._kill_standing(standing, wanted)
        self._count(killed)
        trouble = ""
        if killed == "server":
            time.sleep(self.dice.uniform(0, AWAY))
            trouble = standing.up()
        left = self._left(LONGEST if killed in ("", "server") else PATIENCE, standing.pids().values())
        end_all(self.project, standing.pids().values())
        if killed == "worker":
            trouble = standing.up()
        state = standing.end(run)
        if killed in ("", "server") and state != "COMPLETED":
            trouble = trouble or f"the run did not complete, {state}:\n{standing.log()}"
        elif state not in ("COMPLETED", "CRASHED", "FAILED"):
            trouble = trouble or f"Prefect calls the run {state} {SETTLED:.0f} s after a kill of the {killed}:\n{standing.log()}"
        self._judge(killed, state == "COMPLETED", left, trouble)
        return killed

    def _kill_standing(self, standing: Standing, wanted: str) -> str:
        """Kill after a while, counted from when the run has a process. Returns what was killed, "" where the run ended first."""
        wait, deadline = self.dice.uniform(0, self.seconds / 2), time.monotonic() + LONGEST
        flow, moment = 0, 0.0
        while time.monotonic() < deadline:
            found = working(self.project)
            if not flow:
                flow = next((pid for pid, what in found.items() if what == "flow"), 0)
                moment = time.monotonic() + wait
            elif flow not in found:
                break
            elif time.monotonic() >= moment:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(flow if wanted == "flow" else standing.pids()[wanted], signal.SIGKILL)
                    return wanted
            time.sleep(0.02)
        return ""

    def _complete(self) -> None:
        """Run to the end, so that the last kills count too."""
        while self.since:
            with self._running(PIPELINE) as run:
                self._after(run, "")

    def _kill(self, run: subprocess.Popen[bytes], wanted: str, within: float) -> str:
        """Kill after up to so many seconds, as soon as there is such a process then. Returns what was killed, "" where the run ended first."""
        moment = time.monotonic() + self.dice.uniform(0, within)
        sort = "server" if wanted == "temporary" else wanted
        while run.poll() is None:
            if time.monotonic() >= moment:
                for pid in [run.pid] if wanted == "run" else [pid for pid, what in working(self.project).items() if what == sort]:
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
        self._count(killed)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(LONGEST if killed in ("", "temporary") else PATIENCE)
        self._judge(killed, run.returncode == 0, self._left(PATIENCE), "" if killed or not run.returncode else self._log())

    def _count(self, killed: str) -> None:
        if killed:
            self.counts.update(["kills", killed])
            self.since += 1

    def _left(self, patience: float, but: Collection[int] = ()) -> list[str]:
        """What still works in the project after so many seconds, but for some processes."""
        deadline = time.monotonic() + patience
        while left := [what for pid, what in working(self.project).items() if pid not in but]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return sorted(left)

    def _judge(self, killed: str, complete: bool, left: list[str], trouble: str) -> None:
        """Say what became of a run by who was left of it, what went wrong, and what it made."""
        now = time.monotonic()
        self.spent[killed] += now - self.counted
        self.counted = now
        if left:
            self._close("lost", f"still running long after a kill of {killed or 'nobody'}: {left}")
        elif trouble:
            self._close("lost", f"the pipeline did not go on by itself: {trouble}")
        elif complete:
            wrong = self._wrong(self._made(), self.expected)
            self._close("different" if wrong else "recovered", f"different: {wrong}" if wrong else "complete")
        elif wrong := self._certified():
            self._close("different", f"dvc status calls up to date: {wrong}")

    def _close(self, outcome: str, said: str) -> None:
        """Count the kills since the last completed run, and start anew."""
        self.counts["recovered"] += self.since if outcome == "recovered" else max(0, self.since - 1)
        self.counts[outcome] += 0 if outcome == "recovered" else 1
        done, spent = self.counts["kills"], (time.monotonic() - self.began) / 60
        pace = f"{spent:.0f} min, at this pace {spent * (self.total - done) / done:.0f} min more" if done else ""
        print(f"{done} kills, the last {self.since} {outcome}: {said} ({pace})", flush=True)
        self.since = 0
        self._forget()

    def _certified(self) -> list[str]:
        """Files that a stage made otherwise than undisturbed, and that `dvc status` calls up to date; it calls nothing so where it fails.

        It never calls a stage up to date that is not in dvc.lock, so it is asked only where a file of one that is there differs.
        """
        wrong = self._wrong(self._made(), self.expected)
        known = self._stages("dvc.lock")
        if known is not None and not self._of(known, wrong):
            return []
        done = subprocess.run([BIN / "dvc", "status", "--json"], cwd=self.project, capture_output=True, text=True)
        if done.returncode:
            return []
        stale = json.loads(done.stdout.strip().splitlines()[-1])
        return self._of([name for name in self._stages("dvc.yaml") or {} if name not in stale], wrong)

    def _of(self, stages: Collection[str], files: list[str]) -> list[str]:
        """Those of the files that these stages make."""
        graph = self._stages("dvc.yaml") or {}
        outs = [out for name in stages for key in ("outs", "metrics", "plots") for out in graph[name].get(key, [])]
        paths = [out if isinstance(out, str) else next(iter(out)) for out in outs]
        return [file for file in files if any(file == path or file.startswith(f"{path}/") for path in paths)]

    def _stages(self, name: str) -> dict[str, Any] | None:
        """The stages of dvc.yaml or dvc.lock; none where there is no such file, None where it cannot be read."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            return dict(YAML(typ="safe").load(self.project / name)["stages"])
        except FileNotFoundError:
            return {}
        except (YAMLError, KeyError, TypeError, ValueError):
            return None

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
        """Have the pipeline as it was before it ever ran; what `headstart up` keeps stays."""
        own = [path for path in (self.project / ".headstart").glob("*") if path.name not in ("prefect", "up.json", "up.lock")]
        for path in (*own, *(self.project / name for name in (*self.results, "dvc.lock", ".dvc/cache/runs"))):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _running(self, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A run in the project, its lines in a file beside it; ended with all that works there."""
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        with self.project.with_suffix(".log").open("wb") as log:
            run = subprocess.Popen(
                command, cwd=self.project, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield run
        finally:
            end_all(self.project)
            run.wait()

    def _log(self) -> str:
        return self.project.with_suffix(".log").read_text(errors="replace")[-3000:]


if __name__ == "__main__":
    main()
