"""What Prefect and DVC cost beyond the stages' own work, against a standing Prefect server with warm caches.

    python benchmarks/orchestration.py [--images 300] [--repeat 3]

Some of scikit-learn's digits at 32 pixels and the smallest parameters, so that the stages are short. In turn: each stage alone
(`python -m tasks.STAGE`), the whole flow (`headstart run --force`), and the flow with nothing to do, which shows what its start, DVC's
checks and Prefect's records cost without any work. Then `dvc status` and `dvc repro` with nothing to do. The server listens on loopback
and ends with the benchmark. Ends with a line of JSON: `flow_overhead_s` is what the flow takes beyond the stages alone, in seconds a
stage; `flow_overhead_in_run_s` is the same against what the stages took within that very run, which other work on the machine disturbs
less; `noop_ratio` is repro / status.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from workspace import Workspace, report

from headstart.params import STAGES

SMALL = [
    *("select_source.candidates=[wheel:efficientnet_lite0]", "select_source.input_size=32", "select_source.folds=2"),
    *("train_head.penalties=[1.0]", "train_head.folds=2", "fine_tune.views=1", "fine_tune.epochs=1", "evaluate.bootstrap=100"),
    *("baseline.epochs=1", "baseline.views=1", "baseline.max_size=32", "verdict.average=false", "verdict.remedies=false"),
]
STAMP = "python -S -c 'import time; print(time.time())' >> stamps"  # before and after each stage's command
CHECKS = 5  # times that dvc is asked while there is nothing to do


@contextlib.contextmanager
def server(folder: Path, patience: float = 120.0) -> Iterator[str]:
    """Run a Prefect server that keeps everything in `folder`; yields its address. It ends with its whole process group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}/api"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(OSError), opener.open(f"{address}/health", timeout=5):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the Prefect server did not start:\n{(folder / 'server.log').read_text()}")
            time.sleep(0.1)
        yield address
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)


def measure(space: Workspace, repeat: int) -> dict[str, list[float]]:
    """Seconds of each kind of run, `repeat` times each, in turn, after one round that warms the caches."""
    names = ("stages", "flow", "stages_in_flow", "flow_noop", "dvc_status", "dvc_repro")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeat + 1):
        alone = {name: space.run("python", "-m", f"tasks.{name}") for name in STAGES}
        seconds["stages"].append(sum(alone.values()))
        (space.folder / "stamps").unlink(missing_ok=True)
        seconds["flow"].append(space.run("headstart", "run", "--force"))
        stamps = [float(line) for line in (space.folder / "stamps").read_text().split()]
        seconds["stages_in_flow"].append(sum(stamps[1::2]) - sum(stamps[::2]))
        seconds["flow_noop"].append(space.run("headstart", "run"))
        print("alone: " + ", ".join(f"{name} {value:.1f}" for name, value in alone.items()), flush=True)
        print(", ".join(f"{name} {values[-1]:.1f} s" for name, values in seconds.items() if values), flush=True)
    for _ in range(CHECKS + 1):
        for name in ("status", "repro"):
            seconds[f"dvc_{name}"].append(space.run("dvc", name))
    return {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the server ends too
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        os.environ.update(quiet | {"PREFECT_HOME": f"{folder}/prefect", "DVC_SITE_CACHE_DIR": f"{folder}/dvc"})
        os.environ.pop("PREFECT_API_URL", None)
        space = Workspace(Path(folder) / "checkout")
        space.set(*SMALL)
        graph = space.folder / "dvc.yaml"
        graph.write_text(re.sub(r"cmd: (.+)", rf"cmd: {STAMP} && \1 && {STAMP}", graph.read_text()))
        space.run("headstart", "import", "digits")
        digits = sorted(
            (space.folder / "data/images").rglob("*.png"), key=lambda path: path.name
        )  # as scikit-learn has them: classes mixed
        for path in digits[options.images :]:
            path.unlink()
        with server(Path(folder)) as os.environ["PREFECT_API_URL"]:
            seconds = measure(space, options.repeat)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in median.items():
        print(f"{name}: {value:.2f} s")
    in_run = statistics.median(flow - own for flow, own in zip(seconds["flow"], seconds["stages_in_flow"], strict=True))
    report(
        {
            "flow_overhead_s": round((median["flow"] - median["stages"]) / len(STAGES), 2),
            "flow_overhead_in_run_s": round(in_run / len(STAGES), 2),
            "noop_ratio": round(median["dvc_repro"] / median["dvc_status"], 2),
            "flow_noop_s": round(median["flow_noop"], 1),
            "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
        }
    )


if __name__ == "__main__":
    main()
