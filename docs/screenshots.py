"""Screenshots of the Prefect UI for docs/: deployments, the form, a flow run, the summary, the ranking and a progress artifact.

`make screenshots`, after `headstart up` and a run.
Needs Chromium (chromium, chromium-browser or google-chrome on the PATH); says so and does nothing where there is none.
"""

# ruff: noqa: T201, TID251

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from flows import server

FOLDER = Path(__file__).parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WAIT = 20_000  # milliseconds that a page has to load


def main() -> int:
    """Take the screenshots; the exit code."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    state = server.standing()
    if browser is None:
        print(f"no screenshots: none of {', '.join(BROWSERS)} is installed", file=sys.stderr)
        return 0
    if not server.alive(state.get("server")):
        print("no server is up here; `headstart up` and `headstart run` first", file=sys.stderr)
        return 1
    server.use(state["port"])
    FOLDER.mkdir(exist_ok=True)
    for name, (path, height) in pages().items():
        shoot(browser, f"http://127.0.0.1:{state['port']}/{path}", FOLDER / f"{name}.png", height)
    return 0


def pages() -> dict[str, tuple[str, int]]:
    """The pages: path below the server, and height in pixels, by the name of the picture."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName
    from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort

    with get_client(sync_client=True) as client:
        form = client.read_deployment_by_name("transfer/headstart-transfer").id
        line = FlowFilter(name=FlowFilterName(any_=["transfer"]))
        runs = client.read_flow_runs(flow_filter=line, limit=1, sort=FlowRunSort.END_TIME_DESC)
        artifacts = client.read_artifacts(sort=ArtifactSort.CREATED_DESC, limit=50)[::-1]  # the newest of a key counts
    found = {"deployments": ("deployments", 900), "form": (f"deployments/deployment/{form}/run", 2400)}
    if runs:
        found["run"] = (f"runs/flow-run/{runs[0].id}", 1100)
    found |= {artifact.key: (f"artifacts/artifact/{artifact.id}", 900) for artifact in artifacts if artifact.key in ("summary", "ranking")}
    if bars := [artifact for artifact in artifacts if artifact.type == "progress"]:
        found["progress"] = (f"artifacts/artifact/{bars[-1].id}", 500)
    return found


def shoot(browser: str, address: str, picture: Path, height: int) -> None:
    """Write a picture of a page. Raises CalledProcessError if the browser fails."""
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        size = [f"--window-size=1300,{height}", f"--virtual-time-budget={WAIT}", f"--screenshot={picture}"]
        subprocess.run([browser, *options, *size, address], check=True, capture_output=True, timeout=120)
    print(picture)


if __name__ == "__main__":
    sys.exit(main())
