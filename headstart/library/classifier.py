"""A classifier in scikit-learn's manner: fit(paths, labels), predict(paths)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from headstart.base import devices
from headstart.library import steps
from headstart.machinery.errors import DataError

if TYPE_CHECKING:
    from sklearn.utils import Tags

AUTO = "auto"


class TransferClassifier(ClassifierMixin, BaseEstimator):
    """Label images by transfer learning.

    Chooses a pretrained source, fits a head on it, and fine-tunes it if that helps on validation images.

    source: `auto` ranks `candidates` on the images; else the name of one source, such as "wheel:efficientnet_lite0".
    candidates: names of the sources to rank; None: those of params.yaml.
    fine_tune: whether to fine-tune; the result is kept if it is right on more validation images by more than a paired standard error.
    epochs: most epochs of fine-tuning.
    validation_share: share (0-1) of the images that watch the training; near-duplicates stay on one side.
    device: auto, cpu or cuda.
    seed: the one seed of everything.

    After `fit`: `classes_` (n_classes,), `model_` (headstart.Model), `source_` (its card), `n_iter_` (epochs of fine-tuning that were
    kept).
    """

    def __init__(
        self,
        source: str = AUTO,
        candidates: Sequence[str] | None = None,
        *,
        fine_tune: bool = True,
        epochs: int = 10,
        validation_share: float = 0.2,
        device: str = AUTO,
        seed: int = 0,
    ) -> None:
        self.source = source
        self.candidates = candidates
        self.fine_tune = fine_tune
        self.epochs = epochs
        self.validation_share = validation_share
        self.device = device
        self.seed = seed

    def fit(self, X: Sequence[str | Path], y: Sequence[Any]) -> TransferClassifier:
        """Learn the labels y (n,) of the image files X (n,).

        Raises DataError for files that cannot be read, ParamsError for wrong parameters.
        """
        place = devices.choose(self.device)
        labels, names = np.unique(np.asarray(y), return_inverse=True)
        images = _without_test(X, [str(number) for number in names], self.validation_share, self.seed)
        source: Any = self.source
        if source == AUTO:
            wanted = {} if self.candidates is None else {"candidates": list(self.candidates)}
            source = steps.rank(images, seed=self.seed, device=place, **wanted)
        head = steps.fit_head(images, source, seed=self.seed, device=place)
        self.model_, self.n_iter_ = head.model(place), 0
        if self.fine_tune:
            tuned = steps.fine_tune(images, head, epochs=self.epochs, seed=self.seed, device=place)
            if tuned.better:
                self.model_, self.n_iter_ = tuned.model(place), tuned.result.best
        self.source_, self.classes_ = head.source, labels
        self._columns = [self.model_.classes.index(str(number)) for number in range(len(labels))]
        return self

    def predict(self, X: Sequence[str | Path | np.ndarray]) -> np.ndarray:
        """The label (n,) of each image: files, or uint8 pixels (height, width, 3)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Sequence[str | Path | np.ndarray]) -> np.ndarray:
        """The probability (n, n_classes) of each class, in the order of `classes_`."""
        check_is_fitted(self)
        return self.model_.predict_proba(X)[:, self._columns]

    def transform(self, X: Sequence[str | Path | np.ndarray]) -> np.ndarray:
        """The features (n, width) that the head sees, float32."""
        check_is_fitted(self)
        return self.model_.embed(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False, True
        tags.no_validation = True  # X are files, not numbers
        return tags


def _without_test(paths: Sequence[str | Path], labels: list[str], validation_share: float, seed: int) -> steps.Images:
    """The images in a train and a validation split alone, as who calls `fit` holds the test images back."""
    indexed = steps.index(list(paths), labels, test_share=validation_share, seed=seed)
    unreadable = indexed.table[~indexed.table["readable"]]
    if len(unreadable):
        raise DataError(
            f"{len(unreadable)} of {len(indexed.table)} files cannot be read, the first {unreadable['path'].iloc[0]}: {unreadable['reason'].iloc[0]}"
        )
    table = indexed.table.copy()
    table.loc[table["split"] == "validation", "split"] = "train"
    table.loc[table["split"] == "test", "split"] = "validation"
    return steps.Images(table, indexed.root)
