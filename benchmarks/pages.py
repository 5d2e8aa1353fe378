"""Pages in Chromium, at 1280 and 390 pixels, light and dark: what axe-core finds, console errors, what is clipped, what is asked of the network. All that is folded is opened.

    npm pack axe-core && tar xzf axe-core-*.tgz
    python benchmarks/pages.py package/axe.min.js reports/report.html http://127.0.0.1:8001/ export/index.html --photo PHOTO

A page that takes a picture (`headstart try`, `headstart export web`) is given PHOTO first, and asked what counted. Exit code 1 if anything serious was found.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import browser

SERIOUS = ("serious", "critical")
_AXE = "axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations.map((v) => [v.impact, v.id, v.help, v.nodes.length, v.nodes[0].html.slice(0, 160)]))"
_CLIPPED = """[...document.querySelectorAll('p, li, h1, h2, h3, th, td, figcaption, button, summary, dt, dd')].filter((e) => {
  const box = e.getBoundingClientRect(); const of = e.closest('.scroll, pre, [hidden]');
  return !of && box.width && (box.right > innerWidth + 1 || box.left < -1);
}).map((e) => e.textContent.trim().slice(0, 60))"""
_SCROLLED = """[...document.querySelectorAll('.scroll, pre')].filter((e) => e.scrollWidth > e.clientWidth + 1)
  .map((e) => (e.getAttribute('aria-label') || e.textContent.trim().slice(0, 40)) + ': ' + e.scrollWidth + ' of ' + e.clientWidth)"""
_OPEN = "document.querySelectorAll('details').forEach((e) => { e.open = true; }); 0"


def main() -> int:
    """Look at every page in every way; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axe", type=Path)
    parser.add_argument("pages", nargs="+")
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--shots", type=Path, help="a folder for pictures of the pages")
    options = parser.parse_args()
    script, bad = options.axe.read_text(encoding="utf-8"), 0
    for number, given in enumerate(options.pages):
        address = given if "://" in given else Path(given).resolve().as_uri()
        for width in (1280, 390):
            for dark in (False, True):
                with browser.page() as page:
                    page.look(width, 900, dark=dark)
                    page.go(address)
                    if page.run("Boolean(document.getElementById('file') && document.getElementById('choose'))") and options.photo:
                        _try(page, options.photo)
                    time.sleep(0.5)
                    page.run(_OPEN)
                    page.run(script + "; 0")
                    found = page.run(_AXE)
                    clipped, wide = page.run(_CLIPPED), page.run("document.documentElement.scrollWidth")
                    scrolled = page.run(_SCROLLED)
                    if options.shots:
                        options.shots.mkdir(parents=True, exist_ok=True)
                        page.shoot(options.shots / f"{number}-{width}-{'dark' if dark else 'light'}.png", whole=True)
                    asked = [url for url in page.asked if not url.startswith(("data:", "blob:", address.rpartition("/")[0]))]
                    print(
                        f"{given} {width} {'dark' if dark else 'light'}: {len(found)} kinds of finding, errors {page.errors or 'none'}, elsewhere {asked or 'nothing'}"
                    )
                    for impact, name, text, count, where in found:
                        print(f"  {impact} {name} ({count}): {text}: {where}")
                    for text in clipped:
                        print(f"  clipped: {text}")
                    for text in scrolled:
                        print(f"  wider than the page, to be scrolled: {text}")
                    bad += (
                        len(clipped)
                        + len(scrolled) * (width > 1000)
                        + len(asked)
                        + len(page.errors)
                        + (wide > width)
                        + sum(one[0] in SERIOUS for one in found)
                    )
    return int(bad > 0)


def _try(page: browser.Page, photo: Path) -> None:
    """Hand a photo to the page, and ask what counted."""
    _until(page, "!document.getElementById('choose').disabled")
    page.choose("#file", photo)
    _until(page, "!document.getElementById('result').hidden")
    page.run("document.getElementById('look').click()")
    _until(page, "!document.getElementById('look').disabled")


def _until(page: browser.Page, what: str) -> None:
    until = time.monotonic() + 60
    while not page.run(what) and time.monotonic() < until:
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
