"""The worst mistakes of a model, in one order for all who look at them."""

from __future__ import annotations

import pandas as pd


def worst(predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows of wrong answers, those that the model was surest of first: of a table with path, correct and probability."""
    return predictions[~predictions["correct"]].sort_values(["probability", "path"], ascending=[False, True], kind="stable")
