"""What `headstart export web` says in Chromium, beside `headstart predict`, on a project's validation and test images.

    python benchmarks/web.py PROJECT EXPORT [--server]

EXPORT is a folder that `headstart export web` wrote for the model of PROJECT. The page is opened from the disk, or from a web server with --server. Says how many images have the same likeliest
class, the largest difference of a probability, how many times `unsure` and `unlike` differ, seconds to start and per image, and what the page asked the network for.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import threading
import time
from pathlib import Path

import browser
import pandas as pd

from headstart.features import predict

_ASK = "(async () => { const b = Uint8Array.from(atob('%s'), (c) => c.charCodeAt(0)); const r = await window.model.ask(new File([b], 'x')); r.picture = ''; return r; })()"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A plain web server that says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Compare both on every image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("export", type=Path)
    parser.add_argument("--server", action="store_true", help="over http instead of from the disk")
    options = parser.parse_args()
    table = pd.read_parquet(options.project / "data/clean.parquet")
    table = table[table["split"].isin(["validation", "test"])]
    files = [options.project / "data/images" / path for path in table["path"]]
    theirs = list(predict.predict(files, options.project / "models/final"))
    address = (options.export / "index.html").resolve().as_uri()
    if options.server:
        handler = functools.partial(Quiet, directory=str(options.export))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
    with browser.page() as page:
        began = time.perf_counter()
        page.go(address)
        page.run("window.model.facts()")
        started = time.perf_counter() - began
        began = time.perf_counter()
        ours = [page.run(_ASK % base64.b64encode(file.read_bytes()).decode()) for file in files]
        each = (time.perf_counter() - began) / len(files)
        asked = sorted({url.partition("?")[0] for url in page.asked if not url.startswith(("data:", "blob:"))})
        errors = page.errors
    for split in ("validation", "test"):
        rows = [number for number, name in enumerate(table["split"]) if name == split]
        pairs = [(ours[number], theirs[number], files[number]) for number in rows]
        other = [str(file) for one, two, file in pairs if one["label"] != two.label]
        apart = [max(abs(share - dict(two.ranked)[name]) for name, share in one["ranked"]) for one, two, _ in pairs]
        limits = sum((one["unsure"], one["unlike"]) != (two.unsure, two.unlike) for one, two, _ in pairs)
        most = f"probabilities differ by {max(apart):.4f} at most and {sum(apart) / len(apart):.5f} on average"
        print(
            f"{split}: {len(pairs) - len(other)} of {len(pairs)} with the same label; {most}; unsure or unlike differs for {limits}", *other
        )
    print(f"{started:.1f} s to start, {each:.2f} s per image; asked for {', '.join(asked)}; errors: {errors or 'none'}")


if __name__ == "__main__":
    main()
