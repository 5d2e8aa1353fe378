"""The tests, in rooms as the code is. Toy data, fixed seeds, no network."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
