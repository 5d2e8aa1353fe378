"""Imported by the process from which tests/forked.py forks."""

from tests import forked

forked.preload()
