"""A page in headless Chromium, driven over its debugging port: for what only a browser can tell (benchmarks/web.py, benchmarks/pages.py).

Needs chromium, chromium-browser or google-chrome on the PATH.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0", "--remote-allow-origins=*")


class Page:
    """One page: what it logs as an error and what it asks the network for is kept."""

    def __init__(self, socket: Connection) -> None:
        self._socket, self._number, self._loaded = socket, 0, False
        self.errors: list[str] = []
        self.asked: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> Any:
        """Send a command and wait for its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._socket.recv(timeout=300))
            if told.get("id") == self._number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']['message']}")
                return told["result"]
            self._hear(told)

    def _hear(self, told: dict[str, Any]) -> None:
        event, given = told.get("method"), told.get("params", {})
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.asked.append(given["request"]["url"][:200])  # a data URL holds a whole picture
        elif event == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.errors.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        elif event == "Runtime.exceptionThrown":
            self.errors.append(str(given["exceptionDetails"].get("exception", {}).get("description", given["exceptionDetails"]["text"])))
        elif event == "Runtime.consoleAPICalled" and given["type"] == "error":
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in given["args"]))

    def go(self, address: str) -> None:
        """Load a page and wait until it is there."""
        self.errors, self.asked, self._loaded = [], [], False
        self.call("Page.navigate", url=address)
        until = time.monotonic() + 120
        while not self._loaded and time.monotonic() < until:
            self.run("0")
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for. Raises RuntimeError for what it throws."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(str(told["exceptionDetails"].get("exception", {}).get("description", told["exceptionDetails"]["text"])))
        return told["result"].get("value")

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the size of the window, and light or dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def choose(self, selector: str, file: Path) -> None:
        """Hand a file to an input, as a person chooses it."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")["result"]
        self.call("DOM.setFileInputFiles", objectId=found["objectId"], files=[str(file.resolve())])

    def shoot(self, picture: Path, *, whole: bool = False) -> None:
        """Write a picture of the window, or of the whole page."""
        told = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        picture.write_bytes(base64.b64decode(told["data"]))


@contextlib.contextmanager
def page() -> Iterator[Page]:
    """A new page in a browser of its own. Ends the program with a sentence if there is no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen([browser, *OPTIONS, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.DEVNULL)
        try:
            told = Path(profile) / "DevToolsActivePort"
            until = time.monotonic() + 60
            while not (told.exists() and "\n" in told.read_text()) and time.monotonic() < until:
                time.sleep(0.1)
            port = told.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as reply:
                target = next(one for one in json.load(reply) if one["type"] == "page")
            with connect(target["webSocketDebuggerUrl"], max_size=None, open_timeout=20) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.wait(20)
