"""Which look-alikes show the same picture: compare the pixels of images whose perceptual hashes are alike.

64 bits tell the coarse distribution of light alone, so bare solar cells, blank pages and night skies look alike to them. Two images are
called near-duplicates only if their details agree: grey at 128 pixels, the coarse light taken away, correlation at least AGREE. Of 60
photographs saved again at JPEG quality 10 to 30, at half the size, brighter, grey or with a mark, all agree by more than 0.85, at a
quarter of a small size by more than 0.69; different cells of one pattern reach 0.25. What is cut by 3% a side is missed as often as not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from headstart.base.cores import in_order
from headstart.data import images

AGREE = 0.6
_SIDE, _REACH = 128, 8  # pixels: of the grey image; how far around a pixel its coarse light is taken from
_FLAT = 1.0  # grey levels of detail below which there is nothing to compare


def confirmed(folder: Path, table: pd.DataFrame, sets: np.ndarray) -> np.ndarray:
    """Numbers (n,) of the sets of near-duplicates that n images belong to, given the sets of look-alikes.

    `table` has the columns path, label, split and pixels_sha256. Only sets that span several labels or splits are compared, as only these
    are asked about; the others keep together. Images of the same pixels always do.
    """
    numbered = table.assign(set=sets).reset_index(drop=True)
    spans = numbered.groupby("set")[["label", "split"]].nunique().max(axis=1)
    asked = set(spans[spans > 1].index)
    rows = [found.index.to_numpy() for number, found in numbered[numbered["set"].isin(asked)].groupby("set")]
    names = np.array(numbered["set"].astype(str), object)
    pixels, paths = numbered["pixels_sha256"].to_numpy(), numbered["path"].to_numpy()
    for these, parts in zip(rows, in_order(lambda these: _parts(folder, paths[these], pixels[these]), rows), strict=True):
        names[these] = [f"{sets[these[0]]}.{part}" for part in parts]
    return pd.factorize(names)[0].astype(np.int64)


def _parts(folder: Path, paths: np.ndarray, pixels: np.ndarray) -> list[int]:
    """The part of each image of a set: those of one part agree, also by way of others."""
    codes, unique = pd.factorize(pixels)
    first = [int(np.flatnonzero(codes == code)[0]) for code in range(len(unique))]
    details = np.stack([_detail(folder / paths[place]) for place in first])
    agree = details @ details.T >= AGREE
    part = np.arange(len(unique))
    for one in range(len(unique)):
        for other in np.flatnonzero(agree[one, :one]):
            part[part == part[other]] = part[one]
    return part[codes].tolist()


def _detail(path: Path) -> np.ndarray:
    """What an image shows beside its coarse light, as a vector of length 1; of length 0 if it is plain or cannot be read any more."""
    try:
        image = images.open_image(path, near=_SIDE).convert("L")
    except images.Unreadable:
        return np.zeros(_SIDE * _SIDE, np.float32)
    grey = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0), np.float32)
    detail = grey - _coarse(grey)
    length = float(np.linalg.norm(detail))
    return (detail / length if length > _FLAT * _SIDE else 0 * detail).ravel()


def _coarse(grey: np.ndarray) -> np.ndarray:
    """The mean of the square around each pixel, by running sums."""
    width = 2 * _REACH + 1
    padded = np.pad(grey.astype(np.float64), ((_REACH + 1, _REACH), (_REACH + 1, _REACH)), mode="edge")
    sums = padded.cumsum(0).cumsum(1)
    square = sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]
    return (square / width**2).astype(np.float32)
