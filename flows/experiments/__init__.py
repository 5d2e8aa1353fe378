"""Past runs: kept as DVC experiments, listed, restored."""
