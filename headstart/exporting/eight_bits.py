"""The same file with weights and activations of 8 bits: a quarter of the size, at a cost in accuracy that is measured."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.exporting.beside import predict
from headstart.exporting.onnx_file import PICTURE

MOST_LOST = 0.01  # of accuracy on the validation images; what loses more is refused
CALIBRATION = 128  # training images that the ranges of activations are taken from
_KINDS = ["Conv", "Gemm", "MatMul"]


def write(whole: Path, path: Path, files: Iterable[Path]) -> None:
    """Quantise the exported file `whole` to `path`; `files` are training images.

    Static, weights per channel (Jacob et al., CVPR 2018). What prepares the picture stays exact.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    near = predict.load(whole)[1]["near"]
    given = iter(files)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, np.ndarray] | None:
            file = next(given, None)
            return None if file is None else {PICTURE: predict.pixels(file, near)}

    exact = [node.name for node in onnx.load(str(whole)).graph.node if node.name.startswith("/prepare/")]
    was = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises to prepare the model in a way that dynamic sizes do not allow
    try:
        quantize_static(
            str(whole),
            str(path),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_KINDS,
            nodes_to_exclude=exact,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(was)
    _told_again(whole, path)


def _told_again(whole: Path, path: Path) -> None:
    """Give the quantised file the metadata of the one that it was made from, but for `unlike`.

    Features of 8 bits are far from those of the known images, whatever the picture shows: the file cannot tell which are unlike.
    """
    import onnx

    told: Any = onnx.load(str(whole), load_external_data=False).metadata_props
    made = onnx.load(str(path))
    onnx.helper.set_model_props(made, {one.key: "null" if one.key == "unlike" else one.value for one in told})
    onnx.save(made, str(path))


def lost(exact: np.ndarray, rough: np.ndarray, labels: np.ndarray, factors: Sequence[float]) -> float:
    """How much of the accuracy (0-1) is lost, from probabilities (n, classes) of both and the labels (n,); below 0: gained."""
    weights = np.array(factors)
    right = [((one * weights).argmax(1) == labels).mean() for one in (exact, rough)]
    return float(right[0] - right[1])
