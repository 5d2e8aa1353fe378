"""Mend what a run, an import or a restore that ended too early left behind. The first thing that is done under the run lock."""

from __future__ import annotations

from flows.experiments import restore
from flows.projects import images
from flows.repository import dvc


def recover(say: dvc.Say | None = None) -> None:
    """Put previous images back that an import had moved, and finish a restore. Raises HeadstartError if that fails."""
    tell = say or (lambda line: None)
    images.tidy(tell)
    restore.finish(tell)
