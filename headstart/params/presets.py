"""Presets: several parameters in a word, for `headstart run --fast` and for the form.

A new one is an entry in PRESETS, an option in flows/cli/run.py and a choice in flows/pipeline/deployments.py.
"""

from __future__ import annotations

from collections.abc import Mapping

PRESETS: Mapping[str, Mapping[str, object]] = {  # values by dotted name
    # the best source by the ranking alone, on some of many images, and a head on its frozen features; whether transfer helped stays open
    "fast": {
        "select_source.max_images": 2_000,
        "select_source.race.sources": 1,
        "select_source.depths": False,
        "select_source.changes": False,
        "fine_tune.strategy": "head_only",
        "fine_tune.views": 1,
        "baseline.epochs": 0,
        "verdict.average": False,
        "verdict.remedies": False,
    },
    # the race on all training images and longer, more epochs, and an established answer whether transfer helped
    "best": {
        "select_source.race.share": 1.0,
        "select_source.race.max_images": 2_000,
        "select_source.race.epochs": 2,
        "fine_tune.epochs": 20,
        "fine_tune.patience": 20,
        "fine_tune.passes": 100_000,
        "fine_tune.whole": 10_000.0,
        "baseline.passes": 100_000,
        "verdict.seeds": 5,
    },
}
