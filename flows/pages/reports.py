"""The reports of a project's runs on 127.0.0.1, while `headstart up` is up: python -m flows.pages.reports DESCRIPTOR

A link of Prefect's UI cannot open a file: browsers forbid it. Each run of a flow keeps a copy of its report, by its name; the newest are served, and nothing else.
"""

from __future__ import annotations

import html
import shutil
import socket
import sys
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote

from flows.pages import loopback
from headstart.base import outputs
from tasks import stage

FOLDER = stage.STATE / "reports"  # a copy for each run; deleting it costs the links of past runs
MOST = 50  # copies that are kept
CURRENT = Path("reports/report.html")
_HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Reports</title><link rel="icon" href="data:,">'
    "<style>:root{color-scheme:light dark;--page:#fbfbf9;--ink:#1c2127;--soft:#59636e;--link:#0b6cb0}"
    "@media(prefers-color-scheme:dark){:root{--page:#14171a;--ink:#e7eaed;--soft:#a3adb7;--link:#5db4ee}}"
    "body{background:var(--page);color:var(--ink);font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "a{color:var(--link)}ol{list-style:none;padding:0}li{margin:.6rem 0;overflow-wrap:anywhere}time,.soft{color:var(--soft)}time{display:block;font-size:14px}</style>"
)


def keep(name: str) -> None:
    """Keep a copy of the current report under the name of a run, and the newest MOST of all. Nothing if there is no report."""
    if not CURRENT.is_file() or not name or "/" in name:
        return
    with outputs.whole(FOLDER / f"{name}.html") as temporary:
        shutil.copyfile(CURRENT, temporary)
    for old in _newest()[MOST:]:
        old.unlink(missing_ok=True)


def place(name: str) -> str:
    """Where the report of a run is, below the address of the server."""
    return f"run/{quote(name, safe='')}"


def _newest() -> list[Path]:
    """The copies, the newest first."""
    return sorted(FOLDER.glob("[!.]*.html"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


class Handler(loopback.Handler):
    """The list of reports, the current one, and the copies."""

    def get(self, path: str, asked: dict[str, list[str]]) -> bool:
        """A page of them."""
        files = {"/current": CURRENT, **{f"/run/{copy.stem}": copy for copy in _newest()}}
        try:
            content = _list().encode(errors="replace") if path == "/" else files[unquote(path)].read_bytes()
        except (KeyError, FileNotFoundError):
            return False
        self.send(content, "text/html; charset=utf-8")
        return True


def _list() -> str:
    """The page that lists them."""
    when = [(copy, datetime.fromtimestamp(copy.stat().st_mtime).strftime("%Y-%m-%d %H:%M")) for copy in _newest()]
    items = [f'<li><a href="{html.escape(place(copy.stem))}">{html.escape(copy.stem)}</a> <time>{at}</time></li>' for copy, at in when]
    current = (
        '<p><a href="current">The current report</a></p>'
        if CURRENT.is_file()
        else "<p>There is no report yet: <code>headstart run</code> makes one.</p>"
    )
    note = f'<p class="soft">The newest first, {MOST} at most. What tells them apart: <code>headstart runs</code>.</p>'
    past = f"<h2>By run</h2>{note}<ol>{''.join(items)}</ol>" if items else ""
    return f"{_HEAD}<main><h1>Reports of {html.escape(Path.cwd().name)}</h1>{current}{past}</main></html>"


def main() -> None:
    """Serve until ended, at the socket that whoever started us has opened and given."""
    loopback.Server(socket.socket(fileno=int(sys.argv[1])), Handler).serve()


if __name__ == "__main__":
    main()
