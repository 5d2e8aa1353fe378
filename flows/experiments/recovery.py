"""Mend what a run, an import or a restore that ended too early left behind.

`headstart import` and every run do this first under the run lock. flows/experiments/restore.py does the same by itself.
"""

from __future__ import annotations

from flows.experiments import restore
from flows.projects import images
from flows.repository import dvc


def recover(say: dvc.Say | None = None) -> None:
    """Put previous images back that an import had moved, and finish a restore.

    Call it under the run lock. Raises HeadstartError if it fails.
    """
    tell = say or (lambda line: None)
    images.tidy(tell)
    restore.finish(tell)
