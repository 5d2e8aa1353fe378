"""The tests, in rooms as the code is. Toy data, fixed seeds, no network."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
PATIENCE = 600.0  # seconds to wait for what takes a few on a quiet machine; only a test that fails waits for so long
